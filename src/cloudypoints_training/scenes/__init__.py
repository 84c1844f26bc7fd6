"""Procedural driving scenes with exact metric depth."""

from pathlib import Path

from cloudypoints_training.scenes.caches import drop_stale

drop_stale(Path(__file__).parent)  # before numba looks at what it compiled

from cloudypoints_training.scenes.clip import clip, drive, optical_pose  # noqa: E402
from cloudypoints_training.scenes.sample import (  # noqa: E402
    HELD_OUT_STYLES,
    STYLES,
    GpuDraw,
    Sample,
    draw,
    draw_each,
    draw_many,
    plan,
)

__all__ = [
    "HELD_OUT_STYLES",
    "STYLES",
    "GpuDraw",
    "Sample",
    "clip",
    "draw",
    "draw_each",
    "draw_many",
    "drive",
    "optical_pose",
    "plan",
]
