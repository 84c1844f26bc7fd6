"""Which GPU this process computes on, asked of the driver. Not tested on a GPU yet."""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cloudypoints_ros.engines.gpu_probe import gpu_problem
from cloudypoints_ros.errors import CloudyPointsError

# CUdevice_attribute of cuda.h
_MULTIPROCESSORS, _MAJOR, _MINOR = 16, 75, 76


@dataclass(frozen=True)
class Gpu:
    """``sm`` is the compute capability without its dot ("89"), ``cuda`` the newest version that the driver knows."""

    name: str
    sm: str
    multiprocessors: int
    driver: str
    cuda: str


@cache
def gpu() -> Gpu:
    """The first GPU that this process sees; CloudyPointsError where there is none. Opens no CUDA context."""
    problem = gpu_problem()
    if problem is not None:
        raise CloudyPointsError(
            f"There is {problem}; use the engine openvino or onnxruntime, or start where the driver is visible (a "
            "container needs --gpus all)."
        )
    cuda = ctypes.CDLL("libcuda.so.1")
    device, version, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    codes = [
        cuda.cuDeviceGet(ctypes.byref(device), 0),
        cuda.cuDeviceGetName(name, len(name), device),
        cuda.cuDriverGetVersion(ctypes.byref(version)),
    ]
    numbers = []
    for attribute in (_MULTIPROCESSORS, _MAJOR, _MINOR):
        value = ctypes.c_int()
        codes.append(cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device))
        numbers.append(value.value)
    if any(codes):
        raise CloudyPointsError(
            f"The NVIDIA driver does not describe its GPU (CUDA error {next(filter(None, codes))}); see whether "
            "nvidia-smi works, or use a CPU engine."
        )
    major, minor = divmod(version.value, 1000)  # cuda.h: 1000 * major + 10 * minor
    return Gpu(name.value.decode(), f"{numbers[1]}{numbers[2]}", numbers[0], _driver(), f"{major}.{minor // 10}")


def _driver() -> str:
    """The kernel module's version; "unknown" where it does not say (some Jetsons)."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text()
    except OSError:
        return "unknown"
    found = re.search(r"\d+\.\d+(\.\d+)?", text)
    return found[0] if found else "unknown"
