"""A run on disk: NAME.safetensors with all its tensors, NAME.json with what people want to know of it.

Tensors are `model.NAME`, `average.NAME` and `optimizer.INDEX.NAME`; the record is also in the file's metadata.
"""

from __future__ import annotations

import dataclasses
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.files import replacing
from cloudypoints_training.models import build
from cloudypoints_training.models.base import DepthModel
from cloudypoints_training.settings import Settings
from cloudypoints_training.state import State

CHECKPOINT = "checkpoint.safetensors"
PACKAGES = ("torch", "lightning-fabric", "numpy", "safetensors")


def save(state: State, settings: Settings, data: Any, path: Path) -> None:
    """Write the checkpoint and its readable companion; a kill leaves the old one or the new one."""
    tensors = {f"model.{name}": t for name, t in state.model.state_dict().items()}
    tensors |= {f"average.{name}": t for name, t in state.average.items()}
    for index, entries in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": t for name, t in entries.items()}
    record = {
        "step": state.step,
        "images": state.images,
        "seconds": round(state.seconds, 1),
        "model": state.model.config,
        "data": data,
        "settings": dataclasses.asdict(settings),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }
    with replacing(path) as temporary:
        try:
            save_file({k: t.contiguous() for k, t in tensors.items()}, temporary, {"run": json.dumps(record)})
        except SafetensorError as error:
            raise OSError(str(error)) from error
        temporary.chmod(0o644)  # safetensors gives it to the owner alone
    with replacing(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")


def read_record(path: Path) -> dict[str, Any]:
    """What a checkpoint says of its run: step, images, seconds, model, data, settings, versions."""
    try:
        with safe_open(path, "pt") as file:
            run = (file.metadata() or {}).get("run")
    except (SafetensorError, FileNotFoundError) as error:
        raise CloudyPointsError(
            f"{path} cannot be read as a checkpoint ({error}); give the checkpoint.safetensors of a run."
        ) from error
    record: dict[str, Any] = json.loads(run) if run else {}
    if "model" not in record:
        raise CloudyPointsError(
            f"{path} does not say which model it holds; give a checkpoint that this version of fit wrote."
        )
    return record


def read_tensors(path: Path) -> dict[str, dict[str, Tensor]]:
    """The tensors of a checkpoint on the CPU, by group (model, average, optimizer) and name."""
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
    with safe_open(path, "pt") as file:
        for key in file.keys():  # noqa: SIM118 - not a mapping
            group, name = key.split(".", 1)
            groups[group][name] = file.get_tensor(key)
    return groups


def restore(state: State, path: Path) -> dict[str, Any]:
    """Read a checkpoint into a fresh `State`; return its record."""
    record, tensors = read_record(path), read_tensors(path)
    state.step, state.images, state.seconds = record["step"], record["images"], record["seconds"]
    state.model.load_state_dict(tensors["model"])
    with torch.no_grad():
        for name, value in state.average.items():
            value.copy_(tensors["average"][name])
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors["optimizer"].items():
        index, name = key.split(".", 1)
        moments.setdefault(int(index), {})[name] = value
    state.optimizer.load_state_dict({**state.optimizer.state_dict(), "state": moments})
    return record


def load_averaged(path: Path) -> tuple[DepthModel, dict[str, Any]]:
    """The averaged model of a checkpoint, on the CPU, and the checkpoint's record."""
    record, tensors = read_record(path), read_tensors(path)
    model = build(record["model"])
    model.load_state_dict(tensors["model"] | tensors["average"])
    return model.eval(), record
