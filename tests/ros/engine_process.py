"""A depth_node with two more engines, ONNX Runtime inside: one that takes long to open, one that is lost in mid-stream.

Arguments: slow, broken or lost, and then the node's own.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from cloudypoints_ros.engines import ENGINES, choice
from cloudypoints_ros.engines.choice import Candidate
from cloudypoints_ros.engines.onnxruntime import OnnxRuntimeEngine
from cloudypoints_ros.errors import CloudyPointsError, EngineLost
from cloudypoints_ros.model_card import ModelCard
from cloudypoints_ros.node import main

BUILD_S = 6.0
FRAMES = 5


class Slow(OnnxRuntimeEngine):
    def __init__(self, model: Path, card: ModelCard, threads: int = 0) -> None:
        time.sleep(BUILD_S)
        super().__init__(model, card, threads)
        self.name = "slow engine"


class Broken(OnnxRuntimeEngine):
    def __init__(self, model: Path, card: ModelCard, threads: int = 0) -> None:
        time.sleep(BUILD_S / 2)
        raise CloudyPointsError("The plan is 7 % off the depth of ONNX Runtime; use another precision.")


class Lost(OnnxRuntimeEngine):
    """Works when opened and warmed, and then for FRAMES images."""

    def __init__(self, model: Path, card: ModelCard, threads: int = 0) -> None:
        super().__init__(model, card, threads)
        self.name = "fragile engine"
        self._left = FRAMES + WARM

    def infer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        self._left -= 1
        if self._left < 0:
            raise EngineLost("The GPU is out of memory; free some and set the engine again.")
        return super().infer(inputs)


WARM = 3  # when it is chosen, and in Pipeline.warm_up
KINDS = {
    "slow": (Slow, Candidate("extra", lambda: None, builds=True)),
    "broken": (Broken, Candidate("extra", lambda: None, builds=True)),
    "lost": (Lost, Candidate("extra", lambda: None, on_gpu=True)),
}

if __name__ == "__main__":
    engine, candidate = KINDS[sys.argv.pop(1)]
    ENGINES["extra"] = engine
    choice.CANDIDATES.insert(0, candidate)
    sys.exit(main())
