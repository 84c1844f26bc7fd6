"""What a model eats and what it returns: the card that travels with every ONNX file.

The card is versioned JSON, ``NAME.card.json`` beside ``NAME.onnx`` and the same text in the ONNX metadata under
``cloudypoints.card``. Standard library only, so that any tool can read it.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloudypoints_ros.errors import CloudyPointsError

VERSION = 1
METADATA_KEY = "cloudypoints.card"

RESIZE = ("letterbox", "stretch")
COLOUR = ("rgb", "bgr")
QUANTITY = ("depth", "log_depth", "inverse_depth")
UNIT = ("metre", "relative")
SENSE = ("above", "below")


@dataclass(frozen=True)
class InputSize:
    """Allowed network input sizes as (height, width) pixels; fixed when the three are equal.

    Heights and widths are multiples of ``multiple``.
    """

    min: tuple[int, int]
    opt: tuple[int, int]
    max: tuple[int, int]
    multiple: int = 1

    @property
    def fixed(self) -> bool:
        return self.min == self.opt == self.max


@dataclass(frozen=True)
class ModelInput:
    """The image tensor, float32 (1, 3, H, W): ``(pixel * scale - mean) / std`` per channel, pixels 0 to 255.

    ``ray_angles`` names an optional second input, float32 (1, 2, H, W): atan(x/z) and atan(y/z) per pixel.
    """

    tensor: str
    size: InputSize
    resize: str
    colour: str
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    ray_angles: str | None = None


@dataclass(frozen=True)
class Mask:
    """An optional output, (1, 1, h, w): true where the tensor is ``sense`` (above or below) ``threshold``."""

    tensor: str
    sense: str
    threshold: float


@dataclass(frozen=True)
class ModelOutput:
    """The depth tensor, (1, 1, h, w) or (1, h, w), and what its numbers mean.

    With ``canonical_focal_px`` = f_c the model predicts as if the focal length at the network were f_c, and
    metres = predicted * f_net / f_c. Depths outside ``range_m`` are clipped to it.
    """

    tensor: str
    quantity: str
    unit: str
    range_m: tuple[float, float]
    canonical_focal_px: float | None = None
    validity: Mask | None = None
    sky: Mask | None = None
    log_variance: str | None = None


@dataclass(frozen=True)
class ModelCard:
    name: str
    input: ModelInput
    output: ModelOutput
    licence: str
    provenance: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        record: dict[str, Any] = {"version": VERSION, **dataclasses.asdict(self)}
        size = self.input.size
        if size.fixed:
            record["input"]["size"] = {"fixed": list(size.opt)}
        return json.dumps(record, indent=1) + "\n"

    @staticmethod
    def from_json(text: str, where: str = "The model card") -> ModelCard:
        """Parse and check a card; ``where`` names it in errors."""
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise CloudyPointsError(f"{where} is not JSON ({error}); export the model again.") from error
        if not isinstance(data, dict):
            raise CloudyPointsError(f"{where} holds no JSON object; export the model again.")
        version = data.pop("version", None)
        if version != VERSION:
            raise CloudyPointsError(
                f"{where} has version {version}, this program reads version {VERSION}; upgrade cloudypoints_ros or "
                "export the model again."
            )
        try:
            return _card(data)
        except (KeyError, TypeError, ValueError) as error:
            raise CloudyPointsError(
                f"{where} is incomplete or wrong ({type(error).__name__}: {error}); correct it or export the "
                "model again."
            ) from error


def card_path(model: Path) -> Path:
    """Where the card of ``NAME.onnx`` lies: ``NAME.card.json`` beside it."""
    return model.with_suffix(".card.json")


def _card(data: dict[str, Any]) -> ModelCard:
    return ModelCard(
        name=str(data["name"]),
        input=_input(data["input"]),
        output=_output(data["output"]),
        licence=str(data["licence"]),
        provenance=dict(data.get("provenance", {})),
    )


def _input(data: dict[str, Any]) -> ModelInput:
    return ModelInput(
        tensor=str(data["tensor"]),
        size=_size(data["size"]),
        resize=_choice(data, "resize", RESIZE),
        colour=_choice(data, "colour", COLOUR),
        scale=_positive("scale", data["scale"]),
        mean=_triple(data["mean"]),
        std=_positive_triple(data["std"]),
        ray_angles=data.get("ray_angles"),
    )


def _output(data: dict[str, Any]) -> ModelOutput:
    near, far = (float(v) for v in data["range_m"])
    if not 0 < near < far:
        raise ValueError(f"range_m is {near} to {far}, expected 0 < near < far")
    focal = data.get("canonical_focal_px")
    return ModelOutput(
        tensor=str(data["tensor"]),
        quantity=_choice(data, "quantity", QUANTITY),
        unit=_choice(data, "unit", UNIT),
        range_m=(near, far),
        canonical_focal_px=None if focal is None else _positive("canonical_focal_px", focal),
        validity=_mask(data.get("validity")),
        sky=_mask(data.get("sky")),
        log_variance=data.get("log_variance"),
    )


def _size(data: dict[str, Any]) -> InputSize:
    if "fixed" in data:
        pair = _pair(data["fixed"])
        return InputSize(pair, pair, pair)
    size = InputSize(_pair(data["min"]), _pair(data["opt"]), _pair(data["max"]), int(data["multiple"]))
    for low, middle, high in zip(size.min, size.opt, size.max, strict=True):
        if not 0 < low <= middle <= high:
            raise ValueError(f"size is {size}, expected min <= opt <= max")
        if size.multiple < 1 or any(v % size.multiple for v in (low, middle, high)):
            raise ValueError(f"size is {size}, expected multiples of {size.multiple}")
    return size


def _mask(data: dict[str, Any] | None) -> Mask | None:
    if data is None:
        return None
    return Mask(str(data["tensor"]), _choice(data, "sense", SENSE), float(data["threshold"]))


def _choice(data: dict[str, Any], key: str, allowed: tuple[str, ...]) -> str:
    value = data[key]
    if value not in allowed:
        raise ValueError(f"{key} is '{value}', expected one of {', '.join(allowed)}")
    return str(value)


def _pair(values: Any) -> tuple[int, int]:
    height, width = (int(v) for v in values)
    if height < 1 or width < 1:
        raise ValueError(f"size {height}x{width} must be positive")
    return height, width


def _positive(key: str, value: Any) -> float:
    number = float(value)
    if not 0 < number < float("inf"):
        raise ValueError(f"{key} is {number}, expected a positive number")
    return number


def _positive_triple(values: Any) -> tuple[float, float, float]:
    a, b, c = (_positive("std", v) for v in values)
    return a, b, c


def _triple(values: Any) -> tuple[float, float, float]:
    a, b, c = (float(v) for v in values)
    return a, b, c
