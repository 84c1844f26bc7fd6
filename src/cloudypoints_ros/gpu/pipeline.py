"""The questions of pipeline.Pipeline and geometry.cloud, answered by one pass through the device.

What the device does not do (voxels, flying points, height bands) is done on the CPU after the copy out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.engines import Engine
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.geometry import Cloud, CloudOptions, cloud
from cloudypoints_ros.gpu import pixels, points
from cloudypoints_ros.gpu.blocks import DEPTH_TYPES, Shape
from cloudypoints_ros.gpu.frame import Answer, Frames, Pending, View
from cloudypoints_ros.gpu.pixels import RawImage
from cloudypoints_ros.gpu.way import TensorEngine
from cloudypoints_ros.model_card import ModelCard
from cloudypoints_ros.mount import Mount

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Wanted:
    """What is asked of a frame. ``depth`` is 32FC1, 16UC1 or "" for none, ``cloud`` None for none.

    ``size`` (width, height) of the depth defaults to the region's; ``region`` (x, y, width, height) to the whole image.
    """

    depth: str = "32FC1"
    cloud: CloudOptions | None = None
    size: tuple[int, int] | None = None
    region: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class Look:
    """One image to look at: ``camera`` is the region's; ``scale`` multiplies the depth; ``blank``, bool of the depth's
    size, says where there shall be none; ``mount`` is asked by the cloud's filters alone."""

    image: RawImage
    camera: Camera
    scale: float = 1.0
    blank: Array | None = None
    mount: Mount | None = None


@dataclass(frozen=True)
class Started:
    """A frame in flight and what is left to do with it."""

    pending: Pending
    looks: tuple[Look, ...]
    wanted: Wanted


class HostEngine:
    """An engine of the CPU behind the tensors of a device: for tests, and where no engine runs on the device."""

    batch, capturable = 1, False

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name, self.precision = engine.name, engine.precision

    def enqueue(self, inputs: Mapping[str, Tensor], stream: Any) -> dict[str, Tensor]:
        outputs = self._engine.infer({name: value.cpu().numpy() for name, value in inputs.items()})
        device = next(iter(inputs.values())).device
        return {name: torch.from_numpy(np.ascontiguousarray(value)).to(device) for name, value in outputs.items()}


class GpuPipeline:
    """A model on a device. :meth:`start` and :meth:`finish` let the next frame be sent while one is computed."""

    def __init__(self, card: ModelCard, engine: TensorEngine, device: str = "cuda", graphs: bool = True) -> None:
        self.card, self.engine = card, engine
        self.frames = Frames(card, engine, torch.device(device), graphs)

    def look(self, image: RawImage, camera: Camera, wanted: Wanted, **more: Any) -> Answer:
        """Depth and cloud of one image; ``more`` is what :class:`Look` takes."""
        return self.finish(self.start([Look(image, camera, **more)], wanted))[0]

    def start(self, looks: Sequence[Look], wanted: Wanted) -> Started:
        """Send images of equal size and encoding, one per camera, in one batch.

        Raises CloudyPointsError for what cannot be asked, EngineLost when the device fails.
        """
        shape = _shape(looks, wanted)
        views = [View(each.image.packed, each.camera, each.scale, each.blank) for each in looks]
        return Started(self.frames.start(shape, views), tuple(looks), wanted)

    def finish(self, started: Started) -> list[Answer]:
        """The answers, one per image; how long their arrays live is said there."""
        answers = self.frames.finish(started.pending)
        if _on_device(started.wanted.cloud):
            return answers
        return [_filtered(answer, look, started.wanted) for answer, look in zip(answers, started.looks, strict=True)]


def _on_device(options: CloudOptions | None) -> bool:
    return options is None or points.packs(options)


def _shape(looks: Sequence[Look], wanted: Wanted) -> Shape:
    image = looks[0].image
    region = wanted.region or (0, 0, image.width, image.height)
    if wanted.depth not in ("", *DEPTH_TYPES):
        raise CloudyPointsError(f"The depth encoding is '{wanted.depth}'; expected {' or '.join(DEPTH_TYPES)}.")
    for look in looks:
        pixels.check(look.image)
        if (look.image.width, look.image.height, look.image.encoding, look.image.big_endian) != (
            image.width, image.height, image.encoding, image.big_endian,
        ):  # fmt: skip
            raise CloudyPointsError(
                f"A batch has images of {image.width}x{image.height} {image.encoding} and of {look.image.width}x"
                f"{look.image.height} {look.image.encoding}; send those of one size and encoding together."
            )
        if (look.camera.width, look.camera.height) != region[2:]:
            raise CloudyPointsError(
                f"The image, or its region, is {region[2]}x{region[3]} but its camera is {look.camera.width}x"
                f"{look.camera.height}; give the intrinsics of this image size."
            )
    on_device = _on_device(wanted.cloud)
    return Shape(
        count=len(looks),
        width=image.width,
        height=image.height,
        encoding=image.encoding,
        big_endian=image.big_endian,
        region=region,
        depth_size=wanted.size or region[2:],
        depth=wanted.depth if on_device else "32FC1",
        cloud=wanted.cloud if on_device else None,
        pinhole=all(look.camera.pinhole for look in looks),
    )


def _filtered(answer: Answer, look: Look, wanted: Wanted) -> Answer:
    """The cloud by the CPU, from the depth that came back."""
    assert answer.depth is not None
    depth = answer.depth
    raw = look.image
    x, y, width, height = wanted.region or (0, 0, raw.width, raw.height)
    rows = torch.from_numpy(np.ascontiguousarray(raw.packed))[None]
    picture = pixels.colours(rows, raw.encoding, raw.big_endian)[0, y : y + height, x : x + width].numpy()
    if picture.shape[:2] != depth.shape:
        picture = cv2.resize(np.ascontiguousarray(picture), depth.shape[::-1], interpolation=cv2.INTER_AREA)
    camera = look.camera.resized(depth.shape[1], depth.shape[0])
    order = pixels.order(raw.encoding)
    packed: Cloud = cloud(depth, camera, np.ascontiguousarray(picture), order, wanted.cloud, look.mount)
    return dataclasses.replace(_encoded(answer, wanted.depth), cloud=packed)


def _encoded(answer: Answer, depth: str) -> Answer:
    """The depth as it was asked for."""
    if depth == "32FC1" or answer.depth is None:
        return answer
    if not depth:
        return dataclasses.replace(answer, depth=None)
    whole, too_far = points.millimetres(torch.from_numpy(answer.depth))
    return dataclasses.replace(answer, depth=whole.numpy().view(np.uint16), too_far=int(too_far.sum()))
