"""Our conversions beside what one would otherwise write, on the same data by turns."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import Any

from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header

from cloudypoints_ros import messages
from cloudypoints_ros.benchmark import rivals
from cloudypoints_ros.benchmark.crew import Show
from cloudypoints_ros.benchmark.options import Load, Options
from cloudypoints_ros.benchmark.pictures import street_camera, street_images
from cloudypoints_ros.benchmark.stages import by_turns
from cloudypoints_ros.dds import keep_buffers
from cloudypoints_ros.geometry import CloudOptions, cloud
from cloudypoints_ros.pipeline import Pipeline
from cloudypoints_ros.postprocess import depth_map
from cloudypoints_ros.preprocess import network_image, place
from cloudypoints_ros.stats import summary_ms

# The steps of one frame: their sum is what a frame takes around the network. The others are variants.
IN_FRAME = ("rgb8 message to array", "array to network input", "network output to depth",
            "depth to message", "depth to cloud message")  # fmt: skip
_BUDGET_S = 10.0

# Step -> what the other one is, ours, the other one.
Steps = dict[str, tuple[str, Callable[[], Any], Callable[[], Any]]]


def compare_part(options: Options, show: Show) -> dict[str, Any]:
    """By step: milliseconds of both and the median of the pairs' ratios, the other's over ours."""
    keep_buffers()
    load = options.loads[0]
    steps = steps_of(Pipeline.open(), load)  # what is compared does not depend on the model
    result: dict[str, Any] = {}
    for name, (what, ours, theirs) in steps.items():
        took, other = by_turns((ours, theirs), options.frames, _BUDGET_S, partial(show, f"compare: {name}"))
        result[name] = {
            "otherwise": what,
            "ours_ms": summary_ms(took),
            "otherwise_ms": summary_ms(other),
            "ratio": round(median(b / a for a, b in zip(took, other, strict=True)), 2),
        }
    torch = "not installed here" if find_spec("torch") is None else "installed"
    return {"size": f"{load.width}x{load.height}", "stride": load.stride, "steps": result, "torch": torch}


def steps_of(pipeline: Pipeline, load: Load) -> Steps:
    """Both ways of every step for one image of this load."""
    card, camera, header = pipeline.card, street_camera(load.width, load.height), Header(frame_id="camera")
    rgb = street_images(load.width, load.height, 1)[0]
    bgr = rgb[..., ::-1].copy()
    raw = messages.image_message(rgb, header, "rgb8")
    placement = place(camera.width, camera.height, card.input.size, card.input.resize)
    outputs = pipeline.engine.infer({card.input.tensor: network_image(rgb, placement, card.input)})
    depth = depth_map(outputs, card.output, camera, placement)
    depth_msg, points_msg, every_msg = Image(), PointCloud2(), PointCloud2()

    def points(stride: int, msg: PointCloud2) -> PointCloud2:
        return messages.cloud_message(cloud(depth, camera, rgb, "rgb", CloudOptions("xyzrgb", stride)), header, msg)

    return {
        "rgb8 message to array": (
            "as cv_bridge, to bgr8",
            lambda: messages.decode(raw),
            lambda: rivals.picture(raw),
        ),
        "array to network input": (
            "cv2.resize by area, numpy",
            lambda: network_image(rgb, placement, card.input),
            lambda: rivals.network_input(bgr, placement, card.input),
        ),
        "network output to depth": (
            "numpy, cv2.resize",
            lambda: depth_map(outputs, card.output, camera, placement),
            lambda: rivals.depth(outputs, card.output, camera, placement),
        ),
        "depth to message": (
            "as cv_bridge, a new message",
            lambda: messages.depth_message(depth, header, "32FC1", depth_msg),
            lambda: rivals.depth_message(depth, header),
        ),
        "depth to cloud message": (
            f"vectorised numpy, stride {load.stride}",
            lambda: points(load.stride, points_msg),
            lambda: rivals.cloud_message(depth, camera, rgb, load.stride, header),
        ),
        "the same, every pixel": (
            "vectorised numpy",
            lambda: points(1, every_msg),
            lambda: rivals.cloud_message(depth, camera, rgb, 1, header),
        ),
        "depth to message, assigned": (
            "msg.data = array",
            lambda: messages.depth_message(depth, header, "32FC1", depth_msg),
            lambda: rivals.depth_message_by_assignment(depth, header),
        ),
    }
