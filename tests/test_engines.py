"""Every CPU engine gives one depth, refuses in the same words, and auto says why it took which."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tiny_models import write_model

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.cli import main
from cloudypoints_ros.engines import CPU_ENGINES, ENGINES, choice, open_engine
from cloudypoints_ros.engines.choice import CANDIDATES, Candidate, Choice, open_best
from cloudypoints_ros.engines.contract import zeros
from cloudypoints_ros.engines.gpu_probe import gpu_problem
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.loader import Loader
from cloudypoints_ros.model_files import DEFAULT_MODEL, load_card
from cloudypoints_ros.parameter_table import PARAMETERS
from cloudypoints_ros.pipeline import Pipeline
from cloudypoints_ros.settings import ModelSettings

pytest.importorskip("openvino", reason="OpenVINO is not installed")

no_gpu = pytest.mark.skipif(gpu_problem() is None, reason="there is a GPU, so auto takes another engine")

# Two libraries add the same float32 products in another order; seen: 1.2e-6 of log depth, 5e-6 of the sky's logit.
# Logits that near the threshold may fall on the other side: no more than a pixel in ten thousand.
RELATIVE = 1e-4
OTHER_SIDE = 1e-4


def pictures(height: int = 75, width: int = 100) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)


def camera(height: int = 75, width: int = 100) -> Camera:
    return Camera(width, height, 0.9 * width, 0.9 * width, width / 2, height / 2)


def same_depth(model: Path, engine: str, image: np.ndarray) -> float:
    """Asserts that engine and onnxruntime agree; returns how far apart they were, relative."""
    lens = camera(*image.shape[:2])
    expected, found = (Pipeline.open(model, name, 1).depth(image, lens).depth for name in ("onnxruntime", engine))
    assert (np.isfinite(expected) != np.isfinite(found)).mean() <= OTHER_SIDE
    both = np.isfinite(expected) & np.isfinite(found)
    assert both.mean() > 0.05
    apart = np.abs(found[both] / expected[both] - 1)
    assert np.quantile(apart, 1 - OTHER_SIDE) < RELATIVE
    return float(apart.max())


@pytest.mark.parametrize("engine", [name for name in CPU_ENGINES if name != "onnxruntime"])
@pytest.mark.parametrize("fixed", [None, (64, 96)])
@pytest.mark.parametrize("kind", ["depth", "log_depth", "inverse_depth", "ray_angle"])
def test_tiny_models_answer_alike(tmp_path: Path, kind: str, fixed: tuple[int, int] | None, engine: str) -> None:
    model = write_model(tmp_path, kind, fixed, sky=kind != "ray_angle", validity=kind == "depth")
    same_depth(model, engine, pictures())


@pytest.mark.parametrize("engine", [name for name in CPU_ENGINES if name != "onnxruntime"])
@pytest.mark.parametrize("size", [(160, 320), (97, 320)])
def test_the_embedded_model_answers_alike(engine: str, size: tuple[int, int]) -> None:
    height, width = size
    # A street's brightness: sky above, road below, texture on both.
    ramp = np.linspace(230, 60, height)[:, None, None] * np.ones((1, width, 3))
    image = np.clip(ramp + pictures(height, width) * 0.2 - 25, 0, 255).astype(np.uint8)
    same_depth(DEFAULT_MODEL, engine, image)


def test_the_answers_of_two_frames_are_apart(tmp_path: Path) -> None:
    """An engine that hands out its own buffer would change the first answer while it computes the second."""
    model = write_model(tmp_path)
    for name in CPU_ENGINES:
        engine = open_engine(name, model, load_card(model), 1)
        first = engine.infer({"image": np.zeros((1, 3, 64, 96), np.float32)})["answer"]
        second = engine.infer({"image": np.ones((1, 3, 64, 96), np.float32)})["answer"]
        assert (first == 2).all() and (second == 42).all(), name


def test_the_name_says_what_runs(tmp_path: Path) -> None:
    engine = open_engine("openvino", DEFAULT_MODEL, load_card(DEFAULT_MODEL), 1)
    assert engine.name.startswith("openvino 20") and engine.name.endswith("CPU, float32, 1 threads")
    # What OpenVINO itself says it compiled for: bfloat16 would be its own choice on a CPU that knows it.
    inputs = zeros(load_card(DEFAULT_MODEL))
    engine.infer(inputs)
    shapes = tuple((name, value.shape) for name, value in inputs.items())
    compiled = engine._compiled[shapes].get_compiled_model()  # type: ignore[attr-defined]
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1


def test_bfloat16_is_near_or_refused() -> None:
    card = load_card(DEFAULT_MODEL)
    image = {card.input.tensor: np.random.default_rng(3).standard_normal((1, 3, 64, 128)).astype(np.float32)}
    expected = open_engine("openvino", DEFAULT_MODEL, card, 1).infer(image)[card.output.tensor]
    try:
        engine = open_engine("openvino_bf16", DEFAULT_MODEL, card, 1)
    except CloudyPointsError as error:
        assert "This CPU does not compute in bfloat16" in str(error) and "use the engine openvino" in str(error)
        return
    apart = np.abs(engine.infer(image)[card.output.tensor] - expected)
    assert "bfloat16" in engine.name and 1e-4 < apart.max() < 0.2 and apart.mean() < 0.02


def test_many_sizes_are_answered_and_few_are_kept(tmp_path: Path) -> None:
    model = write_model(tmp_path)
    engine = open_engine("openvino", model, load_card(model), 1)
    for width in (*range(32, 32 + 8 * 20, 8), 32):
        image = np.random.default_rng(width).random((1, 3, 32, width), np.float32)
        np.testing.assert_allclose(engine.infer({"image": image})["answer"], 2 + 40 * image[:, :1], rtol=1e-5)
    kept = [dict(shapes)["image"][3] for shapes in engine._compiled]  # type: ignore[attr-defined]
    assert len(kept) == 8 and kept[-1] == 32 and kept[0] == 32 + 8 * 13


def test_an_engine_that_is_dropped_leaves_no_threads() -> None:
    """Without a collection of cycles, which may come late or never while frames flow."""
    card = load_card(DEFAULT_MODEL)
    gc.disable()
    try:
        counts = []
        for _ in range(6):
            engine = open_engine("openvino", DEFAULT_MODEL, card, 2)
            engine.infer({card.input.tensor: np.zeros((1, 3, 64, 64), np.float32)})
            del engine
            counts.append(len(list(Path("/proc/self/task").iterdir())))
    finally:
        gc.enable()
    assert counts[-1] <= counts[1], counts


@pytest.mark.parametrize(("engine", "library"), [("onnxruntime", "ONNX Runtime"), ("openvino", "OpenVINO")])
def test_what_does_not_fit_is_said_alike(tmp_path: Path, engine: str, library: str) -> None:
    model = write_model(tmp_path)
    card = load_card(model)
    fixed = write_model(tmp_path, fixed=(32, 64), name="fixed")
    other = write_model(tmp_path, sky=False, name="other")
    wrong_tensor = load_card(write_model(tmp_path, "ray_angle", sky=False, name="rays"))
    for path, its_card, sentence in (
        (fixed, card, "takes images of 32x64 .* but its card allows .*; correct the size"),
        (other, card, "names the outputs sky, but the model has answer; correct the card"),
        (model, wrong_tensor, "names the inputs rays, but the model has image; correct the card"),
    ):
        with pytest.raises(CloudyPointsError, match=sentence):
            open_engine(engine, path, its_card)
    with pytest.raises(CloudyPointsError, match=rf"{library} cannot run the model on image float32 \(1, 4, 64, 96\)"):
        open_engine(engine, model, card).infer({"image": np.zeros((1, 4, 64, 96), np.float32)})
    for damage, reason in ((lambda data: data.replace(b"Slice", b"Slyce"), "Slyce"), (lambda data: data[:200], "")):
        broken = tmp_path / "broken.onnx"
        broken.write_bytes(damage(model.read_bytes()))
        with pytest.raises(CloudyPointsError, match=f"cannot be loaded by {library} .*{reason}.*export it again"):
            open_engine(engine, broken, card)


# ---- the choice


@no_gpu
def test_auto_takes_the_best_on_the_cpu_and_says_why(tmp_path: Path) -> None:
    pipeline = Pipeline.open(write_model(tmp_path), "auto", 1)
    said = str(pipeline.choice)
    assert pipeline.engine.name.startswith("openvino ") and said.startswith("openvino; tensorrt: ")
    names = [name for name, _ in pipeline.choice.passed_over]
    assert names == ["tensorrt", "tensorrt_rtx", "onnxruntime_cuda"] and "\n" not in said
    assert "onnxruntime_cuda: the onnxruntime that is installed has no CUDA provider" in said


@no_gpu
def test_choosing_imports_no_vendor_but_the_one_taken() -> None:
    code = (
        "import sys; from cloudypoints_ros.pipeline import Pipeline; Pipeline.open(engine='auto'); "
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'tensorrt', 'tensorrt_rtx', 'onnxruntime'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_probe_agrees_with_the_driver() -> None:
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        assert gpu_problem() == "no NVIDIA GPU (the driver's libcuda.so.1 cannot be loaded)"
    else:
        assert (gpu_problem() is None) == (cuda.cuInit(0) == 0)


def test_a_driver_without_a_gpu_is_named(tmp_path: Path) -> None:
    """A real library under the driver's name that says what the driver says where no device is."""
    if subprocess.run(["which", "cc"], capture_output=True).returncode:
        pytest.skip("no C compiler")
    source = tmp_path / "cuda.c"
    source.write_text(
        "int cuInit(unsigned f) { return 100; }\nint cuDeviceGetCount(int *n) { return 3; }\n"
        'int cuGetErrorName(int e, const char **s) { *s = "CUDA_ERROR_NO_DEVICE"; return 0; }\n'
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "libcuda.so.1", source], check=True)
    code = "from cloudypoints_ros.engines.gpu_probe import gpu_problem; print(gpu_problem())"
    env = {"LD_LIBRARY_PATH": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.strip() == "no NVIDIA GPU (CUDA_ERROR_NO_DEVICE from the driver)"


def test_the_table_and_the_parameter_know_the_same_engines() -> None:
    row = next(row for row in PARAMETERS if row.name == "engine")
    assert set(row.choices) == {"auto", *ENGINES} and row.default == "auto"
    assert {each.name for each in CANDIDATES} == set(ENGINES) - {"openvino_bf16"}  # only where it is asked for
    assert [each.name for each in choice.on_cpu()] == ["openvino", "onnxruntime"]


def test_an_engine_that_does_not_open_is_passed_over_with_its_reason(tmp_path: Path) -> None:
    model = write_model(tmp_path)
    card = load_card(model)
    among = [Candidate("onnxruntime_cuda", lambda: None, on_gpu=True), Candidate("onnxruntime", lambda: None)]
    engine, chosen = open_best(model, card, 1, among, build=False)
    assert engine.name.startswith("onnxruntime ") and "CPU" in engine.name
    assert chosen.engine == "onnxruntime" and chosen.passed_over[0][0] == "onnxruntime_cuda"
    assert "onnxruntime_cuda cannot be used: the onnxruntime that is installed has no CUDA" in str(chosen)
    with pytest.raises(CloudyPointsError, match=r"^The engine onnxruntime_cuda cannot be used"):
        open_best(model, card, 1, among[:1], build=False)


def test_a_broken_model_is_said_by_the_engine_of_last_resort(tmp_path: Path) -> None:
    broken = write_model(tmp_path)
    broken.write_bytes(broken.read_bytes().replace(b"Slice", b"Slyce"))
    with pytest.raises(CloudyPointsError, match=r"^The model .* cannot be loaded by ONNX Runtime"):
        Pipeline.open(broken, "auto")


def test_what_has_to_be_built_is_left_for_later_and_built_then(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """OpenVINO as the engine that takes long, the way the node goes."""
    model = write_model(tmp_path)
    better = Candidate("openvino", lambda: None, builds=True)
    absent = Candidate("tensorrt", lambda: "not installed")
    monkeypatch.setattr(choice, "CANDIDATES", [absent, better, Candidate("onnxruntime", lambda: None)])
    first = Pipeline.open(model, "auto", 1, among=choice.CANDIDATES)
    assert first.choice == Choice(
        "onnxruntime", (("tensorrt", "not installed"), ("openvino", "has to be built first")), ("openvino",)
    )
    loader = Loader()
    loader.start(ModelSettings(model, "auto", 1), False, first.choice)
    end = time.monotonic() + 30
    while (loaded := loader.take()) is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert loaded.pipeline is not None and loaded.pipeline.engine.name.startswith("openvino")
    assert loaded.pipeline.choice == Choice("openvino", (("tensorrt", "not installed"),))
    failed = first.choice.without_unbuilt("too large")
    assert str(failed) == "onnxruntime; tensorrt: not installed; openvino: too large" and not failed.unbuilt


def test_predict_says_which_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), pictures())
    model = write_model(tmp_path / "model")
    base = ["predict", str(tmp_path / "a.png"), "-o", str(tmp_path / "out"), "--model", str(model), "--hfov", "90"]
    assert main(base) == 0
    assert "Engine: openvino; tensorrt: " in capsys.readouterr().err
    auto = np.load(tmp_path / "out" / "a.npy")
    assert main([*base, "--engine", "onnxruntime"]) == 0
    assert "Engine: onnxruntime" in capsys.readouterr().err
    np.testing.assert_allclose(np.load(tmp_path / "out" / "a.npy"), auto, rtol=RELATIVE)
    with pytest.raises(SystemExit):
        main([*base, "--engine", "magic"])
