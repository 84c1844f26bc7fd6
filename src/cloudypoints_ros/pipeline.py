"""The way of a frame: preprocess, engine, postprocess, geometry. Knows no ROS; every door uses it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.engines import Engine, open_engine
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.geometry import CloudOptions, cloud
from cloudypoints_ros.model_card import ModelCard
from cloudypoints_ros.model_files import DEFAULT_MODEL, load_card
from cloudypoints_ros.postprocess import depth_map
from cloudypoints_ros.preprocess import network_image, place, ray_angles
from cloudypoints_ros.preview import colorize

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class DepthFrame:
    """One answer: ``depth`` float32 (H, W) metres along Z, NaN invalid, +inf sky, and the ``camera`` that fits it.

    ``times_ms`` holds the milliseconds of preprocess, infer and postprocess.
    """

    depth: Array
    camera: Camera
    times_ms: dict[str, float]


class Pipeline:
    """A model and its engine, ready for images of any size from any calibrated camera."""

    def __init__(self, card: ModelCard, engine: Engine) -> None:
        if card.output.unit != "metre":
            raise CloudyPointsError(
                f"The model {card.name} predicts relative depth, which is not metres; use a metric model, for "
                "instance the default one."
            )
        self.card = card
        self.engine = engine

    @staticmethod
    def open(model: Path | str | None = None, engine: str = "onnxruntime", threads: int = 0) -> Pipeline:
        """Load a model; none means the embedded default. Raises CloudyPointsError with the remedy."""
        path = Path(model) if model else DEFAULT_MODEL
        card = load_card(path)
        return Pipeline(card, open_engine(engine, path, card, threads))

    def depth(
        self, image: Array, camera: Camera, order: str = "rgb", size: tuple[int, int] | None = None
    ) -> DepthFrame:
        """Metric depth of one image, uint8 (H, W, 3) with channels in ``order`` ("rgb" or "bgr").

        The answer has the image's size, or ``size`` (width, height) with the camera that fits it.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise CloudyPointsError(f"The image is {image.dtype} {image.shape}; expected uint8 (height, width, 3).")
        if image.shape[:2] != (camera.height, camera.width):
            raise CloudyPointsError(
                f"The image is {image.shape[1]}x{image.shape[0]} but its camera is {camera.width}x{camera.height}; "
                "give the intrinsics of this image size."
            )
        start = perf_counter()
        image = np.ascontiguousarray(image)  # the compiled loops know one layout; a copy only where it differs
        placement = place(camera.width, camera.height, self.card.input.size, self.card.input.resize)
        inputs = {self.card.input.tensor: network_image(image, placement, self.card.input, order)}
        if self.card.input.ray_angles:
            inputs[self.card.input.ray_angles] = ray_angles(camera, placement)
        prepared = perf_counter()
        outputs = self.engine.infer(inputs)
        inferred = perf_counter()
        depth_camera = camera if size is None else camera.resized(*size)
        depth = depth_map(outputs, self.card.output, camera, placement, (depth_camera.width, depth_camera.height))
        done = perf_counter()
        times = {
            "preprocess": (prepared - start) * 1e3,
            "infer": (inferred - prepared) * 1e3,
            "postprocess": (done - inferred) * 1e3,
        }
        return DepthFrame(depth, depth_camera, times)

    def warm_up(self) -> None:
        """Run once on a grey image so that compilation is over before the first real frame.

        Pinhole and distorted cameras, all pixels and some, differ in memory layout and so in compiled code.
        """
        image = np.full((320, 640, 3), 127, np.uint8)
        pinhole = Camera(640, 320, 500.0, 500.0, 319.5, 159.5)
        distorted = Camera(640, 320, 500.0, 500.0, 319.5, 159.5, "plumb_bob", (-0.1, 0.0, 0.0, 0.0))
        depth = self.depth(image, pinhole).depth
        for camera in (pinhole, distorted):
            for stride in (1, 4):
                cloud(depth, camera, image, options=CloudOptions(stride=stride))
        colorize(depth)
