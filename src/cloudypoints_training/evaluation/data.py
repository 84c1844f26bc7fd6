"""What models are scored on: any data set that can be opened, or drawn scenes of held-out styles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cloudypoints_training.datasets import DepthDataset
from cloudypoints_training.sample import Sample
from cloudypoints_training.scenes import HELD_OUT_STYLES, draw
from cloudypoints_training.stream import VALIDATION_PICTURES, VALIDATION_SEED

# As many bytes of samples as stay in memory between the passes over a data set.
KEPT_BYTES = 1 << 30


@dataclass(frozen=True)
class Drawn:
    """`count` scenes of each style, the source, the same at every call and of seeds that training never sees."""

    count: int
    styles: Sequence[str] = HELD_OUT_STYLES
    sizes: Sequence[tuple[int, int]] = VALIDATION_PICTURES

    def __len__(self) -> int:
        return self.count * len(self.styles)

    def __getitem__(self, index: int) -> Sample:
        style, i = self.styles[index // self.count], index % self.count
        width, height = self.sizes[i % len(self.sizes)]
        drawn = draw(VALIDATION_SEED + i, width, height, style)
        return Sample(drawn.image, drawn.depth, drawn.camera, f"{style}_{i:04}", style)


@dataclass
class Kept:
    """Samples read once where memory allows it: an evaluation passes over them several times."""

    samples: DepthDataset
    _kept: dict[int, Sample] = field(default_factory=dict)
    _bytes: int = 0

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        if index in self._kept:
            return self._kept[index]
        sample = self.samples[index]
        size = sample.image.nbytes + sample.depth.nbytes
        if self._bytes + size <= KEPT_BYTES:
            self._kept[index] = sample
            self._bytes += size
        return sample
