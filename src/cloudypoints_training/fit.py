"""The training loop, top to bottom.

The encoder keeps its ImageNet weights: trained on drawn scenes it learns to see drawn scenes, and
frozen it need not be differentiated, so that four times as many pictures pass.
"""

from __future__ import annotations

import copy
import dataclasses
import fcntl
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.export import onnx_encoder
from cloudypoints_training.losses import total
from cloudypoints_training.models.efficientnet_lite import MEAN, SCALE, DepthNet
from cloudypoints_training.scene_stream import SceneStream

CHECKPOINT = "checkpoint.safetensors"
# What a run must keep when it is resumed, by flag or, where there is none, by its name in `Settings`.
KEPT = (
    "--steps",
    "--learning-rate",
    "--seed",
    "--batch-pixels",
    "weight_decay",
    "warmup_steps",
    "gradient_norm",
    "average_decay",
)
Validate = Callable[[DepthNet], dict[str, float]]


@dataclass(frozen=True)
class Settings:
    steps: int = 6200
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup_steps: int = 200
    gradient_norm: float = 1.0
    average_decay: float = 0.998  # of the weights that are validated and exported
    seed: int = 0
    batch_pixels: int = 4 * 640 * 320
    workers: int = 1  # processes that draw
    threads: int = 1  # of the process that trains
    checkpoint_seconds: float = 180.0
    validate_every: int = 500
    log_every: int = 20


@dataclass
class State:
    """All that a run is; saving and restoring it resumes exactly."""

    step: int
    images: int
    model: DepthNet
    average: dict[str, Tensor]  # exponential moving average of the decoder's state
    optimizer: torch.optim.AdamW


def fit(
    model: DepthNet,
    stream: SceneStream,
    settings: Settings,
    out: Path,
    resume: bool = False,
    validate: Validate | None = None,
) -> DepthNet:
    """Train the decoder of `model`, write checkpoints and a log to `out`; return the averaged model."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    log = open_log(out)
    state = start(model, settings)
    if resume and (out / CHECKPOINT).exists():
        require_same(settings, out / CHECKPOINT)
        restore(state, out / CHECKPOINT)
    encoder = onnx_encoder(model.encoder, settings.threads)

    first = state.step
    saved = logged = time.monotonic()
    recent = 0
    progress = tqdm(total=settings.steps, initial=first, unit="step", smoothing=0.02)
    for batch in stream.batches(first, settings.steps, settings.workers):
        rate = learning_rate(state.step, settings)
        for group in state.optimizer.param_groups:
            group["lr"] = rate

        image = (batch.image.permute(0, 3, 1, 2).float() - MEAN) / SCALE
        output = model.outputs(model.decoder(encoder(image)))
        loss, terms = total(output, batch.target)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(model.decoder.parameters(), settings.gradient_norm)
        if not torch.isfinite(norm):
            raise CloudyPointsError(
                f"The gradient is {norm.item()} at step {state.step} (terms {terms}); "
                "start another folder with a lower --learning-rate."
            )
        state.optimizer.step()
        state.step += 1
        move_average(state, settings.average_decay)

        state.images += len(image)
        recent += len(image)
        progress.update()
        if state.step % settings.log_every == 0:
            now = time.monotonic()
            speed = recent / max(now - logged, 1e-9)
            record: dict[str, Any] = {"step": state.step, "loss": loss.item(), **terms, "norm": norm.item()}
            record |= {"learning_rate": rate, "images_per_s": speed, "size": list(image.shape)}
            log.write(json.dumps({k: _short(v) for k, v in record.items()}) + "\n")
            progress.set_postfix(loss=f"{loss.item():.3f}", images_per_s=f"{speed:.1f}")
            logged, recent = now, 0
        if validate and (state.step % settings.validate_every == 0 or state.step == settings.steps):
            scores = validate(averaged(state))
            log.write(json.dumps({"step": state.step, "validation": scores}) + "\n")
            progress.write(f"step {state.step}: " + describe(scores))
        if time.monotonic() - saved > settings.checkpoint_seconds:
            save(state, settings, out / CHECKPOINT)
            saved = time.monotonic()
    save(state, settings, out / CHECKPOINT)
    progress.close()
    log.close()
    return averaged(state)


def open_log(out: Path) -> TextIO:
    """The run's log, open and locked: two runs in one folder would mix their checkpoints."""
    out.mkdir(parents=True, exist_ok=True)
    log = (out / "log.jsonl").open("a", buffering=1)
    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        log.close()
        raise CloudyPointsError(
            f"Another run is writing to {out}; wait for it, stop it, or name another folder."
        ) from error
    return log


