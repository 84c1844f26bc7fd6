"""Process 3 of the demo: a recorder. Measures stamp to received, then writes the bag and compares with the truth.

While frames arrive, a message is only taken (serialised, as DDS delivered it), timed and spooled to disk by a
thread; encoding, compressing and comparing wait until the node has stopped, so that they slow nothing down.
"""

from __future__ import annotations

import argparse
import json
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt

from cloudypoints_ros.demo.topics import (
    DEPTH_INFO_TOPIC,
    DEPTH_TOPIC,
    IMAGE_TOPIC,
    INFO_TOPIC,
    JPEG_TOPIC,
    POINTS_TOPIC,
    TRUTH_TOPIC,
)
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.metrics import ConstantErrors, DepthMetrics, constant_errors, depth_metrics, mean_constant_errors
from cloudypoints_ros.processes.channel import DiskError, Orders, disk, run_child, send
from cloudypoints_ros.sources import read_truth
from cloudypoints_ros.stats import percentiles_ms
from cloudypoints_ros.timing import stamp_of

Array = npt.NDArray[Any]

RECORDED = {
    IMAGE_TOPIC: "Image",
    INFO_TOPIC: "CameraInfo",
    DEPTH_TOPIC: "Image",
    DEPTH_INFO_TOPIC: "CameraInfo",
    POINTS_TOPIC: "PointCloud2",
}
BAG_TYPES = {
    JPEG_TOPIC: "sensor_msgs/msg/CompressedImage",
    INFO_TOPIC: "sensor_msgs/msg/CameraInfo",
    DEPTH_TOPIC: "sensor_msgs/msg/Image",
    DEPTH_INFO_TOPIC: "sensor_msgs/msg/CameraInfo",
    POINTS_TOPIC: "sensor_msgs/msg/PointCloud2",
    TRUTH_TOPIC: "sensor_msgs/msg/Image",
}

_QUEUE_DEPTH = 32
# What may wait in memory for the disk: seven seconds of the bundled clip.
_WAITING_BYTES = 512 << 20
_JPEG_QUALITY = 95
_PROGRESS_S = 0.2
# After the camera's last frame: how long the rest may stay away before it counts as lost, as long as it takes.
_QUIET_S, _DRAIN_S = 3.0, 60.0


@dataclass(frozen=True)
class Record:
    """A serialised message in the spool; times in nanoseconds since 1970."""

    topic: str
    received: int
    stamp: int
    offset: int
    size: int


class Spool:
    """Serialised messages on their way to a nameless temporary file, written by a thread.

    The file vanishes with the process, however it ends. At most ``limit`` bytes and one message wait in memory; a
    disk that is slower than that ends the recording, because a bag with silent holes would be worse.
    """

    def __init__(self, folder: Path, limit: int = _WAITING_BYTES) -> None:
        # Closed with the process: its life is the recorder's.
        with disk():
            self._file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._limit = limit
        self._end = 0
        self._taken = 0
        self._error: DiskError | None = None
        self.records: list[Record] = []
        self._thread = threading.Thread(target=self._write, name="spool", daemon=True)
        self._thread.start()

    def put(self, topic: str, received: int, data: bytes) -> Record:
        """Take a message. DiskError when the disk refused an earlier one, CloudyPointsError when it is too slow."""
        if self._error is not None:
            raise self._error
        waiting = self._end - self._taken
        if waiting > self._limit:
            raise CloudyPointsError(
                f"The disk cannot keep up: {waiting / 1e6:.0f} MB of recorded messages wait to be written. Give an -o "
                "on a faster disk, or a lower --rate."
            )
        record = Record(topic, received, stamp_of(data), self._end, len(data))
        self._end += len(data)
        self.records.append(record)
        self._queue.put(data)
        return record

    def finish(self) -> None:
        """Wait until everything is written. DiskError when the disk refused."""
        self._queue.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def read(self, record: Record) -> bytes:
        with disk():
            self._file.seek(record.offset)
            return self._file.read(record.size)

    def _write(self) -> None:
        while (data := self._queue.get()) is not None:
            if self._error is None:
                try:
                    with disk():
                        self._file.write(data)
                        self._file.flush()  # a full disk shows here, not when the buffer is next needed
                except DiskError as error:
                    self._error = error
            self._taken += len(data)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Record the demo.")
    parser.add_argument("--folder", type=Path, required=True, help="where the bag and the results go")
    parser.add_argument("--journal", type=Path, required=True, help="what the camera wrote")
    args = parser.parse_args(argv)
    return run_child(lambda: _record(args.folder, args.journal, Orders()))


def _record(folder: Path, journal: Path, orders: Orders) -> int:
    spool = Spool(folder)
    if not _receive(spool, orders):
        return 0
    if orders.wait("write", "abort") != {"order": "write"}:
        return 0
    spool.finish()
    with disk():
        frames = json.loads(journal.read_text(encoding="utf-8"))["frames"]

    def stopped() -> bool:
        return orders.get("abort") is not None

    result = write_results(folder, spool, frames, stopped)
    if result is None:
        return 0
    with disk():
        (folder / "recorder.json").write_text(json.dumps(result), encoding="utf-8")
    send("written")
    return 0


