"""The machine and the libraries, without ROS."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cloudypoints_ros import __version__
from cloudypoints_ros.doctor.child import ask, attempt, tell
from cloudypoints_ros.doctor.finding import OK, PROBLEM, WARNING, Finding
from cloudypoints_ros.versions import version_of

PYTHON_TESTED = ((3, 10), (3, 13))
MACHINES = ("x86_64", "aarch64")

# Module -> how to get it where the package was installed with pip, and in a ROS workspace.
LIBRARIES = {
    "numpy": ("numpy", "apt install python3-numpy"),
    "cv2": ("'opencv-python-headless<5'", "apt install python3-opencv"),
    "numba": ("numba", "apt install python3-numba"),
    "onnxruntime": ("onnxruntime", "pip install onnxruntime"),
}
# Distributions that all write the one module cv2.
OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
# Numba's thread pools in the order in which it tries them, and their modules.
POOLS = {"tbb": "tbbpool", "omp": "omppool", "workqueue": "workqueue"}
TENSORRT = ("tensorrt", "tensorrt_rtx")

SMI_FIELDS = ("name", "driver_version", "memory.total", "compute_cap")


def python() -> Iterator[Finding]:
    version, (low, high) = sys.version_info[:2], PYTHON_TESTED
    libc = " ".join(platform.libc_ver()) or "no glibc"
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}, {libc}, {sys.executable}"
    tested = f"{low[0]}.{low[1]} to {high[0]}.{high[1]}"
    if version < low:
        yield Finding("Python", PROBLEM, found, f"install one of Python {tested}")
    elif version > high:
        yield Finding("Python", WARNING, found, f"if something fails, use one that is tested: Python {tested}")
    elif platform.machine() not in MACHINES or platform.libc_ver()[0] != "glibc":
        yield Finding("Python", WARNING, found, f"if something fails, use what is tested: Linux on {MACHINES}, glibc")
    else:
        yield Finding("Python", OK, found)
    yield Finding("package", OK, f"cloudypoints_ros {__version__} from {Path(__file__).parents[1]}")


def processor() -> Iterator[Finding]:
    """Cores this process may use, and what a container leaves of them."""
    cores, memory = len(os.sched_getaffinity(0)), _total_memory_bytes()
    quota = cpu_quota(_read("/sys/fs/cgroup/cpu.max"))
    limit = memory_limit_bytes(_read("/sys/fs/cgroup/memory.max"))
    found = f"{cores} of {os.cpu_count()} cores, {memory / 2**30:.1f} GiB of memory"
    if limit is not None and limit < memory:
        found += f", of which this container may use {limit / 2**30:.1f}"
    data = {"cores": cores, "cpu_quota": quota, "memory_bytes": memory, "memory_limit_bytes": limit}
    if quota is not None and quota < cores:
        remedy = f"set the node's parameter threads to {max(1, int(quota))}, more would be halted again and again"
        yield Finding("CPU", WARNING, f"{found}, but the container's quota is {quota:g} cores", remedy, data)
    else:
        yield Finding("CPU", OK, found, data=data)


def cpu_quota(text: str) -> float | None:
    """Cores that cgroup v2's cpu.max ("QUOTA PERIOD" in microseconds, or "max PERIOD") allows; None: unlimited."""
    words = text.split()
    if len(words) != 2 or not words[0].isdigit() or not words[1].isdigit():
        return None
    return int(words[0]) / int(words[1])


def memory_limit_bytes(text: str) -> int | None:
    """Bytes that cgroup v2's memory.max allows; None: unlimited."""
    return int(text) if text.strip().isdigit() else None


