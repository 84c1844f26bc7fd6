"""Whether there is an NVIDIA GPU to compute on, asked of the driver alone: no vendor's Python package is imported."""

from __future__ import annotations

import contextlib
import ctypes
from functools import cache


@cache
def gpu_problem() -> str | None:
    """Why no NVIDIA GPU can be used by this process, None when one can.

    Asks libcuda's cuInit and cuDeviceGetCount (CUDA Driver API). Asked once: a driver that is mended meanwhile needs a
    new process anyway.
    """
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
        code = int(cuda.cuInit(0))
        count = ctypes.c_int()
        code = code or int(cuda.cuDeviceGetCount(ctypes.byref(count)))
    except (OSError, AttributeError):
        return "no NVIDIA GPU (the driver's libcuda.so.1 cannot be loaded)"
    if code:
        return f"no NVIDIA GPU ({_name(cuda, code)} from the driver)"
    return None if count.value else "no NVIDIA GPU (the driver lists none)"


def _name(cuda: ctypes.CDLL, code: int) -> str:
    name = ctypes.c_char_p()
    with contextlib.suppress(AttributeError):
        cuda.cuGetErrorName(code, ctypes.byref(name))
    return name.value.decode() if name.value else f"CUDA error {code}"
