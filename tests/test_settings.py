"""Values -> settings: each parameter reaches its place, and a camera's own wins over the common one."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from cloudypoints_ros import parameters
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.mount import Mount
from cloudypoints_ros.parameter_table import PARAMETERS, Value
from cloudypoints_ros.regions import Region
from cloudypoints_ros.settings import CameraSettings, ModelSettings, Thresholds


def values(**changes: Value) -> dict[str, Value]:
    return {**parameters.defaults(), **{name.replace("__", "."): value for name, value in changes.items()}}


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    path = tmp_path / "mask.png"
    cv2.imwrite(str(path), np.eye(4, dtype=np.uint8) * 255)
    return path


def test_a_cameras_own_values_reach_its_settings_and_no_other(mask: Path) -> None:
    own: dict[str, Value] = {
        "rectified": True,
        "image_transport": "compressed",
        "roi": (1, 2, 3, 4),
        "ego_mask": str(mask),
        "mount.height": 1.5,
        "mount.pitch": 3.0,
        "mount.roll": -2.0,
        "scale.constant": 7.0,
    }
    assert set(own) == {row.name for row in PARAMETERS if row.per_camera}
    everything = {**values(cameras=("a", "b")), **{f"a.{name}": value for name, value in own.items()}}
    a, b = (CameraSettings.of(everything, camera) for camera in ("a", "b"))
    assert (a.rectified, a.compressed, a.region, a.mount) == (True, True, Region(1, 2, 3, 4), Mount(1.5, 3.0, -2.0))
    assert a.scale.constant == 7.0 and a.ego_mask is not None and a.ego_mask.sum() == 4
    assert (b.rectified, b.compressed, b.region, b.mount) == (False, False, Region(), Mount())
    assert b.scale.constant == 1.0 and b.ego_mask is None


def test_the_limits_of_the_height_band_are_none() -> None:
    open_ended = CameraSettings.of(values(), "").cloud
    assert (open_ended.min_height_m, open_ended.max_height_m) == (-math.inf, math.inf)
    band = CameraSettings.of(values(points__min_height=-0.5, points__max_height=2.0), "").cloud
    assert (band.min_height_m, band.max_height_m) == (-0.5, 2.0)


def test_a_mask_is_read_once_again_when_it_changes_and_kept_when_it_goes(mask: Path) -> None:
    first = CameraSettings.of(values(ego_mask=str(mask)), "").ego_mask
    assert CameraSettings.of(values(ego_mask=str(mask)), "").ego_mask is first
    cv2.imwrite(str(mask), np.full((4, 4), 255, np.uint8))
    second = CameraSettings.of(values(ego_mask=str(mask)), "").ego_mask
    assert second is not None and second.all()
    mask.unlink()
    assert CameraSettings.of(values(ego_mask=str(mask)), "").ego_mask is second
    with pytest.raises(CloudyPointsError, match="cannot be read"):
        CameraSettings.of(values(ego_mask=str(mask) + "?"), "")


def test_model_and_thresholds() -> None:
    assert ModelSettings.of(values()).path is None
    assert ModelSettings.of(values(model="a.onnx", threads=3)) == ModelSettings(Path("a.onnx"), "auto", 3)
    limits = Thresholds.of(values(diagnostics__rate_warn=9.0, diagnostics__latency_error=2.0))
    assert (limits.rate_hz, limits.latency_s, limits.stale_after_s) == ((9.0, 0.0), (0.2, 2.0), 2.0)
