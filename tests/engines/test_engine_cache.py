"""The cache of TensorRT plans: what makes a plan anew, and what no accident may do to it."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from cache_process import __file__ as PROCESS
from onnx import numpy_helper
from tiny_models import write_model
from typed_models import with_card

from cloudypoints_ros.engines.cache_key import WORDS, CacheKey, key_for
from cloudypoints_ros.engines.engine_cache import (
    cache_root,
    cached,
    engines_folder,
    entries,
    find,
    remove,
    timing_path,
)
from cloudypoints_ros.engines.gpu_identity import Gpu
from cloudypoints_ros.engines.plans import Plan, build_plan
from cloudypoints_ros.engines.ready import plan_ahead
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import InputSize
from cloudypoints_ros.model_files import load_card

pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")

RTX = "tensorrt_rtx"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDYPOINTS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def ahead(model: Path, sm: str = "89") -> tuple[Plan, str]:
    got = plan_ahead(RTX, model, load_card(model), sm)
    return got.plan, got.why


def key_of(model: Path, sm: str = "89", gpu: Gpu | None = None) -> CacheKey:
    return key_for(RTX, model, load_card(model), gpu, sm)


def process(model: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, PROCESS, str(model), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def mid_build(run: subprocess.Popen[str]) -> None:
    """Wait until TensorRT has reported a step."""
    assert run.stdout is not None
    line = run.stdout.readline()
    assert line.startswith("step"), (line, run.communicate())


def test_a_plan_is_built_once_and_then_at_hand(model: Path) -> None:
    plan, why = ahead(model)
    again, nothing = ahead(model)
    assert why == "there is none yet" and nothing == "" and again == plan
    (entry,) = entries()
    assert (entry.model, entry.key, entry.precision) == ("tiny", key_of(model), "float32")
    assert entry.path.read_bytes() == plan.data and entry.size == len(plan.data)
    readable = json.loads(entry.path.with_suffix(".json").read_text())
    assert readable["key"]["sm"] == "89" and readable["key"]["tensorrt"].count(".") == 3
    remove(entry)
    assert entries() == [] and find(entry.key) is None
    assert ahead(model)[1] == "there is none yet"


@pytest.mark.parametrize("item", [field.name for field in dataclasses.fields(CacheKey)])
def test_any_item_of_the_key_builds_anew_and_is_named(model: Path, item: str) -> None:
    key = key_of(model)
    plan = build_plan(RTX, model, load_card(model), "89")
    cached(key, "tiny", lambda: plan)
    other = dataclasses.replace(key, **{item: "another"})
    built: list[str] = []

    def build() -> Plan:
        built.append(item)
        return plan

    got = cached(other, "tiny", build)
    old = getattr(key, item)
    expected = f"{WORDS[item]} is another, was {old[:12] if item == 'onnx' else old}"
    # An engine of another backend is not what the new one is compared with.
    assert got.why == ("there is none yet" if item == "backend" else expected)
    assert built == [item] and find(key) == find(other) == plan
    assert cached(other, "tiny", build).why == "" and built == [item]


def test_the_key_holds_what_the_plan_depends_on(model: Path, tmp_path: Path) -> None:
    gpu = Gpu("NVIDIA L4", "89", 58, "580.65.06", "13.0")
    base = key_of(model, gpu=gpu)
    assert (base.gpu, base.multiprocessors, base.driver, base.cuda) == ("NVIDIA L4", "58", "580.65.06", "13.0")
    assert base.inputs == "image float32 32x32 | 64x96 | 512x1024"
    newer = key_of(model, gpu=dataclasses.replace(gpu, driver="590.1"))
    assert newer.changes(base) == ["the driver is 590.1, was 580.65.06"] and newer.name != base.name
    assert {key_of(model).gpu, key_of(model).driver} == {"any"}
    assert timing_path(base) != timing_path(dataclasses.replace(base, gpu="NVIDIA L40S"))
    assert timing_path(base) == timing_path(newer)

    card = load_card(model)
    size = InputSize((32, 32), (64, 96), (256, 512), 32)
    with_card(model, dataclasses.replace(card, input=dataclasses.replace(card.input, size=size)))
    changes = key_of(model, gpu=gpu).changes(base)
    assert "the input is image float32 32x32 | 64x96 | 256x512, was image float32 32x32 | 64x96 | 512x1024" in changes


def test_weights_outside_the_file_are_part_of_the_key(model: Path) -> None:
    proto = onnx.load(str(model))
    for tensor in proto.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))  # as bytes
    onnx.save(proto, str(model), save_as_external_data=True, location="weights.bin", size_threshold=0)
    before = key_of(model)
    weights = model.parent / "weights.bin"
    content = bytearray(weights.read_bytes())
    content[0] ^= 1
    weights.write_bytes(content)
    after = key_of(model)
    assert len(after.changes(before)) == 1 and after.changes(before)[0].startswith("the ONNX file is ")
    weights.unlink()
    with pytest.raises(CloudyPointsError, match=r"keeps weights in weights\.bin, which is not beside it"):
        key_of(model)


def damage(plan: Path, sidecar: Path) -> dict[str, Callable[[], object]]:
    whole, text = plan.read_bytes(), sidecar.read_text()
    foreign = json.loads(text)
    foreign["key"]["sm"] = "75"
    return {
        "is damaged (1000 bytes, ": lambda: plan.write_bytes(whole[:1000]),
        "is damaged (": lambda: plan.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1])),
        "the cached one is damaged (0 bytes": lambda: plan.write_bytes(b""),
        "cannot be read (JSONDecodeError": lambda: sidecar.write_text(text[:100]),
        "cannot be read (KeyError: 'version')": lambda: sidecar.write_text("{}"),
        "cannot be read (ValueError: version 99)": lambda: sidecar.write_text(
            text.replace('"version": 1', '"version": 99')
        ),
        "cannot be read (TypeError": lambda: sidecar.write_text(text.replace('"driver"', '"drivel"')),
        "was built from something else: the compute capability is 89, was 75": lambda: sidecar.write_text(
            json.dumps(foreign)
        ),
        "there is none yet": sidecar.unlink,  # a build that ended between the two files
    }


def test_what_is_not_whole_is_never_loaded(model: Path) -> None:
    plan, _ = ahead(model)
    (entry,) = entries()
    sidecar = entry.path.with_suffix(".json")
    for expected, spoil in damage(entry.path, sidecar).items():
        spoil()
        assert find(entry.key) is None, expected
        got, why = ahead(model)
        assert expected in why and len(got.data) == pytest.approx(len(plan.data), rel=0.05), why
        assert ahead(model) == (got, "")


def test_two_processes_at_once_build_once(model: Path) -> None:
    first = process(model, "--slow", "0.01")
    mid_build(first)
    second = process(model)
    (out, _), (other, log) = (run.communicate(timeout=60) for run in (first, second))
    assert "built because: there is none yet" in out
    assert "built because: not built" in other and "step" not in other
    assert "Waiting for another process that builds the engine of tiny" in log
    assert len(entries()) == 1


def test_who_waits_too_long_says_so(model: Path) -> None:
    first = process(model, "--slow", "0.2")
    mid_build(first)
    with pytest.raises(CloudyPointsError, match=r"has been building the engine of tiny for 0 s \(lock .*\); end it"):
        cached(key_of(model), "tiny", lambda: pytest.fail("built beside another process"), 0.2)
    first.kill()
    first.communicate()


def test_a_build_that_is_killed_leaves_nothing_and_no_lock(model: Path) -> None:
    run = process(model, "--slow", "0.2")
    mid_build(run)
    run.kill()
    assert run.wait() == -signal.SIGKILL
    folder = engines_folder()
    assert [each.suffix for each in folder.iterdir()] == [".lock"] and entries() == []
    name = key_of(model).name
    left = folder / f".{name}.plan.{run.pid}.part.plan"
    left.write_bytes(b"what a kill leaves of a file")
    start = time.monotonic()
    assert ahead(model)[1] == "there is none yet"
    assert time.monotonic() - start < 5 and len(entries()) == 1 and not left.exists()


def test_an_interrupt_ends_a_build_at_once(model: Path) -> None:
    run = process(model, "--slow", "0.1")
    mid_build(run)
    run.send_signal(signal.SIGINT)
    start = time.monotonic()
    _, log = run.communicate(timeout=30)
    assert time.monotonic() - start < 3
    assert log.strip().endswith("KeyboardInterrupt") and "terminate" not in log
    assert entries() == []


def test_without_a_place_for_the_cache_the_plan_works_from_memory(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("CLOUDYPOINTS_CACHE", str(tmp_path / "file" / "cache"))
    plan, why = ahead(model)
    assert plan.data[:4] == b"vtrt" and why == "there is none yet"
    said = [each.message for each in caplog.records if each.levelname == "WARNING"]
    assert len(said) == 1 and "is not kept, so that the next start builds it again" in said[0]
    assert "cannot be written" in said[0] and "check that the folder is writable" in said[0]


def test_a_full_disk_is_said_and_the_plan_works_from_memory(model: Path) -> None:
    out, log = process(model, "--write-limit", "20000").communicate(timeout=60)
    assert "plan of 1" in out and "built because: there is none yet" in out
    assert log.count("WARNING") == 1 and "File too large" in log and "is not kept" in log
    assert entries() == [] and not list(engines_folder().glob("*.part*"))
    assert ahead(model)[1] == "there is none yet"


def test_what_a_build_raises_passes_and_nothing_is_kept(model: Path) -> None:
    def build() -> Plan:
        raise CloudyPointsError("too far from ONNX Runtime")

    with pytest.raises(CloudyPointsError, match="too far"):
        cached(key_of(model), "tiny", build)
    assert entries() == [] and ahead(model)[1] == "there is none yet"


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_root() == tmp_path / "cache"
    monkeypatch.delenv("CLOUDYPOINTS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/me")
    assert cache_root() == Path("/var/cache/me/cloudypoints")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_root() == Path("/home/me/.cache/cloudypoints")
    assert engines_folder() == cache_root() / "engines"
