"""Scenes on a GPU: the CPU's kernels pixel by pixel, numba's simulator of CUDA, and the camera's faults on tensors."""

from __future__ import annotations

import importlib.util
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.sample import Sample
from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.cars import car
from cloudypoints_training.scenes.edges import blend_corners, rough_corners
from cloudypoints_training.scenes.gpu_device import find_device
from cloudypoints_training.scenes.ground import Ground
from cloudypoints_training.scenes.lighting import choose_light
from cloudypoints_training.scenes.primitives import Paint, Parts
from cloudypoints_training.scenes.render import cast
from cloudypoints_training.scenes.sample import GpuDraw, draw, draw_many, plan, take
from cloudypoints_training.scenes.scene import Hood, Scene, View, camera_axes
from cloudypoints_training.scenes.sensor import SHARPEN, Exposure
from cloudypoints_training.scenes.shading import shade
from cloudypoints_training.scenes.shadows import cast_shadow_map
from cloudypoints_training.scenes.shot import Shot, compose
from cloudypoints_training.scenes.surfaces import NOISE_MAPS
from cloudypoints_training.stream import Stream

JPEG_LEVELS = 1.5  # mean difference from OpenCV's JPEG in grey levels: quantisation falls the other way here and there
HAS_GPU = torch.cuda.is_available()

SIMULATED = """
import pickle, sys
from cloudypoints_training.scenes.gpu import take
from cloudypoints_training.scenes.gpu_device import find_device
shots = pickle.load(open(sys.argv[1], "rb"))
pickle.dump([take(shot, find_device()) for shot in shots], open(sys.argv[2], "wb"))
"""

# The device's properties are all that compiling asks of a GPU.
COMPILED = """
import sys, types
from numba import cuda, float32 as f4, float64 as f8, int32 as i4, int64 as i8, uint8 as u1
from numba.cuda import dispatcher
from cloudypoints_training.scenes import gpu_kernels as kernels
capability = int(sys.argv[1]), 0
dispatcher.get_current_device = lambda: types.SimpleNamespace(compute_capability=capability)
table, line, which, grid, owner, picture = f8[:, ::1], f8[::1], i4[::1], f4[:, ::1], i4[:, ::1], f4[:, :, ::1]
signatures = {
    "cast_shadow_map": (table, which, table, table, i8, line, picture, grid),
    "cast": (table, which, table, line, line, table, line, picture, table, owner),
    "shade": (table, line, line, table, line, table, owner, line, table, grid, grid, grid, table, picture, picture),
    "rough_corners": (owner, picture, table),
    "blend_corners": (picture, picture, table),
    "develop": (picture, line, f8, f8, f8, f4[::1], f8, picture),
    "quantise": (picture, grid, f8, u1[:, :, ::1]),
}
for name, signature in signatures.items():
    code, _ = cuda.compile_ptx(getattr(kernels, name).py_func, signature, cc=capability)
    print(name, code.count("\\n"), ".target sm_%d0" % capability[0] in code)
"""


def street(width: int, height: int, weather: str, hood: Hood | None, rows: np.ndarray, **faults: object) -> Shot:
    """A shot from 1.5 m above a road, at chosen primitives, by a camera with chosen faults."""
    camera = Camera(width=width, height=height, fx=0.8 * width, fy=0.8 * width, cx=0.52 * width, cy=0.4 * height)
    scene = Scene(
        rows,
        Ground(wet=0.5, zebra_x=6.0, seed=0.4),
        choose_light(np.random.default_rng(1), weather),
        np.array([[6.0, 2.0, 4.0, 8.0, 7.0, 5.0]]),
        np.array([[7.0, 0.5, 0.4, 4.2, 1.8]]),
    )
    view = View(camera, np.array([0.0, 0.0, 1.5]), camera_axes(0.0, 0.03, 0.02), hood)
    shot = compose(scene, view, np.random.default_rng(2), shadow_size=24)
    return replace(shot, exposure=replace(shot.exposure, **faults))  # type: ignore[arg-type]


