"""Arrays on the GPU. PyTorch holds the memory, because it keeps freed blocks at hand; numba's kernels borrow it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import cuda
from torch import Tensor


def upload(values: np.ndarray, device: torch.device) -> Tensor:
    """A copy of an array on the device."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)


def array(tensor: Tensor) -> Any:
    """The same memory for a kernel: on the CPU, where only numba's simulator runs kernels, a numpy array."""
    return tensor.numpy() if tensor.device.type == "cpu" else cuda.as_cuda_array(tensor)