def start(model: DepthNet, settings: Settings) -> State:
    """A run at step 0."""
    model.encoder.eval()
    model.decoder.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    matrices = [p for p in model.decoder.parameters() if p.ndim > 1]
    vectors = [p for p in model.decoder.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
    )
    average = {name: t.detach().clone() for name, t in model.decoder.state_dict().items()}
    return State(0, 0, model, average, optimizer)


def learning_rate(step: int, settings: Settings) -> float:
    """Linear warm-up, then half a cosine down to a hundredth."""
    warm = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    done = step / max(1, settings.steps)
    return settings.learning_rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


@torch.no_grad()
def move_average(state: State, decay: float) -> None:
    """Early on the average follows quickly, so that it does not remember the random start."""
    decay = min(decay, state.step / (state.step + 10))
    for name, value in state.model.decoder.state_dict().items():
        if value.is_floating_point():
            state.average[name].lerp_(value, 1 - decay)
        else:
            state.average[name].copy_(value)


def averaged(state: State) -> DepthNet:
    """A copy of the model with the averaged decoder, for validation and export."""
    model = copy.deepcopy(state.model)
    model.decoder.load_state_dict(state.average)
    return model.eval()


def save(state: State, settings: Settings, path: Path) -> None:
    """Write the checkpoint and its readable companion; a kill leaves the old one or the new one."""
    tensors = {f"encoder.{k}": v for k, v in state.model.encoder.state_dict().items()}
    tensors |= {f"decoder.{k}": v for k, v in state.model.decoder.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in state.average.items()}
    moments = state.optimizer.state_dict()["state"]
    for index, entries in moments.items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in entries.items()}
    record = {"step": state.step, "images": state.images, "settings": dataclasses.asdict(settings)}
    partial = path.with_suffix(".partial")
    save_file({k: v.contiguous() for k, v in tensors.items()}, partial, {"run": json.dumps(record)})
    partial.replace(path)
    beside = path.with_suffix(".json")
    partial.write_text(json.dumps(record, indent=1) + "\n")
    partial.replace(beside)


def read_record(path: Path) -> dict[str, Any]:
    """What a checkpoint says of its run: step, images, settings."""
    with safe_open(path, "pt") as file:
        run = (file.metadata() or {}).get("run")
    if run is None:
        raise CloudyPointsError(f"{path} is no checkpoint of cloudypoints-train fit; give one that it wrote.")
    record: dict[str, Any] = json.loads(run)
    return record


def require_same(settings: Settings, path: Path) -> None:
    """Raise unless these settings continue the checkpoint's run; what an older record lacks cannot differ."""
    recorded = read_record(path)["settings"]
    given = dataclasses.asdict(settings)
    names = {label: label.lstrip("-").replace("-", "_") for label in KEPT}
    different = [
        f"{label} {recorded[name]} but now {given[name]}"
        for label, name in names.items()
        if name in recorded and recorded[name] != given[name]
    ]
    if different:
        raise CloudyPointsError(
            f"The run in {path.parent} was started with {', '.join(different)}; "
            "repeat the flags of the run, or start another folder."
        )


def restore(state: State, path: Path) -> dict[str, Any]:
    """Read a checkpoint into a fresh `State`; return its record."""
    record = read_record(path)
    with safe_open(path, "pt") as file:
        groups: dict[str, dict[str, Tensor]] = {}
        for key in file.keys():  # noqa: SIM118 - not a mapping
            group, name = key.split(".", 1)
            groups.setdefault(group, {})[name] = file.get_tensor(key)
    state.step, state.images = record["step"], record["images"]
    state.model.encoder.load_state_dict(groups["encoder"])
    state.model.decoder.load_state_dict(groups["decoder"])
    state.average = groups["average"]
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in groups.get("optimizer", {}).items():
        index, name = key.split(".", 1)
        moments.setdefault(int(index), {})[name] = value
    optimizer = state.optimizer.state_dict()
    state.optimizer.load_state_dict({**optimizer, "state": moments})
    return record


def load_averaged(path: Path) -> tuple[DepthNet, dict[str, Any]]:
    """The averaged model of a checkpoint and what the checkpoint says of its run."""
    state = start(DepthNet(), Settings())
    record = restore(state, path)
    return averaged(state), record


def describe(scores: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in scores.items())


def _short(value: Any) -> Any:
    return round(value, 5) if isinstance(value, float) else value
