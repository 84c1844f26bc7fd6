"""The threads that work: one computes, one publishes what has been computed. Knows no ROS."""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable
from typing import Any

import numba

from cloudypoints_ros.inbox import Inbox

PATIENCE_S = 10.0


class Workers:
    """``compute(camera, item)`` answers the images of an inbox in turn, ``publish(camera, answer)`` sends the answer
    out while the next one is computed. One image in each at a time: nothing queues. None is no answer."""

    def __init__(
        self, inbox: Inbox, compute: Callable[[str, Any], Any], publish: Callable[[str, Any], None], overlap: bool
    ) -> None:
        self._inbox, self._compute, self._publish = inbox, compute, publish
        self._answers: queue.SimpleQueue[tuple[str, Any] | None] = queue.SimpleQueue()
        # Taken before an image is chosen, so that the choice is the newest when there is room for it.
        self._room = threading.Semaphore(2 if overlap else 1)
        names = {"cloudypoints worker": self._work, "cloudypoints publisher": self._send}
        self._threads = [threading.Thread(target=run, name=name, daemon=True) for name, run in names.items()]
        for thread in self._threads:
            thread.start()

    def close(self) -> bool:
        """Close the inbox and wait until what is in the works has been published; False when that takes too long."""
        self._inbox.close()
        for thread in self._threads:
            thread.join(timeout=PATIENCE_S)
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while True:
            self._room.acquire()
            item = self._inbox.take()
            if item is None:
                break
            camera, image = item
            answer = self._guarded(self._compute, camera, image)
            if answer is None:
                self._room.release()
            else:
                self._answers.put((camera, answer))
        self._answers.put(None)

    def _send(self) -> None:
        while (item := self._answers.get()) is not None:
            self._guarded(self._publish, *item)
            self._room.release()

    @staticmethod
    def _guarded(step: Callable[[str, Any], Any], camera: str, what: Any) -> Any:
        """A thread that ends would end every camera, silently."""
        try:
            return step(camera, what)
        except Exception:
            traceback.print_exc()
            return None


def overlap_allowed() -> bool:
    """Whether two threads may run this package's compiled loops at a time, once one of them has run.

    numba's own pool, which it falls back to without TBB and OpenMP, ends the process then
    (https://numba.readthedocs.io/en/stable/user/threading-layer.html).
    """
    return bool(numba.threading_layer() != "workqueue")
