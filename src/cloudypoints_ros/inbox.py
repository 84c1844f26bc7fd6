"""What waits between the ROS callbacks and a worker: the newest image of each camera, and the calibrations."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from cloudypoints_ros.camera import Calibration

SIZES_KEPT = 8
STAMPS_KEPT = 64


class Inbox:
    """One slot per camera; the newest message of each wins, and the cameras take turns."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._slots: OrderedDict[str, Any] = OrderedDict()  # whose turn is next comes first
        self._closed = False

    def put(self, camera: str, item: Any) -> bool:
        """Leave a message; whether it displaced one that nobody had taken."""
        with self._condition:
            displaced = self._slots.get(camera) is not None
            self._slots[camera] = item
            self._condition.notify()
            return displaced

    def take(self) -> tuple[str, Any] | None:
        """Wait for a message: of the cameras that have one, the one served longest ago. None once closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or any(v is not None for v in self._slots.values()))
            if self._closed:
                return None
            camera = next(name for name, item in self._slots.items() if item is not None)
            item, self._slots[camera] = self._slots[camera], None
            self._slots.move_to_end(camera)
            return camera, item

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify_all()


class Calibrations:
    """The newest calibrations: by stamp, for a lens that zooms, and by image size, for stamps that do not match.

    Filled by the executor, read by the worker.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_stamp: OrderedDict[tuple[int, int], Calibration] = OrderedDict()
        self._by_size: OrderedDict[tuple[int, int], Calibration] = OrderedDict()

    @property
    def empty(self) -> bool:
        return not self._by_size

    def add(self, stamp: tuple[int, int], calibration: Calibration) -> None:
        """Keep a folded calibration as the newest of its stamp and size."""
        size = (calibration.width, calibration.height)
        with self._lock:
            for kept, key, most in ((self._by_stamp, stamp, STAMPS_KEPT), (self._by_size, size, SIZES_KEPT)):
                kept[key] = calibration
                kept.move_to_end(key)
                if len(kept) > most:
                    kept.popitem(last=False)

    def find(self, stamp: tuple[int, int], width: int, height: int) -> Calibration:
        """Of the image's own stamp, else the newest of its size. CloudyPointsError when none fits it."""
        with self._lock:
            own = self._by_stamp.get(stamp)
            newest = self._by_size.get((width, height)) or next(reversed(self._by_size.values()))
        chosen = own if own is not None and (own.width, own.height) == (width, height) else newest
        chosen.require_image(width, height)
        return chosen
