"""The whole way of a frame, on tiny models whose answer is known and on the embedded one."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_models import DYNAMIC_SIZE, NEAR_M, expected_depth, write_model

from cloudypoints_ros.camera import Camera, load_camera
from cloudypoints_ros.engines import CPU_ENGINES, open_engine
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.metrics import constant_errors, depth_metrics, mean_constant_errors
from cloudypoints_ros.model_files import DEFAULT_MODEL, load_card
from cloudypoints_ros.pipeline import Pipeline
from cloudypoints_ros.sources import read_image, read_truth

CAMERA = Camera(96, 64, 80.0, 80.0, 47.5, 31.5)


def picture(camera: Camera = CAMERA) -> np.ndarray:
    """Red rises to the right, the upper quarter is sky (blue), green says valid."""
    image = np.zeros((camera.height, camera.width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 255, camera.width).astype(np.uint8)
    image[..., 1] = 255
    image[: camera.height // 4, :, 2] = 255
    return image


@pytest.mark.parametrize("engine", CPU_ENGINES)
@pytest.mark.parametrize("kind", ["depth", "log_depth", "inverse_depth"])
@pytest.mark.parametrize("fixed", [None, (64, 96)], ids=["dynamic", "fixed"])
@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
def test_every_engine_quantity_and_size(
    tmp_path: Path, engine: str, kind: str, fixed: tuple[int, int] | None, resize: str
) -> None:
    pipeline = Pipeline.open(write_model(tmp_path, kind, fixed, resize=resize), engine)
    frame = pipeline.depth(picture(), CAMERA)
    assert frame.depth.shape == (64, 96) and frame.depth.dtype == np.float32
    assert np.isposinf(frame.depth[:16]).all()
    np.testing.assert_allclose(frame.depth[17:], np.tile(expected_depth(picture()[0, :, 0]), (47, 1)), rtol=1e-4)
    assert set(frame.times_ms) == {"preprocess", "infer", "postprocess"}


def test_bgr_images_and_bgr_models(tmp_path: Path) -> None:
    expected = Pipeline.open(write_model(tmp_path / "a")).depth(picture(), CAMERA).depth
    reversed_image = np.ascontiguousarray(picture()[..., ::-1])
    for colour in ("rgb", "bgr"):
        model = write_model(tmp_path / colour, colour=colour)
        np.testing.assert_array_equal(Pipeline.open(model).depth(reversed_image, CAMERA, "bgr").depth, expected)


def test_other_image_sizes_than_the_networks(tmp_path: Path) -> None:
    pipeline = Pipeline.open(write_model(tmp_path, resize="letterbox"))
    camera = Camera(300, 100, 200.0, 200.0, 149.5, 49.5)
    depth = pipeline.depth(picture(camera), camera).depth
    assert depth.shape == (100, 300)
    np.testing.assert_allclose(depth[60, 10:-10], expected_depth(picture(camera)[0, 10:-10, 0]), rtol=0.02)


def test_half_the_image_with_the_camera_scaled_gives_the_same_metres(tmp_path: Path) -> None:
    pipeline = Pipeline.open(write_model(tmp_path, "log_depth", canonical_focal_px=160.0, resize="letterbox"))
    camera = Camera(192, 128, 160.0, 160.0, 95.5, 63.5)
    full = pipeline.depth(picture(camera), camera).depth
    half_image = cv2.resize(picture(camera), (96, 64), interpolation=cv2.INTER_AREA)
    half = pipeline.depth(half_image, camera.scaled(0.5)).depth
    # A pixel of the half image covers four of the full one; rounding to whole grey levels costs 0.04 m.
    np.testing.assert_allclose(half[20:], full.reshape(64, 2, 96, 2).mean((1, 3))[20:], atol=0.06)
    assert full[100, 0] == pytest.approx(expected_depth(np.array([0]))[0] * 80 / 160, rel=0.05)


def test_twice_the_focal_length_is_twice_as_far(tmp_path: Path) -> None:
    pipeline = Pipeline.open(write_model(tmp_path, canonical_focal_px=160.0))
    once = pipeline.depth(picture(), CAMERA).depth[20:]
    twice = pipeline.depth(picture(), Camera(96, 64, 160.0, 160.0, 47.5, 31.5)).depth[20:]
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-5)


def test_the_embedded_model_is_metric_at_any_image_size() -> None:
    """DESIGN's half-size test on the shipped weights and a shipped picture."""
    clip = DEFAULT_MODEL.parents[1] / "clip"
    camera = load_camera(clip / "camera.json")
    image = cv2.imread(str(sorted((clip / "image").iterdir())[0]))
    pipeline = Pipeline.open()
    full = pipeline.depth(image, camera, "bgr").depth
    half_size = (camera.width // 2, camera.height // 2)
    half = pipeline.depth(cv2.resize(image, half_size, interpolation=cv2.INTER_AREA), camera.scaled(0.5), "bgr").depth
    assert full.shape == (camera.height, camera.width)
    a, b = full[::2, ::2], half
    both = np.isfinite(a) & np.isfinite(b)
    assert both.mean() > 0.4 and (np.isposinf(a) == np.isposinf(b)).mean() > 0.97
    assert np.median(np.abs(np.log(a[both] / b[both]))) < 0.05


def test_the_embedded_model_knows_the_clip() -> None:
    """A street drawn with a seed of its own: far better than any constant depth."""
    clip = DEFAULT_MODEL.parents[1] / "clip"
    camera = load_camera(clip / "camera.json")
    pipeline = Pipeline.open()
    errors, floors = [], []
    for truth_path in sorted((clip / "depth").iterdir()):
        truth = read_truth(truth_path)
        image = read_image(clip / "image" / f"{truth_path.stem}.jpg")
        errors.append(depth_metrics(pipeline.depth(image, camera, "bgr").depth, truth).abs_rel)
        floors.append(constant_errors(truth))
    assert len(errors) == 4
    assert np.mean(errors) < 0.2 and np.mean(errors) < 0.5 * mean_constant_errors(floors).raw.min()


REAL = Path(__file__).parents[2] / "shared" / "data" / "street_pairs"


@pytest.mark.skipif(not REAL.is_dir(), reason="the real street images are not beside the checkout")
def test_the_embedded_model_on_real_streets_is_what_the_readme_says() -> None:
    pipeline = Pipeline.open()
    sources: dict[str, list[tuple[float, float]]] = {}
    for truth_path in sorted(REAL.glob("*/depth.png")):
        folder = truth_path.parent
        source = next(s for s in ("cityscapes", "kitti", "mmdet3d", "nusc", "sfnd") if folder.name.startswith(s))
        image = read_image(folder / "image.jpg")
        depth = pipeline.depth(image, load_camera(folder / "camera.json"), "bgr").depth
        truth = read_truth(truth_path)
        raw, scaled = (depth_metrics(depth, truth, median_scaled=scale).abs_rel for scale in (False, True))
        sources.setdefault(source, []).append((raw, scaled))
    raw, scaled = np.mean([np.mean(values, 0) for values in sources.values()], 0)
    assert raw <= 0.456 and scaled <= 0.35
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    row = next(line for line in readme.splitlines() if line.startswith("| **mean over the five sources**"))
    assert [float(v) for v in re.findall(r"0\.\d+", row)[:2]] == pytest.approx([raw, scaled], abs=0.002)


def test_an_answer_of_another_size_comes_with_its_camera(tmp_path: Path) -> None:
    pipeline = Pipeline.open(write_model(tmp_path))
    full = pipeline.depth(picture(), CAMERA)
    half = pipeline.depth(picture(), CAMERA, size=(48, 32))
    assert half.depth.shape == (32, 48) and half.camera == CAMERA.resized(48, 32)
    between = (full.depth[20:64:2, ::2] + full.depth[20:64:2, 1::2]) / 2
    np.testing.assert_allclose(half.depth[10:], between, rtol=2e-2)


def test_any_memory_layout_of_an_image(tmp_path: Path) -> None:
    pipeline = Pipeline.open(write_model(tmp_path))
    expected = pipeline.depth(picture(), CAMERA).depth
    np.testing.assert_array_equal(pipeline.depth(picture()[..., ::-1], CAMERA, "bgr").depth, expected)
    wide = np.concatenate([picture(), picture()], 1)
    np.testing.assert_array_equal(pipeline.depth(wide[:, :96], CAMERA).depth, expected)
    frozen = picture()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(pipeline.depth(frozen, CAMERA).depth, expected)


def test_ray_angles_reach_the_model(tmp_path: Path) -> None:
    pipeline = Pipeline.open(write_model(tmp_path, "ray_angle", sky=False))
    depth = pipeline.depth(picture(), CAMERA).depth
    expected = NEAR_M + np.arctan((np.arange(96) - CAMERA.cx) / CAMERA.fx)
    np.testing.assert_allclose(depth[30], expected, rtol=1e-3)


def test_a_model_and_a_card_of_different_sizes(tmp_path: Path) -> None:
    import dataclasses

    model = write_model(tmp_path, fixed=(64, 96))
    card = load_card(model)
    wrong = dataclasses.replace(card, input=dataclasses.replace(card.input, size=DYNAMIC_SIZE))
    with pytest.raises(CloudyPointsError, match=r"takes images of 64x96 .* but its card allows \(32, 32\) to"):
        open_engine("onnxruntime", model, wrong)
    with pytest.raises(CloudyPointsError, match=r"cannot run the model on image float32 \(1, 3, 8, 8\)"):
        open_engine("onnxruntime", model, card).infer({"image": np.zeros((1, 3, 8, 8), np.float32)})


def test_a_relative_model_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(CloudyPointsError, match="relative depth, which is not metres; use a metric model"):
        Pipeline.open(write_model(tmp_path, "inverse_depth", unit="relative"))


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (np.zeros((64, 97, 3), np.uint8), "image is 97x64 but its camera is 96x64"),
        (np.zeros((64, 96), np.uint8), r"uint8 \(64, 96\); expected uint8 \(height, width, 3\)"),
        (np.zeros((64, 96, 3), np.float32), "float32"),
    ],
)
def test_wrong_images(tmp_path: Path, image: np.ndarray, sentence: str) -> None:
    with pytest.raises(CloudyPointsError, match=sentence):
        Pipeline.open(write_model(tmp_path)).depth(image, CAMERA)


def test_unknown_engine_and_wrong_card(tmp_path: Path) -> None:
    import dataclasses

    model = write_model(tmp_path)
    card = load_card(model)
    with pytest.raises(CloudyPointsError, match="engine 'tpu' is not known; expected one of onnxruntime"):
        open_engine("tpu", model, card)
    wrong = dataclasses.replace(card, output=dataclasses.replace(card.output, tensor="depths"))
    with pytest.raises(CloudyPointsError, match="names the outputs depths, but the model has answer, sky"):
        open_engine("onnxruntime", model, wrong)


def test_onnxruntimes_own_failure_is_one_sentence(tmp_path: Path) -> None:
    import onnx

    model = write_model(tmp_path)
    card = load_card(model)
    proto = onnx.load(str(model))
    proto.graph.node[0].op_type = "Slyce"
    onnx.save(proto, str(model))
    with pytest.raises(CloudyPointsError, match="cannot be loaded by ONNX Runtime") as caught:
        open_engine("onnxruntime", model, card)
    assert "\n" not in str(caught.value)
