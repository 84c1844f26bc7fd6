"""Parts of an image and the mask of the vehicle itself."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from cloudypoints_ros.camera import Calibration, Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.regions import Region, ego_mask_for, load_ego_mask

CAMERA = Camera(320, 240, 210.0, 212.0, 161.0, 119.0)


def written(path: Path, image: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


def test_a_region_is_a_view_of_its_pixels() -> None:
    image = np.arange(24 * 32 * 3).reshape(24, 32, 3)
    part = Region(5, 7, 10, 4).of(image)
    np.testing.assert_array_equal(part, image[7:11, 5:15])
    assert part.base is image.base
    assert Region(22, 20, 10, 4).of(image[..., 0]).shape == (4, 10)  # up to the last pixel


def test_all_zero_is_the_whole_image() -> None:
    image = np.arange(24 * 32).reshape(24, 32)
    assert Region().whole and not Region(0, 0, 32, 24).whole
    assert Region().fitted(32, 24) == Region(0, 0, 32, 24)
    np.testing.assert_array_equal(Region().of(image), image)


@pytest.mark.parametrize(
    "region",
    [
        Region(-1, 0, 8, 8),
        Region(0, -1, 8, 8),
        Region(25, 0, 8, 8),
        Region(0, 17, 8, 8),
        Region(4, 4, 0, 8),
        Region(4, 4, 8, 0),
        Region(4, 4, -2, 3),
        Region(1, 0, 0, 0),
    ],
)
def test_a_region_that_does_not_fit(region: Region) -> None:
    with pytest.raises(CloudyPointsError, match=r"does not lie inside the 32x24 image; set roi"):
        region.fitted(32, 24)


def test_the_calibration_of_a_region_is_that_of_its_crop() -> None:
    # Binned by 2 from a sensor twice the size; the region counts the pixels of the image at hand.
    calibration = Calibration.of(CAMERA.resized(640, 480))
    binned = Calibration(**{**calibration.__dict__, "binning": (2, 2)})
    part = Region(40, 30, 100, 80).of_calibration(binned)
    assert (part.width, part.height, part.roi, part.binning) == (100, 80, (0, 0, 0, 0), (1, 1))
    expected = CAMERA.cropped(40, 30, 100, 80)
    for name in ("fx", "fy", "cx", "cy"):
        assert getattr(part.camera(), name) == pytest.approx(getattr(expected, name))
    assert Region().of_calibration(binned).camera() == binned.camera()


@pytest.mark.parametrize("kind", ["grey", "colour", "alpha", "16 bit"])
def test_what_is_not_black_is_the_vehicle(kind: str, tmp_path: Path) -> None:
    expected = np.zeros((24, 32), bool)
    expected[18:, 4:30] = True
    image = {
        "grey": expected.astype(np.uint8),  # 1 of 255 is not black
        "colour": np.dstack([0 * expected, 0 * expected, 255 * expected]).astype(np.uint8),
        "alpha": np.dstack([255 * expected] * 3 + [np.full_like(expected, 255, np.uint8)]).astype(np.uint8),
        "16 bit": expected.astype(np.uint16),  # 1 of 65535 is not black
    }[kind]
    mask = load_ego_mask(written(tmp_path / "mask.png", image))
    assert mask.dtype == bool and not mask.flags.writeable
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("missing.png", None, r"cannot be read \(No such file"),
        ("text.png", b"not an image", "is not an image"),
        ("empty.png", b"", "is not an image"),
    ],
)
def test_a_mask_that_cannot_be_read(name: str, content: bytes | None, sentence: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CloudyPointsError, match=f"{name} {sentence}"):
        load_ego_mask(tmp_path / name)


def test_a_folder_is_no_mask(tmp_path: Path) -> None:
    with pytest.raises(CloudyPointsError, match=r"cannot be read \(Is a directory\)"):
        load_ego_mask(tmp_path)


@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_a_mask_is_resized_to_the_nearest_pixel(dtype: type) -> None:
    mask = np.random.default_rng(0).random((24, 32)) < 0.3
    for scale in (1, 2, 3):
        fitted = ego_mask_for((mask * (1 if dtype is bool else 200)).astype(dtype), 32 * scale, 24 * scale)
        assert fitted.dtype == bool and not fitted.flags.writeable
        np.testing.assert_array_equal(fitted, mask.repeat(scale, 0).repeat(scale, 1))
    large = np.random.default_rng(1).random((120, 160)) < 0.3
    np.testing.assert_array_equal(ego_mask_for(large, 32, 24), large[2::5, 2::5])  # an odd factor: the middle pixel


def test_a_fitted_mask_is_made_once_for_each_mask_and_size() -> None:
    masks = [np.zeros((24, 32), bool), np.ones((24, 32), bool)]
    first = [ego_mask_for(mask, 64, 48) for mask in masks]
    assert not first[0].any() and first[1].all()
    assert ego_mask_for(masks[0], 64, 48) is first[0] and ego_mask_for(masks[0], 32, 24) is not first[0]


def test_a_mask_of_other_proportions() -> None:
    mask = np.zeros((1000, 2000), bool)
    assert ego_mask_for(mask, 1009, 500).shape == (500, 1009)
    with pytest.raises(CloudyPointsError, match=r"The ego mask is 2000x1000 but the image 1011x500; give a mask"):
        ego_mask_for(mask, 1011, 500)
