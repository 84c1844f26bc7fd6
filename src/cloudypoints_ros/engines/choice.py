"""``engine: auto``: the best engine that works here, and why no better one does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cloudypoints_ros.engines import Engine, open_engine
from cloudypoints_ros.engines.contract import zeros
from cloudypoints_ros.engines.gpu_probe import gpu_problem
from cloudypoints_ros.engines.onnxruntime import cuda_problem
from cloudypoints_ros.engines.openvino import openvino_problem
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import ModelCard


@dataclass(frozen=True)
class Candidate:
    """An engine that auto may take. ``problem`` says without importing anything why it cannot be used here.

    ``builds``: opening it can take minutes, so that another one should serve meanwhile.
    """

    name: str
    problem: Callable[[], str | None]
    on_gpu: bool = False
    builds: bool = False


def _tensorrt(module: str) -> Callable[[], str | None]:
    def problem() -> str | None:
        if find_spec(module) is None:
            return "not installed"
        return gpu_problem() or (None if find_spec("torch") else "torch, whose tensors it takes, is not installed")

    return problem


# Best first. OpenVINO before ONNX Runtime: see the figures in openvino.py.
CANDIDATES: list[Candidate] = [
    Candidate("tensorrt", _tensorrt("tensorrt"), on_gpu=True, builds=True),
    Candidate("tensorrt_rtx", _tensorrt("tensorrt_rtx"), on_gpu=True, builds=True),
    Candidate("onnxruntime_cuda", cuda_problem, on_gpu=True),
    Candidate("openvino", openvino_problem),
    Candidate("onnxruntime", lambda: None),
]


@dataclass(frozen=True)
class Choice:
    """``engine`` is at work; ``passed_over`` are the better ones and why not, best first.

    ``unbuilt`` are those of them that may work once they have been built.
    """

    engine: str
    passed_over: tuple[tuple[str, str], ...] = ()
    unbuilt: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "; ".join([self.engine, *(f"{name}: {why}" for name, why in self.passed_over)])

    def after(self, before: Choice) -> Choice:
        """This one, made of what ``before`` left unbuilt, with the reasons of both."""
        names = [name for name, _ in before.passed_over]
        better = before.passed_over[: names.index(self.engine)] if self.engine in names else before.passed_over
        why = dict(self.passed_over)
        return Choice(self.engine, tuple((name, why.get(name, reason)) for name, reason in better))

    def without_unbuilt(self, why: str) -> Choice:
        """The same engine, after those that were to be built turned out not to work."""
        over = tuple((name, why if name in self.unbuilt else reason) for name, reason in self.passed_over)
        return Choice(self.engine, over)


def on_cpu() -> list[Candidate]:
    return [each for each in CANDIDATES if not each.on_gpu]


def unbuilt(choice: Choice) -> list[Candidate]:
    """What may replace the engine of ``choice`` once it has been built."""
    return [each for each in CANDIDATES if each.name in choice.unbuilt]


def open_best(
    model: Path, card: ModelCard, threads: int, among: Sequence[Candidate], build: bool
) -> tuple[Engine, Choice]:
    """Open the first engine of ``among`` that works; one that is built first only when ``build``.

    Raises CloudyPointsError when none works: that of the last one on the CPU, or what each said.
    """
    over: list[tuple[str, str]] = []
    waiting: list[str] = []
    last: Exception | None = None
    for candidate in among:
        problem = candidate.problem()
        if problem is None and candidate.builds and not build:
            problem = "has to be built first"
            waiting.append(candidate.name)
        if problem is None:
            try:
                engine = open_engine(candidate.name, model, card, threads)
                if candidate.on_gpu:
                    engine.infer(zeros(card))  # whether memory and libraries suffice shows only now
                return engine, Choice(candidate.name, tuple(over), tuple(waiting))
            except Exception as error:  # whatever a vendor's library raises: the next engine may do
                last, problem = error, str(error) or type(error).__name__
        over.append((candidate.name, problem.rstrip(".")))
    if isinstance(last, CloudyPointsError) and (len(over) == 1 or not among[-1].on_gpu):
        raise last  # what is wrong with the model is said best by the engine of last resort
    raise CloudyPointsError("; ".join(f"{name}: {why}" for name, why in over) + ".") from last
