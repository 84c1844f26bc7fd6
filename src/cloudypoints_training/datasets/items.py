"""A data set is a list of items, each of which knows how to read itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Camera
from cloudypoints_training.sample import Sample

Array = npt.NDArray[Any]
# uint8 (H, W, 3) BGR; float32 (H, W) metres, NaN unknown, +inf sky; the pinhole that took it
Measured = tuple[Array, Array, Camera]


class DepthDataset(Protocol):
    """Samples by number; IndexError past the last, so that it can be iterated."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        """CloudyPointsError, which names the file, where one is broken."""
        ...


@dataclass(frozen=True)
class Item:
    """One image before it is read. `read` can be pickled, so that worker processes can have it."""

    name: str  # the image's path below the root, as far as it tells images apart
    source: str
    read: Callable[[], Measured]
    fold: int | None = None


@dataclass(frozen=True)
class Items:
    """The data set of some items."""

    items: Sequence[Item]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        item = self.items[index]
        image, depth, camera = item.read()
        return Sample(np.ascontiguousarray(image[..., ::-1]), depth, camera, item.name, item.source)


def source_of(name: str, prefixes: Sequence[str] = ()) -> str:
    """What a picture belongs to: the first of `prefixes` that fits, else its name up to the first digit.

    Of a name with folders, `a/b_1`, the prefix may fit all of it or its last part; the last part is what is cut.
    """
    last = name.rpartition("/")[2]
    for prefix in prefixes:
        if name.startswith(prefix) or last.startswith(prefix):
            return prefix
    return re.split(r"[_-]*\d", last)[0]
