"""The training loop, top to bottom.

By default the pretrained part of a network keeps its weights: trained on drawn scenes it learns to see drawn scenes,
and frozen it need not be differentiated, so that more pictures pass.

The same loop runs in one process or in many, on CPUs or GPUs (`devices.open_fabric`): each process takes an equal
share of every batch, and the gradients are averaged. Normalisations that learn take their statistics from the first
process's share; with `frozen_norm` the number of processes changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from safetensors import SafetensorError
from torch import Tensor

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.checkpoint import CHECKPOINT, load_averaged, read_record, restore, save
from cloudypoints_training.devices import equal_share, open_fabric
from cloudypoints_training.journal import Journal, draw_curves, open_log
from cloudypoints_training.losses import total
from cloudypoints_training.models.base import DepthModel
from cloudypoints_training.settings import Settings, require_same
from cloudypoints_training.state import averaged, learning_rate, move_average, start
from cloudypoints_training.stopping import Stop, deaf_children, heeding_signals

__all__ = ["CHECKPOINT", "Settings", "fit", "load_averaged", "read_record"]

Validate = Callable[[DepthModel], Mapping[str, float]]
Look = Callable[[DepthModel], Mapping[str, npt.NDArray[Any]]]  # pictures by name, uint8 H x W x 3 RGB


class Batch(Protocol):
    @property
    def image(self) -> Tensor: ...  # uint8 N x H x W x 3 RGB
    @property
    def target(self) -> Tensor: ...  # float32 N x 1 x h x w, see losses.py


class Batches(Protocol):
    def batches(
        self, start: int, stop: int, workers: int, rank: int = 0, world: int = 1
    ) -> Generator[Batch, None, None]:
        """What process `rank` of `world` sees in the steps from `start` to `stop`."""


def fit(
    model: DepthModel,
    stream: Batches,
    settings: Settings,
    out: Path,
    resume: bool = False,
    validate: Validate | None = None,
    look: Look | None = None,
    data: Any = None,
    fabric: Fabric | None = None,
) -> DepthModel:
    """Train `model`; write checkpoints, a log and curves to `out`; return the averaged model.

    data: JSON that says what is trained on; it is kept in the checkpoint and must be the same when a run is resumed.
    Raises KeyboardInterrupt, after a checkpoint, when a signal asked the run to stop.
    """
    fabric = fabric or open_fabric(precision=settings.precision)
    rank, world = fabric.global_rank, fabric.world_size
    equal_share(settings.batch_multiple, world)
    log = open_log(out) if rank == 0 else None
    torch.set_num_threads(settings.threads)

    state = start(model.to(fabric.device, memory_format=torch.channels_last), settings)  # type: ignore[call-overload]
    path = out / CHECKPOINT
    if resume and path.exists():
        require_same(read_record(path), settings, model.config, data, out)
        restore(state, path)
    network, optimizer = fabric.setup(model, state.optimizer)
    model.accelerate(settings.threads)

    journal = Journal(out, log, state.step, settings.steps) if log else None
    started = saved = logged = time.monotonic()
    before, recent = state.seconds, 0
    coming = drawn(stream, state.step, settings, rank, world)
    keep = (lambda: save(state, settings, data, path)) if journal else None
    with ending_well(out, keep), journal or nullcontext(), heeding_signals() as stop, coming as batches:
        for batch in batches:
            torch.manual_seed((settings.seed * 1_000_003 + state.step) * 1_009 + rank)  # dropout resumes exactly, too
            rate = learning_rate(state.step, settings)
            for group in state.optimizer.param_groups:
                group["lr"] = rate * group["factor"]

            image, target = fabric.to_device((batch.image, batch.target))
            loss, terms = total(network(model.normalise(image)), target)
            optimizer.zero_grad(set_to_none=True)
            fabric.backward(loss)
            norm = fabric.clip_gradients(network, optimizer, max_norm=settings.gradient_norm, error_if_nonfinite=False)
            if not torch.isfinite(norm):
                figures = {name: round(term.item(), 4) for name, term in terms.items()}
                raise CloudyPointsError(
                    f"The gradient is {norm.item()} at step {state.step} (terms {figures}); "
                    "start another folder with a lower --learning-rate."
                )
            optimizer.step()
            state.step += 1
            move_average(state, settings.average_decay)

            now = time.monotonic()
            state.images += len(image) * world
            state.seconds = before + now - started
            recent += len(image) * world
            if journal:
                journal.advance()
            if state.step % settings.log_every == 0:
                means = fabric.all_reduce({"loss": loss.detach(), **terms}, reduce_op="mean")
                if journal:
                    entry = {name: mean.item() for name, mean in means.items()}
                    entry |= {"norm": norm.item(), "learning_rate": rate, "images_per_s": recent / (now - logged)}
                    entry |= {"images": state.images, "seconds": state.seconds, "size": list(image.shape[1:3])}
                    journal.figures(state.step, entry)
                logged, recent = now, 0
            if validate and (state.step % settings.validate_every == 0 or state.step == settings.steps):
                if journal:
                    mean = averaged(state)
                    journal.validation(state.step, validate(mean), look(mean) if look else {})
                fabric.barrier()
                logged, recent = time.monotonic(), 0
            if journal and time.monotonic() - saved > settings.checkpoint_seconds:
                save(state, settings, data, path)
                journal.flush()
                saved = time.monotonic()
            if asked(fabric, stop):
                break
        stopped = state.step < settings.steps
        if journal:
            save(state, settings, data, path)
            journal.flush()
            draw_curves(out)
            if stopped:
                journal.say(
                    f"Stopped after step {state.step} of {settings.steps}; go on with the same command and --resume."
                )
        fabric.barrier()  # a process that ends early would have torchrun end the others
    if stopped:
        raise KeyboardInterrupt
    return averaged(state)


@contextmanager
def drawn(stream: Batches, step: int, settings: Settings, rank: int, world: int) -> Iterator[Iterator[Batch]]:
    """The batches from `step` on. The processes that draw them heed no signal and end with this block."""
    with deaf_children():
        batches = stream.batches(step, settings.steps, settings.workers, rank, world)
    with closing(batches):
        yield said(batches)


class NoBatch(CloudyPointsError):
    """What is trained on cannot be read; what was trained so far is good."""


def said(batches: Iterator[Batch]) -> Iterator[Batch]:
    try:
        yield from batches
    except CloudyPointsError as error:
        raise NoBatch(str(error)) from error.__cause__


def asked(fabric: Fabric, stop: Stop) -> bool:
    """Whether any process was asked to stop: all must stop after the same step."""
    if fabric.world_size == 1:
        return stop.requested
    flag = torch.tensor(float(stop.requested), device=fabric.device)
    return bool(fabric.all_reduce(flag, reduce_op="max"))


@contextmanager
def ending_well(out: Path, keep: Callable[[], None] | None) -> Iterator[None]:
    """Say of a full disk, a lost process or data that cannot be read what it was, and where the run can go on."""
    try:
        yield
    except NoBatch as error:
        if keep:
            keep()
        raise CloudyPointsError(f"{error} {remains(out)}") from error.__cause__
    except (OSError, SafetensorError) as error:
        raise CloudyPointsError(f"{out} cannot be written ({error}); free some space. {remains(out)}") from error
    except CloudyPointsError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        raise CloudyPointsError(f"{error} {remains(out)}") from error.__cause__
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        reason = str(error).splitlines()[0].rstrip(".")
        raise CloudyPointsError(f"A drawing process is gone ({reason}); try fewer --workers. {remains(out)}") from error


def remains(out: Path) -> str:
    """What is left of a run that broke off."""
    if not (out / CHECKPOINT).exists():
        return "No checkpoint was written yet."
    step = read_record(out / CHECKPOINT)["step"]
    return f"The checkpoint of step {step} is whole: go on from there with the same command and --resume."