def libraries() -> Iterator[Finding]:
    for module, (pip, apt) in LIBRARIES.items():
        answer = ask("cloudypoints_ros.doctor.machine", module)
        told = answer.told
        problem = told.get("error") or answer.failure
        if problem:
            apt = apt if apt.startswith("pip") else f"{apt} in a ROS workspace"
            remedy = f"pip install {pip}" + ("" if apt.startswith("pip") else f", or {apt}")
            yield Finding(module, PROBLEM, f"{module} cannot be imported ({problem})", remedy, told)
            continue
        found = str(told.get("version") or "version unknown")
        if module == "numba":
            found += f", thread pools {', '.join(told['pools']) or 'none'}"
        if module == "onnxruntime":
            found += f", offers {', '.join(told['providers'])}"
        yield Finding(module, OK, found, data=told)
    openvino = version_of("openvino")
    yield Finding("openvino", OK, openvino or "not installed; the node can do without, often a little slower")
    yield opencv([name for name in OPENCV if version_of(name)])
    torch = version_of("torch")
    yield Finding("torch", OK, f"{torch or 'not installed'}; only the TensorRT engines use it")


def opencv(installed: list[str]) -> Finding:
    """Whether several distributions share the module cv2."""
    if len(installed) < 2:
        return Finding("OpenCV from", OK, installed[0] if installed else "not from pip")
    found = f"{' and '.join(installed)} are both installed and overwrite each other's cv2"
    remedy = f"pip uninstall {' '.join(installed)}, then pip install 'opencv-python-headless<5'"
    return Finding("OpenCV from", WARNING, found, remedy)


@dataclass(frozen=True)
class Gpu:
    """A row of nvidia-smi; texts as it prints them."""

    name: str
    driver: str
    memory: str
    compute_capability: str


def gpus(csv: str) -> list[Gpu]:
    """The rows of ``nvidia-smi --query-gpu=SMI_FIELDS --format=csv,noheader``."""
    rows = [[cell.strip() for cell in line.split(",")] for line in csv.splitlines()]
    return [Gpu(*row) for row in rows if len(row) == len(SMI_FIELDS)]


def gpu() -> Iterator[Finding]:
    """What is seen of an NVIDIA GPU; nothing is run on it."""
    cuda = _loads("libcuda.so.1")
    answers = {name: ask("cloudypoints_ros.doctor.machine", name) for name in TENSORRT if find_spec(name)}
    tensorrt = [
        f"{name} {answer.told['version']}" if "version" in answer.told else f"{name} that cannot be imported"
        for name, answer in answers.items()
    ]
    rest = f"libcuda {'loads' if cuda else 'cannot be loaded'}, TensorRT: {', '.join(tensorrt) or 'not installed'}"
    command = shutil.which("nvidia-smi")
    if command is None:
        yield Finding("GPU", OK, f"none seen (no nvidia-smi), {rest}; the CPU is used", data={"gpus": []})
        return
    query = [command, f"--query-gpu={','.join(SMI_FIELDS)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, errors="replace", timeout=30)
        rows, said = gpus(done.stdout) if done.returncode == 0 else [], done.stdout + done.stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        rows, said = [], str(error)
    data: dict[str, Any] = {"gpus": [vars(row) for row in rows], "libcuda": cuda, "tensorrt": tensorrt}
    if not rows:
        first = next(iter(said.splitlines()), "no output")
        remedy = "mend the driver (often a reboot after its upgrade), or ignore this: the CPU can do it"
        yield Finding("GPU", WARNING, f"nvidia-smi lists no GPU ({first}), {rest}", remedy, data)
        return
    names = "; ".join(
        f"{row.name}, {row.memory}, compute capability {row.compute_capability}, driver {row.driver}" for row in rows
    )
    if not cuda:
        remedy = "start the container with --gpus all and NVIDIA_DRIVER_CAPABILITIES=compute,utility"
        yield Finding("GPU", WARNING, f"{names}, {rest}", remedy, data)
        return
    yield Finding("GPU", OK, f"{names}, {rest}", data=data)


def main(arguments: list[str]) -> None:
    """The child: import one module and tell its version."""
    attempt(lambda: _look(arguments[0]))


def _look(name: str) -> None:
    module = import_module(name)
    details: dict[str, Any] = {}
    if name == "numba":
        details["pools"] = [pool for pool, file in POOLS.items() if _imports(f"numba.np.ufunc.{file}")]
    if name == "onnxruntime":
        details["providers"] = module.get_available_providers()
    tell(version=getattr(module, "__version__", None), file=getattr(module, "__file__", None), **details)


def _imports(name: str) -> bool:
    try:
        import_module(name)
    except ImportError:
        return False
    return True


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _total_memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
