"""Whole frames: every output against Pipeline and geometry.cloud, on the embedded model and on tiny ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tiny_models import write_model

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.engines import Engine
from cloudypoints_ros.errors import CloudyPointsError, EngineLost
from cloudypoints_ros.files import millimetres
from cloudypoints_ros.geometry import CloudOptions, cloud
from cloudypoints_ros.gpu.frame import Answer
from cloudypoints_ros.gpu.pipeline import GpuPipeline, HostEngine, Look, Wanted
from cloudypoints_ros.gpu.pixels import RawImage
from cloudypoints_ros.mount import Mount
from cloudypoints_ros.pipeline import Pipeline
from cloudypoints_ros.preview import colorize

CLIP = Path(__file__).parents[2] / "src" / "cloudypoints_ros" / "clip" / "image"
CAMERA = Camera(704, 352, 500.0, 505.0, 350.0, 180.0)
LENS = Camera(704, 352, 500.0, 505.0, 350.0, 180.0, "plumb_bob", (-0.2, 0.05, 0.001, -0.001, 0.0))

# Metres, relative, where both say a depth; pixels at which one says a depth and the other sky or nothing.
TOLERANCE, UNDECIDED = 1e-3, 1e-3


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """A street, uint8 (352, 704, 3), bgr."""
    image = cv2.imread(str(sorted(CLIP.iterdir())[0]))
    return cv2.resize(image, (704, 352), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline.open(threads=2)


@pytest.fixture(scope="module")
def ours(pipeline: Pipeline) -> GpuPipeline:
    return GpuPipeline(pipeline.card, HostEngine(pipeline.engine), "cpu")


def tiny(folder: Path, **how: object) -> tuple[Pipeline, GpuPipeline]:
    pipeline = Pipeline.open(write_model(folder, **how), threads=1)  # type: ignore[arg-type]
    return pipeline, GpuPipeline(pipeline.card, HostEngine(pipeline.engine), "cpu")


def assert_depth(got: np.ndarray | None, expected: np.ndarray) -> None:
    assert got is not None and got.shape == expected.shape and got.dtype == np.float32
    both = np.isfinite(got) & np.isfinite(expected)
    assert (both != (np.isfinite(got) | np.isfinite(expected))).mean() < UNDECIDED
    assert (np.isposinf(got) != np.isposinf(expected)).mean() < UNDECIDED
    assert both.mean() > 0.1
    np.testing.assert_allclose(got[both], expected[both], rtol=TOLERANCE)


def assert_cloud(answer: Answer, camera: Camera, image: np.ndarray, order: str, options: CloudOptions) -> None:
    """The cloud is that of the CPU for the same depth, byte for byte where the picture has the depth's size."""
    assert answer.depth is not None and answer.cloud is not None
    expected = cloud(answer.depth, camera, image, order, options)
    got = answer.cloud
    assert (got.width, got.height, got.fields, got.is_dense) == (
        expected.width, expected.height, expected.fields, expected.is_dense,
    )  # fmt: skip
    words = got.point_step // 4
    points, wanted = (c.data.view(np.float32).reshape(-1, words) for c in (got, expected))
    np.testing.assert_array_equal(points[:, :3], wanted[:, :3])
    np.testing.assert_array_equal(points[:, 3:].view(np.int32), wanted[:, 3:].view(np.int32))
    assert len(points) > 100


@pytest.mark.parametrize("camera", [CAMERA, LENS], ids=["pinhole", "distorted"])
@pytest.mark.parametrize(
    "options",
    [CloudOptions("xyz", 2), CloudOptions("xyzrgb", 1, True), CloudOptions("xyzirc", 3, False, 4.0, 30.0)],
    ids=lambda o: o.fields,
)
def test_embedded_model(
    pipeline: Pipeline, ours: GpuPipeline, picture: np.ndarray, camera: Camera, options: CloudOptions
) -> None:
    expected = pipeline.depth(picture, camera, "bgr").depth
    answer = ours.look(RawImage.of(picture, "bgr"), camera, Wanted("32FC1", options))
    assert_depth(answer.depth, expected)
    assert np.isposinf(expected).mean() > 0.01
    assert_cloud(answer, camera, picture, "bgr", options)
    assert answer.known == (~np.isnan(answer.depth)).sum()


