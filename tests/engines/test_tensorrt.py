"""The TensorRT engines: without a GPU that they say so and touch nothing, with one that they answer."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tiny_models import write_model

from cloudypoints_ros.engines import open_engine
from cloudypoints_ros.engines.backends import BACKENDS, load, shortened
from cloudypoints_ros.engines.engine_cache import engines_folder
from cloudypoints_ros.engines.gpu_identity import gpu
from cloudypoints_ros.engines.gpu_probe import gpu_problem
from cloudypoints_ros.engines.onnxruntime import OnnxRuntimeEngine
from cloudypoints_ros.engines.parity import differences, fixed_inputs
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_files import DEFAULT_MODEL, load_card

NO_GPU = gpu_problem()
RUNNABLE = [name for name in BACKENDS if find_spec(name) and find_spec("torch")]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDYPOINTS_CACHE", str(tmp_path / "cache"))


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
@pytest.mark.parametrize("backend", list(BACKENDS))
def test_without_a_gpu_it_says_so_and_imports_nothing(tmp_path: Path, backend: str) -> None:
    model = write_model(tmp_path / "model")
    with pytest.raises(
        CloudyPointsError, match=r"^There is no NVIDIA GPU \(.*\); use the engine openvino or onnxruntime"
    ):
        open_engine(backend, model, load_card(model))
    assert not engines_folder().exists()
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from cloudypoints_ros.engines import open_engine\n"
        "from cloudypoints_ros.errors import CloudyPointsError\n"
        "from cloudypoints_ros.model_files import load_card\n"
        f"model = Path({str(model)!r})\n"
        "try:\n"
        f"    open_engine({backend!r}, model, load_card(model))\n"
        "except CloudyPointsError:\n"
        "    print([name for name in sys.modules if name in ('torch', 'tensorrt', 'tensorrt_rtx')])\n"
    )
    source = Path(__file__).parents[2] / "src"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env={"PYTHONPATH": str(source)}
    )
    assert run.stdout == "[]\n", run.stderr


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
def test_there_is_no_gpu_to_describe() -> None:
    with pytest.raises(CloudyPointsError, match=r"a container needs --gpus all"):
        gpu()


@pytest.mark.parametrize("backend", [name for name in BACKENDS if not find_spec(BACKENDS[name].module)])
def test_a_backend_that_is_missing_is_named_with_its_remedy(backend: str) -> None:
    with pytest.raises(CloudyPointsError, match=f"cannot be imported .* install it with 'pip install {backend}"):
        load(backend)


def test_tensorrt_speaks_shorter() -> None:
    said = {
        "IBuilder::buildSerializedNetwork: Error Code 4: API Usage Error (Network has dynamic or shape inputs, but no "
        "optimization profile has been defined. In validate at /_src/optimizer/api/network.cpp:4023)": "Network has "
        "dynamic or shape inputs, but no optimization profile has been defined",
        "[checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda Runtime (In catchCudaError at /_src/x.cpp:250 "
        "(cudaError 35: too old))": "",
        "Assertion failed: (ctx->tensors().count(inputName)): Node input was not registered.": "Node input was not "
        "registered",
        "": "",
    }
    assert {text: shortened(text) for text in said} == said


@pytest.mark.gpu
@pytest.mark.skipif(bool(NO_GPU), reason=NO_GPU or "")
@pytest.mark.parametrize("backend", RUNNABLE)
def test_on_a_gpu_it_answers_as_onnx_runtime_does(tmp_path: Path, backend: str) -> None:
    import torch

    from cloudypoints_ros.engines.tensorrt import TensorRtEngine

    card = load_card(DEFAULT_MODEL)
    engine, reference = TensorRtEngine(DEFAULT_MODEL, card, backend), OnnxRuntimeEngine(DEFAULT_MODEL, card)
    assert engine.built == "there is none yet" and torch.cuda.get_device_name() in engine.name
    for size in (card.input.size.opt, card.input.size.min, card.input.size.max, card.input.size.opt):
        inputs = fixed_inputs(card, size)
        assert differences(reference.infer(inputs), engine.infer(inputs), card).small, size
    stream = torch.cuda.Stream()
    inputs = fixed_inputs(card)
    on_gpu = {name: torch.from_numpy(value).cuda() for name, value in inputs.items()}
    torch.cuda.synchronize()
    answers = engine.enqueue(on_gpu, stream)
    stream.synchronize()
    before = torch.cuda.memory_stats()["allocation.all.allocated"]
    again = engine.enqueue(on_gpu, stream)
    stream.synchronize()
    assert torch.cuda.memory_stats()["allocation.all.allocated"] == before
    assert {name: value.data_ptr() for name, value in again.items()} == {n: v.data_ptr() for n, v in answers.items()}
    answered = {name: value.cpu().numpy() for name, value in again.items()}
    assert differences(reference.infer(inputs), answered, card).small
    with pytest.raises(CloudyPointsError, match="cannot run the model on"):
        engine.infer({card.input.tensor: np.zeros((1, 3, 8, 8), np.float32)})
    assert TensorRtEngine(DEFAULT_MODEL, card, backend).built == ""
