"""The way of a frame: preprocess, engine, postprocess, geometry. Knows no ROS; every door uses it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.engines import AUTO, Engine, open_engine
from cloudypoints_ros.engines.choice import CANDIDATES, Candidate, Choice, open_best
from cloudypoints_ros.engines.contract import zeros
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.geometry import CloudOptions, cloud
from cloudypoints_ros.model_card import ModelCard
from cloudypoints_ros.model_files import load_card, resolve
from cloudypoints_ros.mount import Mount
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


# Each filter has compiled code of its own, and packs what another memory layout holds.
_CLOUDS = (
    CloudOptions(),
    CloudOptions(max_height_m=100.0),
    CloudOptions(min_incidence_deg=1.0),
    CloudOptions(voxel_m=1.0),
)


class Pipeline:
    """A model and its engine, ready for images of any size from any calibrated camera."""

    def __init__(self, card: ModelCard, engine: Engine, choice: Choice | None = None) -> None:
        self.card = card
        self.engine = engine
        self.choice = choice or Choice(engine.name)

    @staticmethod
    def open(
        model: Path | str | None = None,
        engine: str = "onnxruntime",
        threads: int = 0,
        scaled: bool = False,
        among: Sequence[Candidate] | None = None,
        build: bool = False,
    ) -> Pipeline:
        """Load a model, by path or by its name in the library; none is the embedded one.

        Raises CloudyPointsError with the remedy.

        ``scaled`` says that the caller multiplies the depth by a factor that makes metres of it; without, a relative
        model is refused. With the engine "auto", ``among`` are those that it is chosen from (none: all) and ``build``
        says whether one that has to be built first may be.
        """
        path = resolve(model)
        card = load_card(path)
        require_metres(card, scaled)
        if engine == AUTO:
            return Pipeline(card, *open_best(path, card, threads, CANDIDATES if among is None else among, build))
        return Pipeline(card, open_engine(engine, path, card, threads), Choice(engine, (("auto", "not asked for"),)))

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
        self.warm_engine()
        image = np.full((320, 640, 3), 127, np.uint8)
        pinhole = Camera(640, 320, 500.0, 500.0, 319.5, 159.5)
        distorted = Camera(640, 320, 500.0, 500.0, 319.5, 159.5, "plumb_bob", (-0.1, 0.0, 0.0, 0.0))
        depth = self.depth(image, pinhole).depth
        for camera in (pinhole, distorted):
            for stride in (1, 4):
                for options in _CLOUDS:
                    cloud(depth, camera, image, options=dataclasses.replace(options, stride=stride), mount=Mount(1.5))
        colorize(depth)

    def warm_engine(self) -> None:
        """Run the network once on zeros of its preferred size, so that its first real image is no slower than others.

        Safe while another pipeline works: the compiled loops of this package are not touched.
        """
        self.engine.infer(zeros(self.card))


def require_metres(card: ModelCard, scaled: bool) -> None:
    """CloudyPointsError when the model's depth is relative and nobody makes metres of it."""
    if card.output.unit != "metre" and not scaled:
        raise CloudyPointsError(
            f"The model {card.name} predicts relative depth, which is not metres; use a metric model, for instance the "
            "default one, or in the node set scale.source to camera_height or constant first."
        )
