"""Loading beside the work: the caller never waits, and only the model asked for last counts."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_models import write_model

from cloudypoints_ros.loader import Loaded, Loader
from cloudypoints_ros.pipeline import Pipeline
from cloudypoints_ros.settings import ModelSettings


def settings(path: Path) -> ModelSettings:
    return ModelSettings(path, "onnxruntime", 1)


def taken(loader: Loader) -> Loaded:
    end = time.monotonic() + 30
    while (loaded := loader.take()) is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    return loaded


class Gates:
    """Real loading that begins only when the gate of its model's name is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gates: dict[str, threading.Event] = {}
        open_it = Pipeline.open

        def slow(model: Path, *rest: Any) -> Pipeline:
            assert self.gate(model.stem).wait(30)
            return open_it(model, *rest)

        monkeypatch.setattr(Pipeline, "open", staticmethod(slow))

    def gate(self, name: str) -> threading.Event:
        return self.gates.setdefault(name, threading.Event())


def test_the_caller_goes_on_while_a_model_loads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gates, loader, wanted = Gates(monkeypatch), Loader(), settings(write_model(tmp_path, name="a"))
    loader.start(wanted, False)  # would hang here if it waited
    assert loader.loading == wanted and loader.take() is None
    gates.gate("a").set()
    loaded = taken(loader)
    assert loaded.pipeline is not None and loaded.pipeline.card.name == "a" and loaded.settings == wanted
    assert loader.loading is None and loader.take() is None


def test_only_the_last_one_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gates, loader = Gates(monkeypatch), Loader()
    for name in ("a", "b"):
        loader.start(settings(write_model(tmp_path, name=name)), False)
    gates.gate("b").set()
    loaded = taken(loader)
    assert loaded.pipeline is not None and loaded.pipeline.card.name == "b"
    gates.gate("a").set()
    time.sleep(0.5)
    assert loader.take() is None


def test_what_was_cancelled_never_comes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gates, loader = Gates(monkeypatch), Loader()
    loader.start(settings(write_model(tmp_path, name="a")), False)
    loader.cancel()
    gates.gate("a").set()
    time.sleep(0.5)
    assert loader.loading is None and loader.take() is None


def test_a_model_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    loader = Loader()
    loader.start(settings(tmp_path / "none.onnx"), False)
    assert taken(loader).error.startswith(f"There is no model file {tmp_path / 'none.onnx'}")
    loader.start(settings(write_model(tmp_path, unit="relative")), False)
    assert "relative depth, which is not metres" in taken(loader).error
    loader.start(settings(write_model(tmp_path, unit="relative")), True)
    assert taken(loader).pipeline is not None
