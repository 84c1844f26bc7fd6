"""The plan that an engine runs: from the cache, or built, checked and then kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cloudypoints_ros.engines.backends import backend_of
from cloudypoints_ros.engines.build_progress import Progress
from cloudypoints_ros.engines.cache_key import key_for
from cloudypoints_ros.engines.engine_cache import Cached, cached, find, timing_path
from cloudypoints_ros.engines.gpu_identity import gpu
from cloudypoints_ros.engines.plans import Plan, build_plan
from cloudypoints_ros.model_card import ModelCard


def plan_ahead(backend: str, model: Path, card: ModelCard, sm: str, progress: Progress | None = None) -> Cached:
    """The plan for any GPU of a compute capability ("89"); no GPU is needed, and nothing is checked on one."""
    key = key_for(backend, model, card, None, sm)
    return cached(key, card.name, lambda: build_plan(backend, model, card, sm, progress))


def plan_here(
    backend: str,
    model: Path,
    card: ModelCard,
    check: Callable[[Plan], None],
    progress: Progress | None = None,
) -> Cached:
    """The plan for the GPU at hand; CloudyPointsError where there is none.

    ``check`` runs a plan that is new on this GPU, whether built now or ahead of time elsewhere, and raises where its
    answers are wrong; such a plan is not kept.
    """
    here = gpu()
    key = key_for(backend, model, card, here, here.sm)

    def build() -> Plan:
        ahead = find(key_for(backend, model, card, None, here.sm)) if backend_of(backend).ahead_of_time else None
        plan = ahead or build_plan(backend, model, card, None, progress, timing_path(key))
        check(plan)
        return plan

    return cached(key, card.name, build)
