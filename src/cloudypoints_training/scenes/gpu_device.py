"""The GPU to draw on, or why there is none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cloudypoints_ros.errors import CloudyPointsError

if TYPE_CHECKING:
    import torch


def find_device() -> torch.device:
    """The GPU to draw on; the CPU where numba only simulates one (NUMBA_ENABLE_CUDASIM)."""
    import torch
    from numba import config

    if config.ENABLE_CUDASIM:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise _no_gpu(f"PyTorch {torch.__version__} sees no GPU")
    try:
        from numba import cuda
    except ImportError:
        raise _no_gpu("numba-cuda is not installed") from None
    # The target that older numba bring along knows no CUDA newer than 12.
    if getattr(cuda, "implementation", "") != "NVIDIA":
        raise _no_gpu("numba-cuda is not installed")
    if not cuda.is_available():
        raise _no_gpu("numba-cuda finds no CUDA driver")
    # Under torchrun each process has its own, and those that draw for it inherit which.
    index = int(os.environ.get("LOCAL_RANK", torch.cuda.current_device()))
    cuda.select_device(index)
    return torch.device("cuda", index)


def _no_gpu(reason: str) -> CloudyPointsError:
    return CloudyPointsError(
        f"{reason}; drawing on a GPU needs an NVIDIA GPU and numba-cuda: pip install 'numba-cuda[cu13]' "
        "([cu12] for a driver older than 580), or draw on the CPU."
    )
