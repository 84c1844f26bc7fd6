"""Images with known depth on disk, whatever their layout, as one type: `Sample`."""

from cloudypoints_training.datasets.items import DepthDataset, source_of
from cloudypoints_training.datasets.layouts import KINDS, open_dataset

__all__ = ["KINDS", "DepthDataset", "open_dataset", "source_of"]
