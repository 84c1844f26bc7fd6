"""Procedural driving scenes with exact metric depth."""

from cloudypoints_training.scenes.clip import clip
from cloudypoints_training.scenes.sample import HELD_OUT_STYLES, STYLES, Sample, draw

__all__ = ["HELD_OUT_STYLES", "STYLES", "Sample", "clip", "draw"]
