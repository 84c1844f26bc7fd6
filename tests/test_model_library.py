"""``cloudypoints models`` as people type it, with tiny networks."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.external_data_helper import convert_model_to_external_data
from tiny_models import write_model

from cloudypoints_ros.cli import main
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import ModelCard, card_path
from cloudypoints_ros.model_files import DEFAULT_MODEL, library_folder, load_card, resolve
from cloudypoints_ros.model_library.catalogue import CATALOGUE, card_of, looks_like
from cloudypoints_ros.model_library.onnx_file import read_onnx

SMALL = "depth_anything_v2_metric_outdoor_small"


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "library"
    monkeypatch.setenv("CLOUDYPOINTS_MODELS", str(folder))
    return folder


def bare_network(
    path: Path,
    image: str = "pixel_values",
    outputs: tuple[str, ...] = ("predicted_depth",),
    operators: tuple[str, ...] = ("Sigmoid",),
    size: tuple[int | str, int | str] = ("height", "width"),
    parameters: int = 0,
    external: bool = False,
) -> Path:
    """A network without a card: the mean of the colours through ``operators``; unused weights make it big."""
    names = ["colour", *(f"step{i}" for i in range(len(operators)))]
    nodes = [helper.make_node("ReduceMean", [image], ["colour"], axes=[1], keepdims=1)]
    nodes += [helper.make_node(op, [names[i]], [names[i + 1]]) for i, op in enumerate(operators)]
    nodes += [helper.make_node("Add", [names[-1], "one"], [each]) for each in outputs]
    weights = [helper.make_tensor("one", TensorProto.FLOAT, [1], np.float32(0.5).tobytes(), raw=True)]
    if parameters:
        weights.append(helper.make_tensor("big", TensorProto.UINT8, [parameters], bytes(parameters), raw=True))
    graph = helper.make_graph(
        nodes,
        "bare",
        [helper.make_tensor_value_info(image, TensorProto.FLOAT, ["batch", 3, *size])],
        [helper.make_tensor_value_info(each, TensorProto.FLOAT, ["batch", 1, *size]) for each in outputs],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if external:
        convert_model_to_external_data(model, location="model.onnx_data", size_threshold=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main(["models", *map(str, words)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_add_list_use_and_remove(tmp_path: Path, library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "add", write_model(tmp_path / "given", name="mine"))
    assert code == 0 and "depths from 2" in out
    assert sorted(p.name for p in library.rglob("*")) == ["mine", "mine.card.json", "mine.onnx"]
    assert resolve("mine") == library / "mine" / "mine.onnx" and load_card(resolve("mine")).name == "mine"
    _, out, _ = run(capsys, "list", "--json")
    embedded, mine = json.loads(out)
    assert embedded["name"] == DEFAULT_MODEL.stem and embedded["accuracy"].startswith("synthetic_abs_rel 0.")
    assert mine["depth"] == "depth, metre" and mine["input"] == "96x64 (32x32 to 1024x512, multiples of 8)"
    _, out, _ = run(capsys, "list")
    assert "mine" in out and "licence" in out
    assert run(capsys, "rm", "mine")[0] == 2 and resolve("mine").is_file()
    assert run(capsys, "rm", "mine", "--yes")[0] == 0 and list(library.iterdir()) == []


def test_nothing_is_overwritten_without_force(
    tmp_path: Path, library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = write_model(tmp_path / "a", name="mine"), write_model(tmp_path / "b", "log_depth", name="mine")
    assert run(capsys, "add", first)[0] == 0
    code, _, err = run(capsys, "add", second)
    assert code == 2 and "--force" in err and load_card(resolve("mine")).output.quantity == "depth"
    assert run(capsys, "add", second, "--force")[0] == 0
    assert load_card(resolve("mine")).output.quantity == "log_depth"
    assert [each.name for each in library.iterdir()] == ["mine"]


def test_weights_outside_travel_along(tmp_path: Path, library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = bare_network(tmp_path / "given" / "model.onnx", external=True)
    assert (given.parent / "model.onnx_data").is_file()
    assert run(capsys, "add", given, "--as", SMALL)[0] == 0
    held = library / SMALL
    assert sorted(p.name for p in held.iterdir()) == sorted([f"{SMALL}.card.json", f"{SMALL}.onnx", "model.onnx_data"])
    (given.parent / "model.onnx_data").unlink()
    code, _, err = run(capsys, "add", given, "--as", SMALL, "--name", "other")
    assert code == 2 and "model.onnx_data" in err and not (library / "other").exists()


def test_weights_may_not_lie_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = bare_network(tmp_path / "given" / "model.onnx", external=True)
    data = given.read_bytes()
    given.write_bytes(data.replace(b"model.onnx_data", b"../outside.data"))
    (given.parent / "model.onnx_data").rename(tmp_path / "outside.data")
    code, _, err = run(capsys, "add", given, "--as", SMALL)
    assert code == 2 and "not beside it" in err


def test_a_public_network_is_recognised_and_never_guessed(
    tmp_path: Path, library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = bare_network(tmp_path / "given" / "model.onnx", parameters=24_800_000)
    assert looks_like(read_onnx(given)) == [SMALL]
    read, write = os.pipe()
    os.close(write)
    done = models_process(["add", str(given)], read)
    os.close(read)
    assert done.returncode == 2 and f"--as {SMALL}" in done.stderr and not library.exists()

    for answer, code in (b"n\n", 2), (b"y\n", 0):
        ours, theirs = pty.openpty()
        os.write(ours, answer)
        done = models_process(["add", str(given)], theirs)
        os.close(ours)
        os.close(theirs)
        assert done.returncode == code and "Apache-2.0" in done.stdout, done.stderr
        assert (library / SMALL).is_dir() == (code == 0)


def models_process(words: list[str], stdin: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cloudypoints_ros.cli", "models", *words]
    return subprocess.run(command, stdin=stdin, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        ({"image": "tokens"}, "expected one image"),
        ({"outputs": ("logits",)}, "expected predicted_depth or depth"),
        ({"size": (500, 518)}, "expected a multiple of 14"),
    ],
)
def test_another_network_is_not_taken_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], network: dict, sentence: str
) -> None:
    code, _, err = run(capsys, "add", bare_network(tmp_path / "a.onnx", **network), "--as", SMALL)
    assert code == 2 and sentence in err


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_entry_makes_a_card_that_reads_back(tmp_path: Path, name: str) -> None:
    entry = CATALOGUE[name]
    outputs = (entry.outputs[0], "sky") if entry.sky else entry.outputs[:1]
    card = card_of(name, read_onnx(bare_network(tmp_path / "a.onnx", outputs=outputs)))
    assert ModelCard.from_json(card.to_json()) == card
    assert "not tested" in card.provenance["card"] and entry.sources[0].startswith("https://")


def test_cards_follow_the_file(tmp_path: Path) -> None:
    fixed = card_of(SMALL, read_onnx(bare_network(tmp_path / "a.onnx", size=(518, 518))))
    assert fixed.input.size.fixed and fixed.input.size.opt == (518, 518) and fixed.input.resize == "letterbox"
    da3 = card_of("da3metric_large", read_onnx(bare_network(tmp_path / "b.onnx", "image", ("depth", "sky"))))
    assert da3.output.canonical_focal_px == 300 and da3.output.sky and da3.output.sky.sense == "above"
    inside = tmp_path / "c.onnx"
    model = onnx.load(str(bare_network(inside, "0", ("797",), (), size=(256, 256))))
    assert card_of("midas_v21_small", read_onnx(inside)).input.mean == (0.485, 0.456, 0.406)
    model.graph.node[0].input[0] = "centred"
    model.graph.node.insert(0, helper.make_node("Sub", ["0", "one"], ["centred"]))
    onnx.save(model, str(inside))
    assert card_of("midas_v21_small", read_onnx(inside)).input.mean == (0, 0, 0)


def test_a_card_that_does_not_fit_leaves_nothing(
    tmp_path: Path, library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = bare_network(tmp_path / "given" / "model.onnx")
    card = card_of(SMALL, read_onnx(given)).to_json()
    (tmp_path / "wrong.json").write_text(card.replace('"predicted_depth"', '"answer"'))
    code, _, err = run(capsys, "add", given, "--card", tmp_path / "wrong.json")
    assert code == 2 and "names the outputs answer" in err
    assert list(library.iterdir()) == []
    (tmp_path / "right.json").write_text(card)
    assert run(capsys, "add", given, "--card", tmp_path / "right.json", "--name", "mine")[0] == 0
    assert card_path(library / "mine" / "mine.onnx").is_file()


def test_a_network_without_an_answer_is_refused(
    tmp_path: Path, library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = bare_network(tmp_path / "a.onnx", operators=("Sigmoid", "Log", "Sqrt"))  # the root of a negative number
    code, _, err = run(capsys, "add", given, "--as", SMALL)
    assert code == 2 and "gives no depth" in err and list(library.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["add", "absent.onnx"], "There is no model file absent.onnx"),
        (["add", __file__], "not a complete ONNX file"),
        (["inspect", "absent"], "no model of that name"),
        (["rm", DEFAULT_MODEL.stem, "--yes"], "comes with the package"),
        (["rm", "absent", "--yes"], "it holds nothing"),
        (["verify", "--frames", "0"], "at least 1"),
        (["build", "--for", "fast"], "such as sm_89"),
    ],
)
def test_what_the_user_can_mend(capsys: pytest.CaptureFixture[str], words: list[str], sentence: str) -> None:
    code, _, err = run(capsys, *words)
    assert code == 2 and sentence in err and "Traceback" not in err


def test_inspect_says_what_onnx_says(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "inspect")
    graph = onnx.load(str(DEFAULT_MODEL)).graph
    assert code == 0 and "focal length of 500 px" in out and "input      image: float32 (1, 3, height, width)" in out
    assert f"operators  {len(graph.node)}: " in out
    assert f"{sum(int(np.prod(each.dims)) for each in graph.initializer)} parameters" in out


def test_verify_compares_and_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "verify", write_model(tmp_path), "--frames", "2", "--threads", "1")
    assert code == 0, err
    assert "onnxruntime" in out and "0.00e+00" in out and "at 96x64, median of 2" in out and "cores" in out


def test_build_makes_a_plan_for_a_gpu_that_is_not_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorrt_rtx")
    monkeypatch.setenv("CLOUDYPOINTS_CACHE", str(tmp_path / "cache"))
    model = write_model(tmp_path, fixed=(64, 96))
    code, out, err = run(capsys, "build", model, "--for", "sm_89")
    assert code == 0, err
    assert "for SM 89 by tensorrt_rtx: float32" in out and "there is none yet" in out
    (plan,) = (tmp_path / "cache/engines").glob("*.plan")
    assert plan.stat().st_size > 1000
    code, out, _ = run(capsys, "build", model, "--for", "8.9")
    assert code == 0 and "there is none yet" not in out
    assert len(list((tmp_path / "cache/engines").glob("*.plan"))) == 1
    assert run(capsys, "add", model, "--name", "tiny")[0] == 0
    code, out, _ = run(capsys, "list", "--json")
    engines = {each["name"]: each["engines"] for each in json.loads(out)}
    assert engines["tiny"].startswith("tensorrt_rtx ") and engines["tiny"].endswith(" for SM 89")
    assert engines[DEFAULT_MODEL.stem] == ""


def test_where_the_library_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOUDYPOINTS_MODELS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert library_folder() == tmp_path / "cloudypoints" / "models"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert library_folder() == tmp_path / ".local/share/cloudypoints/models"
    assert resolve("") == resolve(None) == resolve("cloudypoints_street") == DEFAULT_MODEL
    assert resolve("../library/mine") == Path("../library/mine")  # never a name
    with pytest.raises(CloudyPointsError, match=r"no model of that name .* one of the names cloudypoints_street"):
        resolve("mine")
