"""What arrives of large images, and how fast, with Fast DDS's defaults and with our profile; printed as Markdown.

    python bench/large_messages.py [--frames 40] [--rate 10]

Two processes on this machine: one publishes rgb8 images, one receives them. Each case is a fresh pair. The delay is
from the start of filling the message to the callback.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib import metadata

from cloudypoints_ros import dds

SIZES = {"1024x512 (1.6 MB)": (1024, 512), "2048x1024 (6.3 MB)": (2048, 1024), "3840x1440 (16.6 MB)": (3840, 1440)}
TOPIC = "/bench/image"
# Some discovery, then the frames, then a moment for stragglers.
WAIT_S, DRAIN_S = 20.0, 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--role", choices=("publish", "receive"), help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--reliability", choices=("reliable", "best effort"), help=argparse.SUPPRESS)
    parser.add_argument("--tuned", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role:
        {"publish": publish, "receive": receive}[args.role](args)
        return
    print(
        f"{args.frames} frames at {args.rate:g} Hz; ROS 2 {distro()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}; /dev/shm {dds.free_shared_memory_bytes() >> 20} MiB free\n"
    )
    print("| image | settings | reliability | arrived | median | p95 |\n|---|---|---|---|---|---|")
    for name, size in SIZES.items():
        for tuned in (False, True):
            for reliability in ("reliable", "best effort"):
                delays = one_case(args, size, reliability, tuned)
                figures = "- | -"
                if len(delays) > 1:
                    p95 = statistics.quantiles(delays, n=20)[-1]
                    figures = f"{statistics.median(delays):.1f} ms | {p95:.1f} ms"
                settings = "our profile" if tuned else "Fast DDS's own"
                print(
                    f"| {name} | {settings} | {reliability} | {len(delays)} of {args.frames} | {figures} |", flush=True
                )


def one_case(args: argparse.Namespace, size: tuple[int, int], reliability: str, tuned: bool) -> list[float]:
    """Milliseconds of every image that arrived."""
    environment = {**os.environ, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_DOMAIN_ID": "77"}
    command = [sys.executable, __file__, "--frames", str(args.frames), "--rate", str(args.rate)]
    command += ["--size", *map(str, size), "--reliability", reliability] + (["--tuned"] if tuned else [])
    receiver = subprocess.Popen([*command, "--role", "receive"], stdout=subprocess.PIPE, text=True, env=environment)
    subprocess.run([*command, "--role", "publish"], check=True, env=environment)
    shown, _ = receiver.communicate(timeout=60)
    return [float(delay) for delay in json.loads(shown)]


def distro() -> str:
    """The ROS distribution of this environment, from the name of its rclpy wheel."""
    names = [dist.name for dist in metadata.distributions() if dist.name.endswith("-rclpy")]
    return names[0].split("-")[1] if names else os.environ.get("ROS_DISTRO", "unknown")


def start(args: argparse.Namespace):  # type: ignore[no-untyped-def]
    """A node and the QoS of this case; with the profile, the allocator settings too, as in our node."""
    if args.tuned:
        dds.apply_profile()
        dds.keep_buffers()
    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy

    rclpy.init()
    policy = ReliabilityPolicy.RELIABLE if args.reliability == "reliable" else ReliabilityPolicy.BEST_EFFORT
    return rclpy.create_node(f"bench_{args.role}"), QoSProfile(depth=2, reliability=policy)


def publish(args: argparse.Namespace) -> None:
    import numpy as np
    from sensor_msgs.msg import Image

    node, qos = start(args)
    publisher = node.create_publisher(Image, TOPIC, qos)
    deadline = time.monotonic() + WAIT_S
    while publisher.get_subscription_count() == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    width, height = args.size
    pixels = np.random.default_rng(0).integers(0, 256, width * height * 3, np.uint8)
    message = Image(width=width, height=height, step=3 * width, encoding="rgb8")
    message.data.frombytes(pixels.data)
    for _ in range(args.frames):
        begin = time.monotonic_ns()
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(begin, 10**9)
        np.frombuffer(message.data, np.uint8)[:] = pixels
        publisher.publish(message)
        time.sleep(max(0.0, 1 / args.rate - (time.monotonic_ns() - begin) / 1e9))
    time.sleep(DRAIN_S)


def receive(args: argparse.Namespace) -> None:
    import rclpy
    from sensor_msgs.msg import Image

    node, qos = start(args)
    delays: list[float] = []

    def arrived(message: Image) -> None:
        stamp = message.header.stamp
        delays.append((time.monotonic_ns() - stamp.sec * 10**9 - stamp.nanosec) / 1e6)

    subscription = node.create_subscription(Image, TOPIC, arrived, qos)
    deadline = time.monotonic() + WAIT_S
    while node.count_publishers(TOPIC) == 0 and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.05)
    end = time.monotonic() + 0.5 + args.frames / args.rate + DRAIN_S
    while time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.05)
    node.destroy_subscription(subscription)
    print(json.dumps(delays))


if __name__ == "__main__":
    main()
