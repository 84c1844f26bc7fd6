"""The load generator: cameras in a process of their own that publish on a fixed schedule.

Messages are serialised before the first one is due, and only the stamp is written into them on the way out: so the
cameras take as little of the machine as a driver in C++ would.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cloudypoints_ros.benchmark.options import Load
from cloudypoints_ros.processes.channel import Orders, disk, run_child, send

# Different images that take turns: enough that nothing is the same twice in a row, little memory.
IMAGES = 12
FRAME_ID = "camera_optical_frame"
_SETTLE_S = 0.5
_PROGRESS_S = 0.25
_START_S = 0.1


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Publish images of one or more cameras.")
    parser.add_argument("--load", required=True, help="a Load as JSON")
    parser.add_argument("--warm", type=int, default=0, help="images of each camera before those that count")
    parser.add_argument("--frames", type=int, default=0, help="images of each camera that count; 0: until told to stop")
    parser.add_argument("--alone", action="store_true", help="begin whether or not anybody listens")
    parser.add_argument("--journal", type=Path, required=True, help="JSON file that says what was sent when")
    args = parser.parse_args(argv)
    return run_child(lambda: _publish(args, Orders()))


def schedule(load: Load, frames: int) -> Iterator[tuple[float, int, int]]:
    """(seconds since the start, camera, image of that camera) of every image in order; ``frames`` 0 is endless."""
    number = 0
    while not frames or number < frames:
        for camera in range(len(load.cameras)):
            turn = 0.0 if load.together else camera / len(load.cameras)
            yield (number + turn) / load.rate_hz, camera, number
        number += 1


def stamped(data: bytearray, stamp_ns: int) -> bytes:
    """A copy of a serialised message, little endian, that begins with a header, with this stamp."""
    struct.pack_into("<iI", data, 4, *divmod(stamp_ns, 10**9))
    return bytes(data)


def _publish(args: argparse.Namespace, orders: Orders) -> int:
    # The profile must be in the environment, and the allocator told, before rclpy starts.
    from cloudypoints_ros import dds

    dds.apply_profile()
    dds.keep_buffers()
    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import CameraInfo, CompressedImage, Image

    from cloudypoints_ros.parameters import topic

    words = json.loads(args.load)
    load = Load(**{**words, "cameras": tuple(words["cameras"])})
    images, info = _messages(load)
    rclpy.init()
    try:
        node = rclpy.create_node("bench_cameras")
        policy = ReliabilityPolicy.RELIABLE if load.reliability == "reliable" else ReliabilityPolicy.BEST_EFFORT
        qos = QoSProfile(depth=5, reliability=policy)
        kind, name = (CompressedImage, "image_raw/compressed") if load.encoding == "jpeg" else (Image, "image_raw")
        image_pubs = [node.create_publisher(kind, topic(name, camera), qos) for camera in load.cameras]
        info_pubs = [node.create_publisher(CameraInfo, topic("camera_info", camera), qos) for camera in load.cameras]
        while not args.alone and not all(each.get_subscription_count() for each in (*image_pubs, *info_pubs)):
            if orders.wait("stop", "abort", timeout=0.05) or not rclpy.ok():
                return 0
        send("ready")
        if orders.wait("go", "stop", "abort") != {"order": "go"}:
            return 0
        # Matched here is not yet matched over there.
        if orders.wait("stop", "abort", timeout=_SETTLE_S):
            return 0
        sent: list[tuple[str, int]] = []
        start, told = time.monotonic() + _START_S, 0.0
        for due, camera, number in schedule(load, args.warm + args.frames if args.frames else 0):
            now = time.monotonic()
            if now - told > _PROGRESS_S:
                told = now
                send("sent", count=len(sent))
            time.sleep(max(0.0, start + due - now))
            if orders.get("stop", "abort") or not rclpy.ok():
                break
            if number == args.warm and camera == 0:
                send("measuring")
            stamp = time.time_ns()
            # The small message first: the node can start when the image is there.
            info_pubs[camera].publish(stamped(info, stamp))
            image_pubs[camera].publish(stamped(images[number % len(images)], stamp))
            if number >= args.warm:
                sent.append((load.cameras[camera], stamp))
        with disk():
            args.journal.write_text(json.dumps(sent), encoding="utf-8")
        send("done", count=len(sent))
        # A camera that leaves takes its last images with it: stay until the others are done.
        orders.wait("stop", "abort", timeout=60)
        return 0
    finally:
        rclpy.try_shutdown()


def _messages(load: Load) -> tuple[list[bytearray], bytearray]:
    """Serialised images of this size and encoding, and the serialised camera_info."""
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import CompressedImage
    from std_msgs.msg import Header

    from cloudypoints_ros.benchmark.pictures import jpeg, street_camera, street_images
    from cloudypoints_ros.camera import Calibration
    from cloudypoints_ros.messages import camera_info, image_message

    header = Header(frame_id=FRAME_ID)
    images = []
    for image in street_images(load.width, load.height, IMAGES):
        message: Any
        if load.encoding == "jpeg":
            message = CompressedImage(header=header, format="rgb8; jpeg compressed bgr8")
            message.data.frombytes(jpeg(image))
        else:
            message = image_message(image, header, load.encoding)
        images.append(bytearray(serialize_message(message)))
    info = camera_info(Calibration.of(street_camera(load.width, load.height)), header)
    return images, bytearray(serialize_message(info))


if __name__ == "__main__":
    sys.exit(main())
