"""A run between two steps: the network, the moving average of what learns, the optimizer."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from cloudypoints_training.models.base import DepthModel
from cloudypoints_training.settings import Settings

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@dataclass
class State:
    """All that a run is; saving and restoring it resumes exactly."""

    step: int
    images: int
    seconds: float  # of training, over all its parts
    model: DepthModel
    changing: dict[str, Tensor]  # the model's own tensors that training changes: what learns, and the buffers
    average: dict[str, Tensor]  # their exponential moving average
    optimizer: torch.optim.AdamW


def start(model: DepthModel, settings: Settings) -> State:
    """A run at step 0, of a model that is where it will train."""
    model.freeze_encoder(settings.encoder_rate == 0)
    train_mode(model, settings.frozen_norm)
    optimizer = torch.optim.AdamW(parameter_groups(model, settings), lr=settings.learning_rate)
    now = changing(model)
    average = {name: tensor.clone() for name, tensor in now.items()}
    return State(0, 0, 0.0, model, now, average, optimizer)


def parameter_groups(model: DepthModel, settings: Settings) -> list[dict[str, object]]:
    """Matrices decay, vectors (biases, norms) do not; `factor` is each group's share of the learning rate."""
    pretrained = set(model.pretrained())
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.learned():
        factor = settings.encoder_rate if name in pretrained else 1.0
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    return [{"params": p, "weight_decay": decay, "factor": factor} for (factor, decay), p in groups.items()]


def train_mode(model: DepthModel, frozen_norm: bool) -> None:
    """Training mode, save for parts that do not learn and, if asked, normalisations that do."""
    model.train()
    for module in model.modules():
        own = [p.requires_grad for p in module.parameters()]
        if (own and not any(own)) or (frozen_norm and isinstance(module, NORMS)):
            module.eval()


def learning_rate(step: int, settings: Settings) -> float:
    """Linear warm-up, of a short run a tenth at most, then half a cosine down to a hundredth."""
    warm = min(1.0, (step + 1) / max(1, min(settings.warmup_steps, settings.steps // 10)))
    done = step / max(1, settings.steps)
    return settings.learning_rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def changing(model: DepthModel) -> dict[str, Tensor]:
    """Learned parameters and buffers by their names in the state dict, detached, sharing the model's memory."""
    learned = {name for name, _ in model.learned()}
    frozen = {name for name, _ in model.named_parameters()} - learned
    return {name: tensor for name, tensor in model.state_dict().items() if name not in frozen}


@torch.no_grad()
def move_average(state: State, decay: float) -> None:
    """Early on the average follows quickly, so that it does not remember the random start."""
    decay = min(decay, state.step / (state.step + 10))
    now = state.changing
    moved = [name for name, tensor in now.items() if tensor.is_floating_point()]
    get_ema_multi_avg_fn(decay)([state.average[name] for name in moved], [now[name] for name in moved], None)
    for name in now.keys() - set(moved):
        state.average[name].copy_(now[name])


def averaged(state: State) -> DepthModel:
    """A copy of the model with the averaged weights, for validation and export."""
    model = copy.deepcopy(state.model)
    model.load_state_dict({**model.state_dict(), **state.average})
    return model.eval()