def _receive(spool: Spool, orders: Orders) -> bool:
    """Take messages until the camera's last frame has come through; False when told to give up."""
    from cloudypoints_ros import dds

    dds.apply_profile()
    dds.keep_buffers()
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
    from sensor_msgs import msg as types

    rclpy.init()
    try:
        node = rclpy.create_node("demo_recorder")
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        qos = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=_QUEUE_DEPTH, reliability=ReliabilityPolicy.RELIABLE)
        counts = dict.fromkeys(RECORDED, 0)
        newest = dict.fromkeys(RECORDED, 0)
        delay_ms: list[float] = []
        last_arrival = time.monotonic()

        def taker(topic: str) -> Callable[[bytes], None]:
            def take(data: bytes) -> None:
                nonlocal last_arrival
                received = time.time_ns()
                record = spool.put(topic, received, data)
                counts[topic] += 1
                newest[topic] = max(newest[topic], record.stamp)
                last_arrival = time.monotonic()
                if topic == DEPTH_TOPIC:
                    delay_ms.append((received - record.stamp) / 1e6)

            return take

        def subscribe(topic: str) -> None:
            node.create_subscription(getattr(types, RECORDED[topic]), topic, taker(topic), qos, raw=True)

        outputs = (DEPTH_TOPIC, DEPTH_INFO_TOPIC, POINTS_TOPIC)
        for topic in outputs:
            subscribe(topic)
        # The camera starts when it has matched with node and recorder. So the recorder joins the camera's topics
        # only once the node's outputs are there, and no frame can fall between.
        while not all(node.count_publishers(topic) for topic in outputs):
            executor.spin_once(timeout_sec=0.05)
            if orders.get("abort") or not rclpy.ok():
                return False
        subscribe(INFO_TOPIC)
        subscribe(IMAGE_TOPIC)
        send("ready")

        told = 0.0
        while True:
            executor.spin_once(timeout_sec=0.05)
            now = time.monotonic()
            if orders.get("abort") or not rclpy.ok():
                return False
            if now - told >= _PROGRESS_S:
                told = now
                recent = delay_ms[-50:]
                send(
                    "progress",
                    images=counts[IMAGE_TOPIC],
                    depths=counts[DEPTH_TOPIC],
                    p50=float(np.median(recent)) if recent else None,
                )
            drain = orders.get("drain")
            if drain is None:
                drain_start = now
                continue
            everything = min(newest.values()) >= drain["last_stamp"] and counts[IMAGE_TOPIC] >= drain["count"]
            quiet = now - max(last_arrival, drain_start) > _QUIET_S
            if everything or quiet or now - drain_start > _DRAIN_S:
                send("drained", depths=counts[DEPTH_TOPIC])
                return True
    finally:
        rclpy.try_shutdown()