def test_another_camera_another_scale_another_mask_need_no_other_shape(
    pipeline: Pipeline, ours: GpuPipeline, picture: np.ndarray
) -> None:
    options = CloudOptions("xyzrgb", 2)
    mask = np.zeros((352, 704), bool)
    mask[300:, 100:600] = True
    ours.look(RawImage.of(picture, "bgr"), CAMERA, Wanted("32FC1", options))
    shapes = list(ours.frames._kept)
    wide = Camera(704, 352, 300.0, 300.0, 340.0, 170.0)
    for camera, scale, blank in ((wide, 1.25, None), (wide, 0.5, mask), (CAMERA, 1.0, None)):
        expected = pipeline.depth(picture, camera, "bgr").depth * np.float32(scale)
        if blank is not None:
            expected[blank] = np.nan
        answer = ours.look(RawImage.of(picture, "bgr"), camera, Wanted("32FC1", options), scale=scale, blank=blank)
        assert_depth(answer.depth, expected)
        assert_cloud(answer, camera, picture, "bgr", options)
    assert set(ours.frames._kept) == set(shapes)


class Reusing(HostEngine):
    """Writes into the same output tensors at every call, as engines on a GPU do."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._outputs: dict[str, torch.Tensor] = {}

    def enqueue(self, inputs: Mapping[str, torch.Tensor], stream: Any) -> dict[str, torch.Tensor]:
        for name, value in super().enqueue(inputs, stream).items():
            self._outputs.setdefault(name, torch.empty_like(value)).copy_(value)
        return dict(self._outputs)


def test_several_cameras_at_once(pipeline: Pipeline, picture: np.ndarray) -> None:
    ours = GpuPipeline(pipeline.card, Reusing(pipeline.engine), "cpu")
    options = CloudOptions("xyzrgb", 2)
    images = [picture, np.ascontiguousarray(picture[:, ::-1]), picture // 2]
    cameras = [CAMERA, Camera(704, 352, 400.0, 400.0, 340.0, 170.0), LENS]
    looks = [Look(RawImage.of(i, "bgr"), c, 1 + k) for k, (i, c) in enumerate(zip(images, cameras, strict=True))]
    answers = ours.finish(ours.start(looks, Wanted("32FC1", options)))
    for k, (answer, image, camera) in enumerate(zip(answers, images, cameras, strict=True)):
        assert_depth(answer.depth, pipeline.depth(image, camera, "bgr").depth * np.float32(1 + k))
        assert_cloud(answer, camera, image, "bgr", options)


def test_a_frame_is_sent_while_the_one_before_is_not_read(ours: GpuPipeline, picture: np.ndarray) -> None:
    wanted = Wanted("32FC1")
    images = [RawImage.of(picture, "bgr"), RawImage.of(np.ascontiguousarray(picture[::-1]), "bgr")]
    alone = [ours.look(image, CAMERA, wanted).depth.copy() for image in images]
    started = [ours.start([Look(image, CAMERA)], wanted) for image in images]
    for depth, each in zip(alone, started, strict=True):
        np.testing.assert_array_equal(ours.finish(each)[0].depth, depth)
    assert (alone[0] != alone[1]).mean() > 0.5


def test_the_answer_of_another_frame_is_never_given(ours: GpuPipeline, picture: np.ndarray) -> None:
    started = [ours.start([Look(RawImage.of(picture, "bgr"), CAMERA)], Wanted()) for _ in range(3)]
    with pytest.raises(EngineLost, match=r"The GPU gave back frame \d+, expected \d+"):
        ours.finish(started[0])  # the third has taken its place
    assert ours.finish(started[2])[0].depth is not None


def test_region_downscale_and_millimetres(pipeline: Pipeline, ours: GpuPipeline, picture: np.ndarray) -> None:
    part = np.ascontiguousarray(picture[40:340, 64:664])
    camera = CAMERA.cropped(64, 40, 600, 300)
    options = CloudOptions("xyzrgb", 2)
    wanted = Wanted("32FC1", options, (300, 150), (64, 40, 600, 300))
    answer = ours.look(RawImage.of(picture, "bgr"), camera, wanted)
    expected = pipeline.depth(part, camera, "bgr", (300, 150))
    assert_depth(answer.depth, expected.depth)
    small = cv2.resize(part, (300, 150), interpolation=cv2.INTER_AREA)
    wanted_cloud = cloud(answer.depth, expected.camera, small, "bgr", options)
    got, best = (c.data.view(np.uint8).reshape(-1, 16) for c in (answer.cloud, wanted_cloud))
    np.testing.assert_array_equal(got[:, :12], best[:, :12])
    assert np.abs(got[:, 12:].astype(int) - best[:, 12:]).max() <= 1  # averages may be rounded the other way
    metres = answer.depth.copy()
    far = ours.look(
        RawImage.of(picture, "bgr"), camera, Wanted("16UC1", None, (300, 150), (64, 40, 600, 300)), scale=3.0
    )
    assert far.depth.dtype == np.uint16 and far.cloud is None
    np.testing.assert_array_equal(far.depth, millimetres(metres * np.float32(3)))
    assert far.too_far == (np.isfinite(metres) & (millimetres(metres * np.float32(3)) == 0)).sum() > 0


def test_points_alone(ours: GpuPipeline, picture: np.ndarray) -> None:
    raw, options = RawImage.of(picture, "bgr"), CloudOptions("xyz", 4)
    with_depth = ours.look(raw, CAMERA, Wanted("32FC1", options)).cloud.data.copy()
    alone = ours.look(raw, CAMERA, Wanted("", options))
    assert alone.depth is None
    np.testing.assert_array_equal(alone.cloud.data, with_depth)


@pytest.mark.parametrize("depth", ["32FC1", "16UC1", ""])
@pytest.mark.parametrize(
    "options",
    [CloudOptions(stride=2, voxel_m=0.5), CloudOptions(stride=2, max_height_m=2.0), CloudOptions(min_incidence_deg=3)],
    ids=["voxels", "heights", "flying"],
)
def test_filters_that_the_cpu_does(ours: GpuPipeline, picture: np.ndarray, options: CloudOptions, depth: str) -> None:
    raw, mount = RawImage(cv2.cvtColor(picture, cv2.COLOR_BGR2RGBA).reshape(352, -1), 704, "rgba8"), Mount(1.5)
    metres = ours.look(raw, CAMERA, Wanted("32FC1")).depth.copy()
    answer = ours.look(raw, CAMERA, Wanted(depth, options), mount=mount)
    expected = cloud(metres, CAMERA, picture, "bgr", options, mount)
    np.testing.assert_array_equal(answer.cloud.data, expected.data)
    assert 100 < expected.width < metres[::2, ::2].size
    if depth == "16UC1":
        np.testing.assert_array_equal(answer.depth, millimetres(metres))
    else:
        assert (answer.depth is None) == (depth == "")


@pytest.mark.parametrize("how", ["depth", "log_depth", "inverse_depth", "ray_angle", "bgr", "canonical", "fixed"])
def test_tiny_models(tmp_path: Path, how: str) -> None:
    kinds: dict[str, dict[str, object]] = {
        "bgr": {"colour": "bgr", "validity": True},
        "canonical": {"canonical_focal_px": 70.0},
        "fixed": {"fixed": (48, 80), "resize": "letterbox"},
    }
    pipeline, frames = tiny(tmp_path, **kinds.get(how, {"kind": how}))
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (8, 12, 3), np.uint8).repeat(16, 0).repeat(16, 1)  # 128 x 192
    for camera in (Camera(192, 128, 150.0, 150.0, 95.0, 63.0), Camera(192, 128, 90.0, 95.0, 90.0, 60.0)):
        expected = pipeline.depth(blocks, camera).depth
        answer = frames.look(RawImage.of(blocks, "rgb"), camera, Wanted("32FC1", CloudOptions(stride=1)))
        assert_depth(answer.depth, expected)
        assert_cloud(answer, camera, blocks, "rgb", CloudOptions(stride=1))
        assert np.isposinf(expected).any() and np.ptp(expected[np.isfinite(expected)]) > 0.1


def test_what_does_not_fit_is_one_sentence(ours: GpuPipeline, picture: np.ndarray) -> None:
    raw = RawImage.of(picture, "bgr")
    with pytest.raises(CloudyPointsError, match="is 704x352 but its camera is 100x50"):
        ours.look(raw, Camera(100, 50, 80.0, 80.0, 49.0, 24.0), Wanted())
    with pytest.raises(CloudyPointsError, match="depth encoding is '8UC1'; expected 32FC1 or 16UC1"):
        ours.look(raw, CAMERA, Wanted("8UC1"))
    other = Look(RawImage.of(picture, "rgb"), CAMERA)
    with pytest.raises(CloudyPointsError, match="704x352 bgr8 and of 704x352 rgb8; send those"):
        ours.start([Look(raw, CAMERA), other], Wanted())


def test_a_failing_device_is_a_lost_engine(pipeline: Pipeline, picture: np.ndarray) -> None:
    class Exhausted(HostEngine):
        def enqueue(self, inputs: object, stream: object) -> dict[str, torch.Tensor]:
            return {"log_depth": torch.empty(1 << 50)}  # more than there is

    frames = GpuPipeline(pipeline.card, Exhausted(pipeline.engine), "cpu")
    with pytest.raises(EngineLost, match=r"The GPU failed \(.*memory.*\); free its memory"):
        frames.look(RawImage.of(picture, "bgr"), CAMERA, Wanted())


def test_the_preview_takes_the_depth(ours: GpuPipeline, picture: np.ndarray) -> None:
    """The arrays are plain ones, for all that follows in the node."""
    answer = ours.look(RawImage.of(picture, "bgr"), CAMERA, Wanted())
    assert colorize(answer.depth).shape == (352, 704, 3)
    assert answer.depth.flags.c_contiguous and answer.depth.flags.writeable


class Averaged:
    """A network on any device: log depth from the mean of the channels."""

    name, precision, batch = "torch", "float32", 8

    def enqueue(self, inputs: dict[str, torch.Tensor], stream: object) -> dict[str, torch.Tensor]:
        image = inputs["image"]
        grey = torch.nn.functional.avg_pool2d(image.mean(1, keepdim=True), 2)
        return {"log_depth": grey + 2.5, "sky": grey - 0.3}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")
@pytest.mark.parametrize("camera", [CAMERA, LENS], ids=["pinhole", "distorted"])
def test_on_a_gpu_as_on_the_cpu_and_nothing_allocated_after_warm_up(
    pipeline: Pipeline, picture: np.ndarray, camera: Camera
) -> None:
    options = CloudOptions("xyzrgb", 2)
    on_cpu, on_gpu = (GpuPipeline(pipeline.card, Averaged(), device) for device in ("cpu", "cuda"))
    for count in (1, 3):
        looks = [Look(RawImage.of(picture // (k + 1), "bgr"), camera) for k in range(count)]
        expected = on_cpu.finish(on_cpu.start(looks, Wanted("32FC1", options)))
        for _ in range(3):  # both slots are captured by then
            got = on_gpu.finish(on_gpu.start(looks, Wanted("32FC1", options)))
        for one, other in zip(got, expected, strict=True):
            assert_depth(one.depth, other.depth)
            assert abs(one.cloud.width - other.cloud.width) < UNDECIDED * other.cloud.width
        before = torch.cuda.memory_stats()["allocation.all.allocated"]
        for _ in range(20):
            on_gpu.finish(on_gpu.start(looks, Wanted("32FC1", options)))
        assert torch.cuda.memory_stats()["allocation.all.allocated"] == before
