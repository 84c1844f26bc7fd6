"""Every stage of a frame in one process, sizes by turns; and the engine's wrapper beside the bare session."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from cloudypoints_ros import messages
from cloudypoints_ros.benchmark.crew import Show
from cloudypoints_ros.benchmark.options import Load, Options
from cloudypoints_ros.benchmark.pictures import Array, jpeg, street_camera, street_images
from cloudypoints_ros.dds import keep_buffers
from cloudypoints_ros.geometry import CloudOptions, cloud
from cloudypoints_ros.model_files import resolve
from cloudypoints_ros.pipeline import Pipeline
from cloudypoints_ros.preprocess import network_image, place
from cloudypoints_ros.stats import summary_ms

_WARM = 5
_IMAGES = 6
# What a frame of the node consists of; the JPEG takes the place of the raw image where the camera sends that.
IN_FRAME = ("decode rgb8", "preprocess", "infer", "postprocess", "depth message", "cloud", "cloud message")
STAGES = ("decode jpeg", *IN_FRAME)


def stages_part(options: Options, show: Show) -> dict[str, Any]:
    """By image size: milliseconds of every stage and of the whole frame (raw image), without DDS."""
    keep_buffers()  # as the node does
    pipeline = Pipeline.open(options.model)
    pipeline.warm_up()
    loads = {f"{load.width}x{load.height}": load for load in reversed(options.loads)}
    frames = {size: _Frame(pipeline, load) for size, load in loads.items()}
    times: dict[str, dict[str, list[float]]] = {size: defaultdict(list) for size in frames}
    for number in range(-_WARM, options.frames):
        show("stages", max(0, number) / options.frames)
        for size, frame in frames.items():
            took = frame.run(number + _WARM)
            took["frame"] = sum(took[stage] for stage in IN_FRAME)
            took["outside the model"] = took["frame"] - took["infer"]
            for stage, ms in took.items() if number >= 0 else ():
                times[size][stage].append(ms)
    return {
        "frames": options.frames,
        "stride": next(iter(loads.values())).stride,
        "sizes": {size: {name: summary_ms(ms) for name, ms in by_stage.items()} for size, by_stage in times.items()},
        "engine": engine_beside_session(pipeline, resolve(options.model), loads, options.frames, show),
    }


class _Frame:
    """The messages of one camera, and one frame's way through them."""

    def __init__(self, pipeline: Pipeline, load: Load) -> None:
        self._pipeline = pipeline
        self._camera = street_camera(load.width, load.height)
        self._cloud = CloudOptions("xyzrgb", load.stride)
        self._header = Header(frame_id="camera")
        images = street_images(load.width, load.height, _IMAGES)
        self._raw = [messages.image_message(image, self._header, "rgb8") for image in images]
        self._jpeg = [_compressed(image) for image in images]
        self._depth, self._points = Image(), PointCloud2()  # filled again and again, as the node does

    def run(self, number: int) -> dict[str, float]:
        """Milliseconds by stage of the next image."""
        took: dict[str, float] = {}
        raw = self._raw[number % len(self._raw)]
        lap = _Laps(took)
        messages.decode_compressed(self._jpeg[number % len(self._jpeg)])
        lap("decode jpeg")
        picture = messages.decode(raw)
        lap("decode rgb8")
        frame = self._pipeline.depth(picture.image, self._camera, picture.order)
        took |= frame.times_ms
        lap.skip()
        messages.depth_message(frame.depth, self._header, "32FC1", self._depth)
        lap("depth message")
        packed = cloud(frame.depth, frame.camera, picture.image, picture.order, self._cloud)
        lap("cloud")
        messages.cloud_message(packed, self._header, self._points)
        lap("cloud message")
        return took


class _Laps:
    def __init__(self, took: dict[str, float]) -> None:
        self._took, self._last = took, perf_counter()

    def __call__(self, stage: str) -> None:
        now = perf_counter()
        self._took[stage] = (now - self._last) * 1e3
        self.skip()

    def skip(self) -> None:
        self._last = perf_counter()


def engine_beside_session(
    pipeline: Pipeline, model: Path, loads: dict[str, Load], frames: int, show: Show
) -> dict[str, Any]:
    """By image size: our engine and a session that was opened as it was, on the same input by turns.

    ``ratio`` is the median of the pairs' ratios, ours over the bare one's.
    """
    engine = pipeline.engine
    result: dict[str, Any] = {"name": engine.name, "precision": engine.precision, "sizes": {}}
    session = _bare_session(pipeline, model)
    if session is None:
        return result
    output = pipeline.card.output
    wanted = [output.tensor, *(mask.tensor for mask in (output.sky, output.validity) if mask)]
    for size, load in loads.items():
        camera = street_camera(load.width, load.height)
        image = street_images(load.width, load.height, 1)[0]
        placement = place(camera.width, camera.height, pipeline.card.input.size, pipeline.card.input.resize)
        inputs: dict[str, Array] = {
            pipeline.card.input.tensor: network_image(image, placement, pipeline.card.input, "rgb")
        }
        calls: tuple[Callable[[], Any], ...] = (lambda: engine.infer(inputs), lambda: session.run(wanted, inputs))  # noqa: B023
        ours, bare = by_turns(calls, frames, show=partial(show, f"engine {size}"))
        result["sizes"][size] = {
            "input": f"{placement.width}x{placement.height}",
            "engine_ms": summary_ms(ours),
            "session_ms": summary_ms(bare),
            "ratio": round(median(a / b for a, b in zip(ours, bare, strict=True)), 4),
        }
    return result


def _bare_session(pipeline: Pipeline, model: Path) -> Any:
    """An ONNX Runtime session on the same model with the same options; None where the engine is another one or the
    network takes more than an image."""
    own = getattr(pipeline.engine, "_session", None)
    if own is None or pipeline.card.input.ray_angles:
        return None
    import onnxruntime

    # The very options of the engine's own session, so that only the wrapper differs.
    options = own.get_session_options()
    return onnxruntime.InferenceSession(str(model), options, providers=own.get_providers())


def by_turns(
    calls: tuple[Callable[[], Any], ...],
    times: int,
    budget_s: float = 20.0,
    show: Callable[[float], None] = lambda _share: None,
) -> list[list[float]]:
    """Milliseconds of each of the calls, run one after the other and each first in its turn; ends early when
    ``budget_s`` is spent."""
    took: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    start = perf_counter()
    for turn in range(times):
        show(turn / times)
        for position in range(len(calls)):
            which = (position + turn) % len(calls)
            began = perf_counter()
            calls[which]()
            took[which].append((perf_counter() - began) * 1e3)
        if perf_counter() - start > budget_s:
            break
    return took


def _compressed(image: Array) -> CompressedImage:
    message = CompressedImage(format="jpeg")
    message.data.frombytes(np.frombuffer(jpeg(image), np.uint8).data)
    return message
