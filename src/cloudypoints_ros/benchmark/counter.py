"""The counting subscriber: takes depth and points of every camera, serialised, and notes when each came."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cloudypoints_ros.benchmark.figures import OUTPUTS
from cloudypoints_ros.processes.channel import Orders, disk, run_child, send
from cloudypoints_ros.timing import stamp_of

NODE = "/cloudypoints"
_TOPICS = {"depth": ("~/depth/image_raw", "Image"), "points": ("~/points", "PointCloud2")}
_QUEUE_DEPTH = 10
# After the last image: how long the rest may stay away before it counts as lost.
_QUIET_S = 2.0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Count what a depth node publishes.")
    parser.add_argument("--cameras", required=True, help="names of the cameras as a JSON list")
    parser.add_argument("--journal", type=Path, required=True, help="JSON file that says what came when")
    args = parser.parse_args(argv)
    return run_child(lambda: _count(json.loads(args.cameras), args.journal, Orders()))


def _count(cameras: list[str], journal: Path, orders: Orders) -> int:
    from cloudypoints_ros import dds

    dds.apply_profile()
    dds.keep_buffers()
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs import msg as types

    from cloudypoints_ros.parameters import topic

    received: dict[str, dict[str, list[tuple[int, int]]]] = {
        camera: {output: [] for output in OUTPUTS} for camera in cameras
    }
    last_arrival = time.monotonic()
    first = True

    def taker(messages: list[tuple[int, int]], output: str) -> Callable[[bytes], None]:
        def take(data: bytes) -> None:
            nonlocal last_arrival, first
            at = time.time_ns()
            messages.append((stamp_of(data), at))
            last_arrival = time.monotonic()
            if first and output == "depth":
                first = False
                send("first", at=at)

        return take

    rclpy.init()
    try:
        node = rclpy.create_node("bench_counter")
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        qos = QoSProfile(depth=_QUEUE_DEPTH, reliability=ReliabilityPolicy.RELIABLE)
        names = []
        for camera in cameras:
            for output, (name, kind) in _TOPICS.items():
                names.append(topic(name, camera).replace("~", NODE))
                take = taker(received[camera][output], output)
                node.create_subscription(getattr(types, kind), names[-1], take, qos, raw=True)
        send("subscribed")
        matched = False
        while True:
            executor.spin_once(timeout_sec=0.05)
            if orders.get("abort") or not rclpy.ok():
                return 0
            if not matched and all(node.count_publishers(name) for name in names):
                matched = True
                send("matched")
            drain = orders.get("drain")
            if drain is None:
                drain_start = time.monotonic()
                continue
            came = sum(len(received[camera][output]) for camera in cameras for output in OUTPUTS)
            if came >= drain["messages"] or time.monotonic() - max(last_arrival, drain_start) > _QUIET_S:
                break
        with disk():
            journal.write_text(json.dumps(received), encoding="utf-8")
        send("drained")
        return 0
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