def things() -> np.ndarray:
    """A turned car, a ball of leaves, a railing, a cone and a house front."""
    parts = Parts()
    parts.place(car(np.random.default_rng(3), "sedan").rows, 7.0, 0.5, 0.4)
    leaves = Paint(p.FOLIAGE, (0.1, 0.3, 0.1), (0.3, 0.5, 0.1), holes=p.LEAVES)
    parts.ball((9.0, -3.0, 2.5), (1.5, 1.5, 1.2), leaves)
    parts.add(p.BOX, (8.0, 3.0, 0.6), (2.0, 0.02, 0.6), Paint(params=(0, 0, 0, 0, 0.3, 0.4), holes=p.BARS))
    parts.add(p.CONE, (5.0, -1.6, 0.5), (0.3, 0.3, 0.5), Paint(a=(0.9, 0.3, 0.1)))
    parts.span((20, 30), (2, 12), (0, 9), Paint(p.WINDOWS, (0.5, 0.4, 0.3), params=(2, 3, 0.5, 0.6, 3, 1)))
    return parts.rows()


CLEAN = {"bloom": False, "blur": 0.0, "sharpen": False, "quality": None}


@pytest.fixture(scope="module")
def shots() -> list[Shot]:
    hood = Hood(top=0.85, bend=0.3, middle=0.5, tone=(0.1, 0.1, 0.1))
    return [
        street(24, 12, "clear", hood, things(), **CLEAN),
        street(24, 13, "night", None, things(), bloom=True, blur=0.8, sharpen=True, quality=None),
        street(25, 13, "hazy", None, things(), bloom=False, blur=0.0, sharpen=False, quality=70),
        street(16, 8, "overcast", None, things()[:0], **CLEAN),
    ]


@pytest.fixture(scope="module")
def simulated(shots: list[Shot], tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """The same shots by the GPU's renderer, every thread of a kernel played by numba's simulator."""
    folder = tmp_path_factory.mktemp("simulated")
    (folder / "shots").write_bytes(pickle.dumps(shots))
    # The simulator's threads call Python functions only.
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}
    subprocess.run(
        [sys.executable, "-c", SIMULATED, folder / "shots", folder / "samples"],
        env=environment, check=True, timeout=240,
    )  # fmt: skip
    return pickle.loads((folder / "samples").read_bytes())


def test_simulated_gpu_gives_the_depth_of_the_cpu(shots: list[Shot], simulated: list[Sample]) -> None:
    for shot, got in zip(shots, simulated, strict=True):
        expected = take(shot)
        np.testing.assert_allclose(got.depth, expected.depth, rtol=1e-5)  # NaN and inf at the same places
        assert got.depth.dtype == np.float32 and got.camera == expected.camera
    hooded, _, _, empty = (s.depth for s in simulated)
    assert np.isnan(hooded).any() and np.isinf(hooded).any() and np.nanmin(hooded) < 6
    assert np.isfinite(empty[-1]).all() and np.isinf(empty[0]).all()


def test_simulated_gpu_gives_the_colours_of_the_cpu(shots: list[Shot], simulated: list[Sample]) -> None:
    assert all(len(which) > 5 for which, _ in shots[0].shadows.seen)  # the sun shines on several things
    for shot, got in zip(shots, simulated, strict=True):
        expected = take(shot).image.astype(int)
        difference = np.abs(got.image - expected)
        assert expected.std() > 10
        if shot.exposure.quality is None:
            # A sum in another order may round a grey level the other way.
            assert difference.max() <= 1 and (difference > 0).mean() < 0.02
        else:
            assert difference.mean() < JPEG_LEVELS


