"""ROS, its middleware and the shared memory that carries large messages."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cloudypoints_ros import dds
from cloudypoints_ros.doctor.child import ask, attempt, tell
from cloudypoints_ros.doctor.finding import OK, PROBLEM, WARNING, Finding
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.versions import ros_distro, ros_wheels

SHARED_MEMORY = Path("/dev/shm")
# A segment of Fast DDS 2 (fastrtps) or 3 (fastdds) and its lock file. Ports (fastrtps_port7411) are small and taken
# up again by the next process, so they are no leftovers.
_LOCK = re.compile(r"fast(?:rtps|dds)_[0-9a-f]{16}_el")
# Removes a segment only while it holds its lock, so that nothing of a running process goes.
CLEAN_UP = 'for f in /dev/shm/fast[rd]*_????????????????_el; do flock -n "$f" rm -f "$f" "${f%_el}"; done'
DISCOVERY_RANGES = ("SUBNET", "LOCALHOST", "OFF", "SYSTEM_DEFAULT")


def ros() -> Iterator[Finding]:
    """rclpy and the RMW, each as far as a child gets with them."""
    answer = ask("cloudypoints_ros.doctor.ros")
    told, problem = answer.told, answer.told.get("error") or answer.failure
    wheels, distro = ros_wheels(), ros_distro()
    prefix = os.environ.get("AMENT_PREFIX_PATH", "")
    if "rclpy" not in told or "missing" in told:
        remedy = (
            "source /opt/ros/DISTRO/setup.bash, or pip install '.[standalone,demo,jazzy]' (or kilted) in the checkout"
        )
        if told.get("missing") not in (None, "", "rclpy"):
            remedy = f"install {told['missing']} from the same place as rclpy, and source the workspace"
        yield Finding("ROS", PROBLEM, f"rclpy cannot be imported ({problem})", remedy, told)
        return
    where = f"AMENT_PREFIX_PATH={prefix}" if prefix else "no AMENT_PREFIX_PATH"
    bridge = "cv_bridge is here" if find_spec("cv_bridge") else "no cv_bridge (needed only for rare encodings)"
    found = f"{distro or 'unknown distribution'}, rclpy from {told['rclpy']}, {where}, {bridge}"
    data = {**told, "distro": distro, "wheels": wheels}
    if wheels and prefix:
        remedy = "use one: a terminal in which no setup.bash was sourced, or an environment without the ros-* wheels"
        yield Finding("ROS", WARNING, f"{found}; ROS wheels for {wheels[0]} are installed too", remedy, data)
    elif len(wheels) > 1:
        remedy = "make a new environment with one of them"
        yield Finding("ROS", WARNING, f"{found}; wheels of {' and '.join(wheels)} are mixed", remedy, data)
    else:
        yield Finding("ROS", OK, found, data=data)
    chosen = os.environ.get("RMW_IMPLEMENTATION", "")
    if "rmw" not in told:
        package = f"ros-{distro or 'DISTRO'}-{chosen.replace('_', '-')}"
        remedy = f"unset RMW_IMPLEMENTATION, or apt install {package}" if chosen else "install rmw_fastrtps_cpp"
        yield Finding("RMW", PROBLEM, f"{chosen or 'the default RMW'} cannot be used ({problem})", remedy)
    else:
        yield Finding("RMW", OK, f"{told['rmw']}" + (" (RMW_IMPLEMENTATION)" if chosen else ""), data=told)


def profile() -> Iterator[Finding]:
    """The Fast DDS profile that the node would run with from here."""
    environ = dict(os.environ)
    said = dds.apply_profile(environ).rstrip(".")
    found, _, remedy = said.partition("; ")
    # Neither ours nor chosen by the user: then the sentence has a remedy.
    yield Finding("DDS profile", WARNING, found, remedy) if remedy else Finding("DDS profile", OK, found)


def network() -> Iterator[Finding]:
    yield reach(os.environ)


def reach(environ: Mapping[str, str]) -> Finding:
    """ROS_DOMAIN_ID and how far discovery goes.

    On Linux the domains 102 to 214 use ports that the system also hands out
    (https://docs.ros.org/en/jazzy/Concepts/Intermediate/About-Domain-ID.html).
    """
    text = environ.get("ROS_DOMAIN_ID", "") or "0"
    names = ("ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS", "ROS_DISCOVERY_SERVER")
    chosen = [f"{name}={environ[name]}" for name in names if environ.get(name)]
    found = ", ".join([f"domain {text}", *(chosen or ["discovery as ROS has it by default"])])
    if not text.isdecimal() or int(text) > dds.MAX_DOMAIN:
        return Finding("network", PROBLEM, found, "set ROS_DOMAIN_ID to a number from 0 to 101")
    extent = environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "")
    if extent == "OFF":
        return Finding("network", WARNING, found, "unset ROS_AUTOMATIC_DISCOVERY_RANGE, or no camera will be found")
    if extent and extent not in DISCOVERY_RANGES:
        remedy = f"set ROS_AUTOMATIC_DISCOVERY_RANGE to one of {', '.join(DISCOVERY_RANGES)}"
        return Finding("network", WARNING, f"{found}, which ROS takes for LOCALHOST", remedy)
    if 101 < int(text) < 215:
        remedy = "set ROS_DOMAIN_ID to 0 to 101; the ports of this one may be taken by other programs"
        return Finding("network", WARNING, found, remedy)
    return Finding("network", OK, found)


def log_directory() -> Iterator[Finding]:
    try:
        yield Finding("ROS log", OK, f"{dds.check_log_directory()} can be written")
    except CloudyPointsError as error:
        found, _, remedy = str(error).rstrip(".").partition("; ")
        yield Finding("ROS log", PROBLEM, found, remedy)


@dataclass(frozen=True)
class Leftovers:
    """Segments in /dev/shm: of running processes, and of processes that ended without removing them."""

    running: int
    abandoned: tuple[str, ...]
    abandoned_bytes: int


def leftovers(folder: Path = SHARED_MEMORY) -> Leftovers:
    """Tell Fast DDS's segments apart by their lock files.

    The process that owns the segment ``fastrtps_X`` holds an exclusive flock on ``fastrtps_X_el`` as long as it runs,
    and the kernel drops that lock with the process. Nothing is changed here.
    """
    running, abandoned, size = 0, [], 0
    for lock in sorted(folder.glob("fast*_el")):
        if not _LOCK.fullmatch(lock.name):
            continue
        segment = lock.with_name(lock.name.removesuffix("_el"))
        try:
            if _locked(lock):
                running += 1
                continue
            bytes_held = segment.stat().st_blocks * 512 if segment.exists() else 0
        except OSError:  # gone meanwhile, or another user's
            continue
        abandoned.append(segment.name)
        size += bytes_held
    return Leftovers(running, tuple(abandoned), size)


def shared_memory() -> Iterator[Finding]:
    try:
        room = os.statvfs(SHARED_MEMORY)
    except OSError as error:
        yield Finding("shared memory", WARNING, f"no /dev/shm ({error})", "mount a tmpfs there for large messages")
        return
    left = leftovers()
    size, free = room.f_blocks * room.f_frsize, dds.free_shared_memory_bytes()
    data = {
        "bytes": size,
        "free_bytes": free,
        "running_segments": left.running,
        "abandoned_segments": left.abandoned,
        "abandoned_bytes": left.abandoned_bytes,
    }
    found = f"/dev/shm has {free >> 20} of {size >> 20} MiB free, {left.running} segments of running processes"
    if left.abandoned:
        found += f", {len(left.abandoned)} left by processes that were killed ({left.abandoned_bytes >> 20} MiB)"
        yield Finding("shared memory", WARNING, found, f"remove those with `{CLEAN_UP}`", data)
    elif free < dds.SHARED_MEMORY_BYTES:
        remedy = f"large messages want {dds.SHARED_MEMORY_BYTES >> 20}: start the container with --shm-size=512m"
        yield Finding("shared memory", WARNING, found, remedy, data)
    else:
        yield Finding("shared memory", OK, found, data=data)


def main(arguments: list[str]) -> None:
    """The child: tell where rclpy is and which RMW is in force."""
    attempt(_look)


def _look() -> None:
    spec = find_spec("rclpy")
    if spec is not None:  # told before the import, which ends the process when the RMW cannot be loaded
        tell(rclpy=spec.origin)
    import rclpy
    import sensor_msgs.msg  # noqa: F401

    tell(rmw=rclpy.get_rmw_implementation_identifier())


def _locked(path: Path) -> bool:
    # Shared, at once given back: it disturbs nobody, as only the owner ever locks this name.
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
