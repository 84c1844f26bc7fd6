"""What processes take of the machine, from /proc, and what the machine is."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cloudypoints_ros import __version__
from cloudypoints_ros.versions import ros_distro, version_of

MEMORY = ("VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_SHARED = "/dev/shm/"
_PACKAGES = ("numpy", "numba", "opencv-python-headless", "onnxruntime")


@dataclass(frozen=True)
class Usage:
    """CPU seconds since its start, and resident megabytes; 0 of a process that is gone.

    ``memory_mb`` has the kernel's names: VmHWM is the most so far, VmRSS is now and consists of RssAnon (the
    process's own), RssFile (libraries, shared with whoever else maps them) and RssShmem (the segments of DDS, its own
    and those of the processes it hears).
    """

    cpu_s: float = 0.0
    memory_mb: dict[str, float] = field(default_factory=dict)


def usage(pid: int) -> Usage:
    process = Path(f"/proc/{pid}")
    try:
        # The name, which may hold anything, is in brackets.
        times = (process / "stat").read_text().rpartition(")")[2].split()
        lines = (process / "status").read_text().splitlines()
    except OSError:
        return Usage()
    sizes = (line.partition(":")[::2] for line in lines)
    memory = {name: int(value.split()[0]) * 1.024e-3 for name, value in sizes if name in MEMORY}
    return Usage((int(times[11]) + int(times[12])) * _TICK_S, memory)


def busy_s() -> float:
    """CPU seconds of all processes since the machine started."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = (
        int(word) for word in Path("/proc/stat").read_text().split(maxsplit=9)[1:9]
    )
    return (user + nice + system + irq + softirq + steal) * _TICK_S


def shared_memory_mb(pids: Iterable[int]) -> float:
    """Megabytes of the files in /dev/shm that these processes have mapped, each file once."""
    files: set[Path] = set()
    for pid in pids:
        try:
            maps = Path(f"/proc/{pid}/maps").read_text()
        except OSError:
            continue
        files |= {Path(line[line.index(_SHARED) :]) for line in maps.splitlines() if _SHARED in line}
    return sum(file.stat().st_blocks * 512 for file in files if file.exists()) / 1e6


def machine() -> dict[str, object]:
    """Where and when the figures come from."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":")[1].strip() for line in info if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "ros": ros_distro() or "unknown",
        "cloudypoints": __version__,
        **{name: version for name in _PACKAGES if (version := version_of(name))},
    }
