"""Everything that a TensorRT plan depends on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloudypoints_ros.engines.backends import load
from cloudypoints_ros.engines.gpu_identity import Gpu
from cloudypoints_ros.engines.plans import PRECISION
from cloudypoints_ros.model_card import ModelCard
from cloudypoints_ros.model_library.onnx_file import digest, read_onnx, weight_files

ANY = "any"  # in a key: the plan does not depend on it
DEFAULT = "TensorRT's default"

# How a person says what differs between two keys.
WORDS = {
    "onnx": "the ONNX file",
    "precision": "the precision recipe",
    "inputs": "the input",
    "backend": "the backend",
    "tensorrt": "TensorRT",
    "cuda": "the driver's CUDA",
    "driver": "the driver",
    "system": "the system",
    "gpu": "the GPU",
    "sm": "the compute capability",
    "multiprocessors": "the number of multiprocessors",
    "flags": "the builder flags",
    "optimisation_level": "the optimisation level",
    "workspace": "the workspace",
}


@dataclass(frozen=True)
class CacheKey:
    """What a plan was built from, by and for; everything is text, so that people can read it in the sidecar.

    ``onnx`` is the sha256 over the ONNX file and the weights it keeps outside. A plan that was built ahead of time for
    a compute capability has ``gpu``, ``multiprocessors``, ``driver`` and ``cuda`` "any".
    """

    onnx: str
    precision: str
    inputs: str
    backend: str
    tensorrt: str
    cuda: str
    driver: str
    system: str
    gpu: str
    sm: str
    multiprocessors: str
    flags: str
    optimisation_level: str = DEFAULT
    workspace: str = DEFAULT

    @property
    def name(self) -> str:
        """Of the files in the cache: 32 hexadecimal digits of the sha256 of the canonical JSON."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:32]

    def to_dict(self) -> dict[str, str]:
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(data: dict[str, Any]) -> CacheKey:
        """Raises TypeError or ValueError where the items are not those of a key."""
        if not all(isinstance(value, str) for value in data.values()):
            raise ValueError("an item of the key is no text")
        return CacheKey(**data)

    def changes(self, old: CacheKey) -> list[str]:
        """What is not as in ``old``, in words."""
        mine, theirs = self.to_dict(), old.to_dict()
        return [
            f"{WORDS[item]} is {_short(item, mine[item])}, was {_short(item, theirs[item])}"
            for item in mine
            if mine[item] != theirs[item]
        ]


def key_for(backend: str, model: Path, card: ModelCard, gpu: Gpu | None, sm: str) -> CacheKey:
    """The key of a plan for ``gpu``, or, without, for any GPU of the compute capability ``sm``."""
    loaded = load(backend)
    onnx = read_onnx(model)
    size = card.input.size
    sizes = " | ".join(f"{height}x{width}" for height, width in (size.min, size.opt, size.max))
    return CacheKey(
        onnx=digest(weight_files(model)),
        precision=PRECISION,
        inputs="; ".join(f"{each.name} {each.type} {sizes}" for each in onnx.inputs),
        backend=backend,
        tensorrt=str(loaded.trt.__version__),
        cuda=gpu.cuda if gpu else ANY,
        driver=gpu.driver if gpu else ANY,
        system=f"{platform.system()} {platform.machine()}",
        gpu=gpu.name if gpu else ANY,
        sm=sm,
        multiprocessors=str(gpu.multiprocessors) if gpu else ANY,
        flags=" ".join(each for each in loaded.backend.flags if hasattr(loaded.trt.BuilderFlag, each)),
    )


def _short(item: str, value: str) -> str:
    return value[:12] if item == "onnx" else value or "none"
