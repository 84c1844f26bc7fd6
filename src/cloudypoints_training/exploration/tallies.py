"""Looks added up: nothing grows with the number of images but a few numbers each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Camera
from cloudypoints_training.exploration.looks import BINS, Counts, Look, Truth
from cloudypoints_training.exploration.trees import Entry

Array = npt.NDArray[Any]


@dataclass
class Tally:
    """One source, or several together. shares: measured / pixels of each frame, with its name."""

    colours: list[Array] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    histogram: Array = field(default_factory=lambda: np.zeros(BINS, np.int64))
    shares: list[tuple[float, str]] = field(default_factory=list)

    def add(self, name: str, look: Look) -> None:
        if look.colour is not None:
            self.colours.append(look.colour)
        if look.truth is None:
            return
        counts = look.truth.counts
        self.counts += counts
        self.shares.append((counts.measured / counts.pixels, name))
        if look.truth.histogram is not None:
            self.histogram = self.histogram + look.truth.histogram

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.colours + other.colours,
            self.counts + other.counts,
            self.histogram + other.histogram,
            self.shares + other.shares,
        )


@dataclass
class Maps:
    """The sums over `frames` images of one size of Truth's maps, float64 (h, w)."""

    frames: int
    measured: Array
    kept: Array


@dataclass
class Optics:
    """One calibration: which sources' frames have it, and where on the vehicle it sits (metres, degrees)."""

    frames: int = 0
    sources: set[str] = field(default_factory=set)
    heights_m: set[float] = field(default_factory=set)
    pitches_deg: set[float] = field(default_factory=set)


@dataclass
class Survey:
    """Everything that was seen.

    tallies: by split and source. maps: by their own size, so that images of one shape share one. optics: by camera and
    baseline (None where there is no second camera). broken: SPLIT/SOURCE/NAME, and what of it cannot be read. samples:
    frames whose pictures are kept.
    """

    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    read: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    maps: dict[tuple[int, int], Maps] = field(default_factory=dict)
    optics: dict[tuple[Camera, float | None], Optics] = field(default_factory=dict)
    broken: list[tuple[str, str]] = field(default_factory=list)
    samples: list[tuple[Entry, Look]] = field(default_factory=list)

    def add(self, entry: Entry, look: Look, keep: bool) -> None:
        """`keep`: the frame stands for others in the sample sheets."""
        self.read += 1
        self.tallies.setdefault((entry.split, entry.source), Tally()).add(entry.name, look)
        self.broken += [(f"{entry.split}/{entry.source}/{entry.name}", problem) for problem in look.problems]
        if look.size is not None:
            self.sizes[look.size] += 1
        if look.truth is not None:
            self._add_maps(look.truth)
        if look.camera is not None:
            self._add_optics(entry, look.camera, look)
        if keep and look.thumbnail is not None:
            self.samples.append((entry, look))

    def _add_maps(self, truth: Truth) -> None:
        height, width = truth.measured_map.shape
        empty = Maps(0, np.zeros((height, width)), np.zeros((height, width)))
        maps = self.maps.setdefault((width, height), empty)
        maps.frames += 1
        maps.measured += truth.measured_map
        maps.kept += truth.kept_map

    def _add_optics(self, entry: Entry, camera: Camera, look: Look) -> None:
        optics = self.optics.setdefault((camera, None if look.rig is None else look.rig.baseline_m), Optics())
        optics.frames += 1
        optics.sources.add(entry.source)
        if look.rig is not None:
            optics.heights_m.add(look.rig.z)
            optics.pitches_deg.add(float(np.degrees(look.rig.pitch)))
