"""Process 1 of the demo: a camera. Publishes Image and CameraInfo at the source's rate."""

from __future__ import annotations

import argparse
import json
import queue
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cloudypoints_ros.demo.topics import FRAME_ID, IMAGE_TOPIC, INFO_TOPIC
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.processes.channel import Orders, disk, run_child, send
from cloudypoints_ros.sources import CameraChoice, Source, SourceFrame, add_camera_arguments, open_source

# Decoded images that wait: enough that decoding never sets the pace of a short clip, little enough for a small board.
_AHEAD_BYTES = 384 << 20
_AHEAD_FRAMES = (2, 200)
_SETTLE_S = 0.5


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description="Publish a source as a ROS 2 camera.")
    result.add_argument("--source", required=True, help="folder, image, video or camera device")
    result.add_argument("--rate", type=float, metavar="HZ", help="default: the source's own")
    result.add_argument("--frames", type=int, default=0, metavar="N", help="stop after N frames; 0: one pass")
    result.add_argument("--endless", action="store_true", help="start over at the end until told to stop")
    result.add_argument("--journal", type=Path, help="JSON file that says which frame had which stamp")
    result.add_argument("--subscribers", type=int, default=2, help="how many must have matched before the first frame")
    add_camera_arguments(result)
    return result


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    return run_child(lambda: _publish(args, Orders()))


def frames_of(source: Source, total: int, endless: bool) -> Iterator[SourceFrame]:
    """``total`` frames, starting over as often as needed; 0 is one pass; ``endless`` never stops by itself."""
    sent = 0
    while True:
        for frame in source.frames():
            yield frame
            sent += 1
            if total and sent >= total:
                return
        if not endless and not total:
            return
        if sent == 0 or source.live:
            raise CloudyPointsError(f"The source {source.name} gave no further image; check that it is still there.")


def _publish(args: argparse.Namespace, orders: Orders) -> int:
    # The profile must be in the environment, and the allocator told, before rclpy starts.
    from cloudypoints_ros import dds

    dds.apply_profile()
    dds.keep_buffers()
    source = open_source(args.source, CameraChoice.from_arguments(args), args.rate)
    frames: Iterator[SourceFrame] = frames_of(source, args.frames, args.endless)
    if not source.live:
        frames = _Ahead(frames)

    import rclpy
    from builtin_interfaces.msg import Time
    from rclpy.duration import Duration
    from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import CameraInfo, Image
    from std_msgs.msg import Header

    from cloudypoints_ros.messages import camera_info, image_message

    rclpy.init()
    try:
        node = rclpy.create_node("demo_camera")
        qos = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.RELIABLE)
        images = node.create_publisher(Image, IMAGE_TOPIC, qos)
        infos = node.create_publisher(CameraInfo, INFO_TOPIC, qos)
        send("waiting")
        while min(images.get_subscription_count(), infos.get_subscription_count()) < args.subscribers:
            if orders.wait("stop", "abort", timeout=0.05) or not rclpy.ok():
                return 0
        # Matched here is not yet matched over there.
        if orders.wait("stop", "abort", timeout=_SETTLE_S):
            return 0

        message = Image()
        journal: list[dict[str, Any]] = []
        period = 1.0 / source.rate_hz
        due = time.monotonic()
        send("start", rate=source.rate_hz)
        for frame in frames:
            if not source.live:
                if orders.wait("stop", "abort", timeout=max(0.0, due - time.monotonic())):
                    break
                # A camera that is late does not hurry afterwards.
                due = max(due + period, time.monotonic())
            elif orders.get("stop", "abort"):
                break
            if not rclpy.ok():
                break
            stamp = time.time_ns()
            header = Header(
                stamp=Time(sec=stamp // 10**9, nanosec=stamp % 10**9),
                frame_id=FRAME_ID,
            )
            # The small message first: whoever pairs the two by stamp can start when the image is there.
            infos.publish(camera_info(frame.calibration, header))
            image_message(frame.image, header, "bgr8", reuse=message)
            images.publish(message)
            journal.append(
                {
                    "stamp": stamp,
                    "image": None if frame.path is None else str(frame.path),
                    "truth": None if frame.truth is None else str(frame.truth),
                }
            )
            send("frame", count=len(journal))
        if args.journal is not None:
            with disk():
                args.journal.write_text(json.dumps({"frames": journal, "rate_hz": source.rate_hz}), encoding="utf-8")
        images.wait_for_all_acked(Duration(seconds=5))
        send("done", count=len(journal), last_stamp=journal[-1]["stamp"] if journal else 0)
        # A camera that leaves takes its last images with it: stay until the others are done.
        orders.wait("stop", "abort", timeout=60)
        return 0
    finally:
        rclpy.try_shutdown()


class _Ahead:
    """Frames decoded ahead by a thread, so that decoding does not shake the rate."""

    def __init__(self, frames: Iterator[SourceFrame]) -> None:
        first = next(frames)
        size = min(max(_AHEAD_BYTES // first.image.nbytes, _AHEAD_FRAMES[0]), _AHEAD_FRAMES[1])
        self._queue: queue.Queue[SourceFrame | BaseException | None] = queue.Queue(size)
        self._queue.put(first)
        self._thread = threading.Thread(target=self._decode, args=(frames,), name="decode", daemon=True)
        self._thread.start()

    def __iter__(self) -> _Ahead:
        return self

    def __next__(self) -> SourceFrame:
        item = self._queue.get()
        if item is None:
            raise StopIteration
        if isinstance(item, BaseException):
            raise item
        return item

    def _decode(self, frames: Iterator[SourceFrame]) -> None:
        try:
            for frame in frames:
                self._queue.put(frame)
            self._queue.put(None)
        except Exception as error:  # handed to the thread that publishes
            self._queue.put(error)


if __name__ == "__main__":
    sys.exit(main())