@disk()
def write_results(
    folder: Path, spool: Spool, frames: list[dict[str, Any]], stopped: Callable[[], bool] = lambda: False
) -> dict[str, Any] | None:
    """Write ``folder/demo_0`` (the bag) and ``folder/frame.npz`` (for the picture); counts, delays and errors.

    ``frames`` is the camera's journal. None when ``stopped`` said so; DiskError when the disk is full.
    """
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    forever = QosTime(2147483647, 4294967295)
    qos = Qos(
        history=QosHistory.KEEP_LAST,
        depth=10,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.VOLATILE,
        deadline=forever,
        lifespan=forever,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=forever,
        avoid_ros_namespace_conventions=False,
    )
    # By time of arrival, as a bag is read; the truth follows its image.
    records = sorted(spool.records, key=lambda record: record.received)
    truths = {frame["stamp"]: Path(frame["truth"]) for frame in frames if frame["truth"]}
    truth_map = lru_cache(maxsize=4)(read_truth)
    shown = _frame_to_show(records, truths)
    picture: dict[str, Array] = {}
    scores: list[Score] = []

    # The file takes its name from the folder; the folder is renamed when it is complete.
    writer = Writer(folder / "demo_0", version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with writer:
        topics = [topic for topic in BAG_TYPES if topic != TRUTH_TOPIC or truths]
        connections = {
            topic: writer.add_connection(topic, BAG_TYPES[topic], typestore=store, offered_qos_profiles=[qos])
            for topic in topics
        }
        for done, record in enumerate(records):
            if stopped():
                return None
            if done % 20 == 0:
                send("writing", done=done, total=len(records))
            data = spool.read(record)
            if record.topic == IMAGE_TOPIC:
                message: Any = store.deserialize_cdr(data, "sensor_msgs/msg/Image")
                if record.stamp == shown:
                    picture["image"] = _pixels(message)
                jpeg = _jpeg(store, message)
                writer.write(connections[JPEG_TOPIC], record.received, jpeg)
                truth = truths.get(record.stamp)
                if truth is not None:
                    measured = _depth_image(store, message.header, truth_map(truth))
                    writer.write(connections[TRUTH_TOPIC], record.received, measured)
                continue
            writer.write(connections[record.topic], record.received, data)
            if record.topic == DEPTH_TOPIC and (record.stamp == shown or record.stamp in truths):
                depth = _depth(store.deserialize_cdr(data, "sensor_msgs/msg/Image"))
                if record.stamp == shown:
                    picture["depth"] = depth
                if record.stamp in truths:
                    scores.append(_score(depth, truth_map(truths[record.stamp])))
            elif record.topic == POINTS_TOPIC and record.stamp == shown:
                message = store.deserialize_cdr(data, "sensor_msgs/msg/PointCloud2")
                picture["points"] = np.asarray(message.data, np.uint8)
    if len(picture) == 3:
        np.savez(folder / "frame.npz", stamp=np.int64(shown), **picture)  # type: ignore[arg-type]
    send("writing", done=len(records), total=len(records))

    by_topic = {topic: [r for r in records if r.topic == topic] for topic in RECORDED}
    return {
        "counts": {topic: len(found) for topic, found in by_topic.items()},
        "delays_ms": {
            topic: percentiles_ms((r.received - r.stamp) / 1e6 for r in found)
            for topic, found in by_topic.items()
            if topic in (IMAGE_TOPIC, DEPTH_TOPIC, POINTS_TOPIC)
        },
        "truth": _mean_score(scores),
        "shown": next((n for n, frame in enumerate(frames) if frame["stamp"] == shown), None),
    }


def _frame_to_show(records: list[Record], truths: dict[int, Path]) -> int:
    """The stamp of the middle one of the frames that came through whole, with truth if there are such; 0 if none."""
    whole = set.intersection(
        *({r.stamp for r in records if r.topic == topic} for topic in (IMAGE_TOPIC, DEPTH_TOPIC, POINTS_TOPIC))
    )
    stamps = sorted(whole & truths.keys()) or sorted(whole)
    return stamps[len(stamps) // 2] if stamps else 0


def _pixels(message: Any) -> Array:
    """uint8 BGR (H, W, 3) of the camera's own bgr8 message."""
    return np.asarray(message.data, np.uint8).reshape(message.height, message.width, 3)


def _jpeg(store: Any, message: Any) -> Any:
    """The serialised CompressedImage of a bgr8 Image."""
    ok, encoded = cv2.imencode(".jpg", _pixels(message), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not ok:
        raise CloudyPointsError(
            f"A {message.width}x{message.height} image cannot be stored as JPEG; give images of at most 65535 pixels "
            "a side."
        )
    types = store.types
    compressed = types["sensor_msgs/msg/CompressedImage"](message.header, "jpeg", encoded.reshape(-1))
    return store.serialize_cdr(compressed, "sensor_msgs/msg/CompressedImage")


def _depth_image(store: Any, header: Any, depth: Array) -> Any:
    """The serialised 32FC1 Image of a depth map, float32 (H, W) metres, NaN unknown."""
    pixels = np.ascontiguousarray(depth, "<f4")
    height, width = pixels.shape
    image = store.types["sensor_msgs/msg/Image"](
        header, height, width, "32FC1", 0, width * 4, pixels.reshape(-1).view(np.uint8)
    )
    return store.serialize_cdr(image, "sensor_msgs/msg/Image")


def _depth(message: Any) -> Array:
    """float32 (H, W) metres of a 32FC1 Image."""
    if message.encoding != "32FC1":
        raise CloudyPointsError(f"The depth came as {message.encoding}; the demo expects 32FC1, set depth.encoding.")
    return np.asarray(message.data, np.uint8).view("<f4").reshape(message.height, message.width)


@dataclass(frozen=True)
class Score:
    """One frame against its truth, 1 to 80 m, and what a constant depth would score there."""

    raw: DepthMetrics
    scaled: DepthMetrics
    constant: ConstantErrors


def _score(depth: Array, truth: Array) -> Score:
    if truth.shape != depth.shape:
        # Measured depth must not be blended: the estimate is sampled at the truth's pixels.
        depth = np.asarray(cv2.resize(depth, truth.shape[::-1], interpolation=cv2.INTER_NEAREST))
    scaled = depth_metrics(depth, truth, median_scaled=True)
    return Score(depth_metrics(depth, truth), scaled, constant_errors(truth))


def _mean_score(scores: list[Score]) -> dict[str, float] | None:
    """The mean over frames, each counting the same, and the totals; None without any compared pixel."""
    scores = [score for score in scores if score.raw.n]
    if not scores:
        return None
    floor = mean_constant_errors([score.constant for score in scores])
    return {
        "frames": len(scores),
        "pixels": sum(score.raw.n for score in scores),
        "abs_rel": float(np.mean([score.raw.abs_rel for score in scores])),
        "abs_rel_scaled": float(np.mean([score.scaled.abs_rel for score in scores])),
        "missing": float(np.mean([score.raw.missing for score in scores])),
        "constant_m": floor.best_m,
        "constant": float(floor.raw.min()),
        "constant_scaled": floor.scaled,
    }


if __name__ == "__main__":
    sys.exit(main())