@pytest.mark.parametrize("style", ["city", "jam", "shapes"])
def test_pixel_by_pixel_equals_the_whole_picture(style: str) -> None:
    """What a GPU's threads do, with compiled code and full scenes: each kernel once for every pixel."""
    shot = plan(6, 64, 32, style)
    whole = everything(shot, lambda width, height: [(0, width, 0, height)])
    pixels = everything(shot, lambda width, height: [(u, u + 1, v, v + 1) for v in range(height) for u in range(width)])
    for one, other in zip(whole, pixels, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(np.unique(whole[1])) > 3


def test_a_window_leaves_the_rest_of_the_picture_alone() -> None:
    """Or threads of a GPU would write each other's pixels."""
    shot = plan(6, 64, 32, "city")
    window, frame = (20, 24, 10, 19), shot.shadows.frame
    inside = np.zeros((32, 64), bool)
    inside[10:19, 20:24] = True
    depth, owner = np.full((32, 64), np.inf), np.full((32, 64), -9, np.int32)
    cast(shot.rows, *shot.centres, shot.ground, shot.eye, shot.axes, shot.lens, NOISE_MAPS, window, depth, owner)
    np.testing.assert_array_equal(owner != -9, inside)
    assert np.isfinite(depth[inside]).mean() > 0.5 and np.isinf(depth[~inside]).all()
    # NaN would hide what is written outside: nothing is less than it.
    near = np.full((shot.shadows.sizes[0],) * 2, 1e9, np.float32)
    middle = tuple(np.array([0, 40, 0, 40]) + shot.shadows.sizes[0] // 2)
    cast_shadow_map(
        shot.rows, *shot.shadows.seen[0], frame[0], frame[4, 0], shot.light[0:3], frame[2], frame[3], NOISE_MAPS,
        middle, near,
    )  # fmt: skip
    assert np.isfinite(near[middle[2] : middle[3], middle[0] : middle[1]]).any()
    assert (near != 1e9).sum() == 40 * 40


def everything(shot: Shot, windows: object) -> list[np.ndarray]:
    """Depth, owner, both shadow maps, rough corners and blended colour, worked out window by window."""
    width, height = shot.camera.width, shot.camera.height
    frame, light = shot.shadows.frame, shot.light
    maps = [np.empty((size, size), np.float32) for size in shot.shadows.sizes]
    for k, out in enumerate(maps):
        for window in windows(out.shape[1], out.shape[0]):  # type: ignore[operator]
            cast_shadow_map(
                shot.rows, *shot.shadows.seen[k], frame[k], frame[4, k], light[0:3], frame[2], frame[3], NOISE_MAPS,
                window, out,
            )  # fmt: skip
    depth = np.zeros((height, width))
    owner, colour = np.empty((height, width), np.int32), np.empty((height, width, 3), np.float32)
    corners = np.empty((height + 1, width + 1))
    for window in windows(width, height):  # type: ignore[operator]
        cast(
            shot.rows, *shot.centres, shot.ground, shot.eye, shot.axes, shot.lens, NOISE_MAPS, window, depth, owner
        )  # fmt: skip
        shade(
            shot.rows, shot.ground, shot.eye, shot.axes, shot.lens, depth, owner, light, frame, *maps, shot.soil,
            shot.lamps, NOISE_MAPS, window, colour,
        )  # fmt: skip
    for window in windows(width + 1, height + 1):  # type: ignore[operator]
        rough_corners(owner, colour, window, corners)
    corner = np.ones((height + 1, width + 1, 3), np.float32)
    for window in windows(width, height):  # type: ignore[operator]
        blend_corners(colour, corner, corners, window)
    return [depth, owner, *maps, corners, colour]


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return draw(3, 181, 101, "city").image


@pytest.mark.parametrize("quality", [25, 60, 94])
@pytest.mark.parametrize("crop", [(101, 181), (96, 160), (44, 88)])
def test_jpeg_on_tensors_loses_what_opencv_loses(photograph: np.ndarray, quality: int, crop: tuple[int, int]) -> None:
    from cloudypoints_training.scenes.gpu_sensor import compress

    image = np.ascontiguousarray(photograph[: crop[0], : crop[1]])
    _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    expected = cv2.imdecode(coded, cv2.IMREAD_COLOR).astype(int)
    got = compress(torch.from_numpy(image), quality).numpy()
    assert np.abs(got - expected).mean() < JPEG_LEVELS
    assert np.abs(got - expected).mean() < 0.35 * np.abs(image - expected).mean()


def test_blur_resize_and_sharpening_on_tensors_equal_opencv(photograph: np.ndarray) -> None:
    from cloudypoints_training.scenes.gpu_sensor import blur, convolve, resize

    image = photograph.astype(np.float32) / 255
    tensor = torch.from_numpy(image)
    for sigma in (0.3, 0.9, 2.0):
        np.testing.assert_allclose(blur(tensor, sigma), cv2.GaussianBlur(image, (0, 0), sigma), atol=1e-6)
    small, large = cv2.resize(image, (23, 13), interpolation=cv2.INTER_AREA), cv2.resize(image, (300, 170))
    np.testing.assert_allclose(resize(tensor, 23, 13, cv2.INTER_AREA), small, atol=1e-6)
    np.testing.assert_allclose(resize(tensor, 300, 170, cv2.INTER_LINEAR), large, atol=1e-6)
    np.testing.assert_allclose(convolve(tensor, SHARPEN), cv2.filter2D(image, -1, SHARPEN), atol=1e-6)


def test_exposure_is_planned_before_the_picture_is_known() -> None:
    exposures = [plan(seed, 48, 24).exposure for seed in range(40)]
    assert all(isinstance(e, Exposure) and e.field.shape == (26, 55) for e in exposures)
    assert {e.bloom for e in exposures} == {e.sharpen for e in exposures} == {True, False}
    assert 10 < sum(e.quality is not None for e in exposures) < 35
    assert 10 < sum(e.blur > 0 for e in exposures) < 35


def test_many_are_drawn_as_each_alone_in_order_by_other_processes_too() -> None:
    seeds = [9, 2, 5]
    many = draw_many(seeds, 48, 24, workers=1)
    assert [s.name.rpartition("_")[2] for s in many] == ["000009", "000002", "000005"]
    for seed, sample in zip(seeds, many, strict=True):
        alone = draw(seed, 48, 24)
        np.testing.assert_array_equal(sample.image, alone.image)
        np.testing.assert_array_equal(sample.depth, alone.depth)
        assert sample.source == alone.source and alone.name.startswith(alone.source)


def test_only_a_cpu_and_nvidia_gpus_draw() -> None:
    with pytest.raises(ValueError, match="device is 'tpu'; expected cpu or cuda"):
        draw_many([1], 48, 24, device="tpu")


@pytest.mark.skipif(HAS_GPU, reason="a GPU is here")
def test_missing_gpu_is_one_sentence() -> None:
    message = r"sees no GPU; .* needs an NVIDIA GPU and numba-cuda: pip install .*, or draw on the CPU"
    with pytest.raises(CloudyPointsError, match=message):
        draw_many([1], 48, 24, device="cuda")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("numba_cuda") is None, reason="numba-cuda is not installed")
@pytest.mark.parametrize("capability", ["8", "9"])
def test_kernels_compile_for_nvidia_gpus(capability: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMPILED, capability], capture_output=True, text=True, timeout=240, check=True
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 7 and all(int(size) > 100 and target == "True" for _, size, target in lines)


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_GPU, reason="needs an NVIDIA GPU")
def test_gpu_gives_the_pictures_of_the_cpu() -> None:
    find_device()
    for style in ("city", "jam", "rural", "shapes"):
        (got,) = draw_many([4], 320, 160, style, device="cuda")
        expected = draw(4, 320, 160, style)
        # Fused multiplications move a silhouette's edge now and then.
        same = np.isclose(got.depth, expected.depth, rtol=1e-5, equal_nan=True)
        assert same.mean() > 0.999
        assert np.abs(got.image.astype(int) - expected.image)[same].mean() < JPEG_LEVELS


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_GPU, reason="needs an NVIDIA GPU")
def test_batches_drawn_on_a_gpu_are_those_of_the_cpu() -> None:
    pictures = ((320, 160), (160, 96))
    got = list(Stream(GpuDraw(), 2 * 320 * 160, pictures).batches(0, 2, workers=2))
    expected = list(Stream(draw, 2 * 320 * 160, pictures).batches(0, 2, workers=0))
    for one, other in zip(got, expected, strict=True):
        assert one.image.shape == other.image.shape
        same = torch.isclose(one.target, other.target, atol=1e-5, equal_nan=True)
        assert same.float().mean() > 0.999
        assert (one.image.int() - other.image.int()).abs().float().mean() < JPEG_LEVELS


def test_shots_travel_between_processes(tmp_path: Path) -> None:
    shot = plan(3, 48, 24)
    (tmp_path / "shot").write_bytes(pickle.dumps(shot))
    sample = take(pickle.loads((tmp_path / "shot").read_bytes()))
    np.testing.assert_array_equal(sample.image, draw(3, 48, 24).image)
