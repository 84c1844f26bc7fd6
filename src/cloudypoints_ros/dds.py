"""What a process needs before ``rclpy.init`` so that large messages travel fast. No ROS import here."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from cloudypoints_ros.errors import CloudyPointsError

PROFILE = Path(__file__).with_name("fastdds_profile.xml")
# Jazzy's Fast DDS 2 reads the first name, Kilted's Fast DDS 3 the second.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
# Fast DDS reads these from the working directory unasked.
LOCAL_PROFILES = ("DEFAULT_FASTRTPS_PROFILES.xml", "DEFAULT_FASTDDS_PROFILES.xml")

# A segment of 64 MiB (the profile) for the node, one for the camera driver and one for a viewer.
SHARED_MEMORY_BYTES = 3 * (64 << 20)

# The last domain whose ports exist; those from 102 to 214 may meet ports that Linux hands out.
MAX_DOMAIN = 232

# A camera publishes a camera_info with every image, and those are small and arrive: when fewer images than this share
# of them come, the images are lost on the way.
LOSS_SHARE = 0.5

REMEDY_BEST_EFFORT = (
    "Large best-effort images need shared memory: let the camera publish reliable or give its process the Fast DDS "
    f"profile {PROFILE} (in {' and '.join(PROFILE_VARIABLES)})."
)

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8


def apply_profile(environ: MutableMapping[str, str] | None = None) -> str:
    """Put our Fast DDS profile in force unless the user chose otherwise; a sentence for the log.

    Call it before ``rclpy.init``. The user chose otherwise with a profile of their own, with
    FASTDDS_BUILTIN_TRANSPORTS, or with another RMW. It also stays out where /dev/shm is small (64 MB in Docker by
    default): a segment that does not fit loses more than Fast DDS's small one.
    """
    environ = os.environ if environ is None else environ
    rmw = environ.get("RMW_IMPLEMENTATION", "")
    if rmw and not rmw.startswith("rmw_fastrtps"):
        return f"RMW_IMPLEMENTATION is {rmw}, so no Fast DDS profile is used."
    for variable in PROFILE_VARIABLES:
        if environ.get(variable) and not Path(environ[variable]).is_file():
            return (
                f"{variable} names {environ[variable]}, which is no file, so Fast DDS's own settings stay and large "
                f"messages are slow; correct or unset {variable}."
            )
        if environ.get(variable):
            return f"Your Fast DDS profile {environ[variable]} ({variable}) is in force."
    for name in LOCAL_PROFILES:
        if Path(name).exists():
            return f"Your Fast DDS profile {Path(name).resolve()} is in force."
    if environ.get("FASTDDS_BUILTIN_TRANSPORTS"):
        return f"FASTDDS_BUILTIN_TRANSPORTS={environ['FASTDDS_BUILTIN_TRANSPORTS']} is in force, without our profile."
    if (free := free_shared_memory_bytes()) < SHARED_MEMORY_BYTES:
        return (
            f"/dev/shm has {free >> 20} MiB free and our Fast DDS profile wants {SHARED_MEMORY_BYTES >> 20}, so "
            "Fast DDS's own settings stay and large messages are slow; start the container with --shm-size=512m."
        )
    if not PROFILE.is_file():
        return f"The Fast DDS profile {PROFILE} is missing; large messages will be slow. Install the package again."
    for variable in PROFILE_VARIABLES:
        environ[variable] = str(PROFILE)
    return f"The Fast DDS profile {PROFILE} (shared memory for large messages) is in force."


def free_shared_memory_bytes() -> int:
    """What /dev/shm has left; 0 where there is none."""
    try:
        room = os.statvfs("/dev/shm")
    except OSError:
        return 0
    return room.f_bavail * room.f_frsize


def keep_buffers() -> bool:
    """Ask glibc to keep large buffers instead of returning them to the kernel; whether it agreed.

    A freed image would otherwise be unmapped, and the next one page-faulted in again, every frame.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    # What is kept is kept once, not once per thread.
    mallopt(M_ARENA_MAX, 1)
    # Older glibc refuses more than 32 MiB.
    kept = mallopt(M_MMAP_THRESHOLD, 1 << 30) or mallopt(M_MMAP_THRESHOLD, 32 << 20)
    return bool(kept) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def check_domain(environ: Mapping[str, str] | None = None) -> None:
    """CloudyPointsError when ROS_DOMAIN_ID is no domain: Fast DDS would end the process without a word of ours."""
    text = (os.environ if environ is None else environ).get("ROS_DOMAIN_ID", "")
    if text and not (text.isdecimal() and int(text) <= MAX_DOMAIN):
        raise CloudyPointsError(
            f"ROS_DOMAIN_ID is '{text}'; set it to a number from 0 to 101, the same as the camera's."
        )


def check_log_directory(environ: MutableMapping[str, str] | None = None) -> Path:
    """The directory rclpy will log to, made if need be. CloudyPointsError when it cannot be written.

    ``rclpy.init`` fails obscurely there otherwise (a read-only or missing home, as in many containers).
    """
    environ = os.environ if environ is None else environ
    if environ.get("ROS_LOG_DIR"):
        folder = Path(environ["ROS_LOG_DIR"])
    elif environ.get("ROS_HOME"):
        folder = Path(environ["ROS_HOME"]) / "log"
    else:
        folder = Path(environ.get("HOME") or "~") / ".ros" / "log"
    try:
        folder = folder.expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except (OSError, RuntimeError):  # RuntimeError: no home at all
        writable = False
    if not writable:
        raise CloudyPointsError(
            f"ROS cannot write its log to {folder}; set ROS_LOG_DIR to a folder that can be written."
        )
    return folder
