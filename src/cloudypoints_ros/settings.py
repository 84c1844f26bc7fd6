"""The parameters' values as the node uses them: typed, checked, and for one camera at a time. Knows no ROS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from cloudypoints_ros.geometry import CloudOptions
from cloudypoints_ros.mount import Mount
from cloudypoints_ros.parameter_table import Value
from cloudypoints_ros.parameters import for_camera, height_band, number, whole
from cloudypoints_ros.regions import Region, load_ego_mask


@dataclass(frozen=True)
class ModelSettings:
    """Which model runs on what; ``path`` None is the embedded one."""

    path: Path | None
    engine: str
    threads: int

    @staticmethod
    def of(values: Mapping[str, Value]) -> ModelSettings:
        path = str(values["model"])
        return ModelSettings(Path(path) if path else None, str(values["engine"]), whole(values["threads"]))


@dataclass(frozen=True)
class ScaleSettings:
    """Where metres come from; seconds and a factor, see the table of parameters."""

    source: str
    constant: float
    smoothing_s: float
    hold_s: float


@dataclass(frozen=True, eq=False)
class CameraSettings:
    """What is done with the images of one camera. ``ego_mask`` is bool (H, W) or None; rates are Hz, 0 is any."""

    compressed: bool
    rectified: bool
    region: Region
    ego_mask: npt.NDArray[Any] | None
    mount: Mount
    scale: ScaleSettings
    depth_encoding: str
    downscale: int
    cloud: CloudOptions
    color_max_range_m: float
    max_rate_hz: dict[str, float]
    reliability: str

    @staticmethod
    def of(values: Mapping[str, Value], camera: str) -> CameraSettings:
        """CloudyPointsError when the ego mask cannot be read."""
        own = for_camera(values, camera)
        roi, mask = own["roi"], str(own["ego_mask"])
        assert isinstance(roi, tuple)
        min_height, max_height = height_band(own)
        return CameraSettings(
            compressed=own["image_transport"] == "compressed",
            rectified=bool(own["rectified"]),
            region=Region(*(int(each) for each in roi)),
            ego_mask=_ego_mask(mask) if mask else None,
            mount=Mount(number(own["mount.height"]), number(own["mount.pitch"]), number(own["mount.roll"])),
            scale=ScaleSettings(
                source=str(own["scale.source"]),
                constant=number(own["scale.constant"]),
                smoothing_s=number(own["scale.smoothing"]),
                hold_s=number(own["scale.hold"]),
            ),
            depth_encoding=str(own["depth.encoding"]),
            downscale=whole(own["depth.downscale"]),
            cloud=CloudOptions(
                fields=str(own["points.fields"]),
                stride=whole(own["points.stride"]),
                organised=bool(own["points.organised"]),
                min_range_m=number(own["points.min_range"]),
                max_range_m=number(own["points.max_range"]),
                min_height_m=min_height,
                max_height_m=max_height,
                voxel_m=number(own["points.voxel_size"]),
                min_incidence_deg=number(own["points.min_incidence"]),
            ),
            color_max_range_m=number(own["color.max_range"]),
            max_rate_hz={output: number(own[f"{output}.max_rate"]) for output in ("depth", "points", "color")},
            reliability=str(own["qos.input"]),
        )


@dataclass(frozen=True)
class Thresholds:
    """When a camera is not OK. Seconds, Hz, and shares of the images received; a rate of 0 is never too low."""

    stale_after_s: float
    rate_hz: tuple[float, float]
    drops: tuple[float, float]
    latency_s: tuple[float, float]

    @staticmethod
    def of(values: Mapping[str, Value]) -> Thresholds:
        """Each pair is (warn, error)."""

        def pair(name: str) -> tuple[float, float]:
            return number(values[f"diagnostics.{name}_warn"]), number(values[f"diagnostics.{name}_error"])

        return Thresholds(number(values["diagnostics.stale_after"]), pair("rate"), pair("drops"), pair("latency"))


_masks: dict[str, tuple[int, npt.NDArray[Any]]] = {}  # by path: when the file was written, and what it held


def _ego_mask(path: str) -> npt.NDArray[Any]:
    """Read once per file, as every change of any parameter asks for it again; one that has gone since works on."""
    known = _masks.get(path)
    try:
        written = Path(path).stat().st_mtime_ns
    except OSError:
        written = 0 if known is None else known[0]
    if known is None or known[0] != written:
        known = _masks[path] = (written, load_ego_mask(path))
    return known[1]
