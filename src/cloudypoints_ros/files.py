"""Files that appear whole or not at all, and the depth formats on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.geometry import LAYOUTS, Cloud

Array = npt.NDArray[Any]

_PLY_TYPES = {"x": "float", "y": "float", "z": "float", "red": "uchar", "green": "uchar", "blue": "uchar"}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends without an error."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise CloudyPointsError(
            f"{path} cannot be written ({error.strerror or error}); check that the folder is writable and the disk "
            "has space, or choose another place."
        ) from error
    finally:
        with suppress(OSError):  # whatever happened above is the better message
            temporary.unlink(missing_ok=True)


def write_npy(depth: Array, path: Path) -> None:
    """float32 metres as they are: NaN invalid, +inf sky."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, depth.astype(np.float32, copy=False))


def millimetres(depth: Array) -> Array:
    """uint16 millimetres, rounded; 0 where there is no depth or it does not fit (beyond 65.535 m)."""
    with np.errstate(invalid="ignore"):
        scaled = np.rint(depth * np.float32(1000))
        return np.where((scaled >= 1) & (scaled <= 65535), scaled, 0).astype(np.uint16)


def write_png(image: Array, path: Path) -> None:
    """A PNG of a uint16 (H, W) or a uint8 BGR (H, W, 3) image."""
    _, encoded = cv2.imencode(".png", image)
    with replacing(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def write_ply(cloud: Cloud, path: Path) -> None:
    """Binary PLY of a dense xyzrgb cloud: metres, optical frame, colour as uchar."""
    if cloud.fields != "xyzrgb" or not cloud.is_dense:
        raise ValueError(f"a dense xyzrgb cloud is expected, this one is {cloud.fields}")
    offsets = {name: offset for name, offset, _ in LAYOUTS["xyzrgb"]}
    colour = offsets["rgb"]  # 0x00RRGGBB, little endian: blue comes first
    layout: Any = {  # NumPy's own types for this dict differ between its versions
        "names": list(_PLY_TYPES),
        "formats": ["<f4", "<f4", "<f4", "u1", "u1", "u1"],
        "offsets": [offsets["x"], offsets["y"], offsets["z"], colour + 2, colour + 1, colour],
        "itemsize": cloud.point_step,
    }
    source = np.dtype(layout)
    points = np.frombuffer(cloud.data, source)
    packed = np.empty(len(points), [(name, source[name].str) for name in _PLY_TYPES])
    for name in _PLY_TYPES:
        packed[name] = points[name]
    properties = "".join(f"property {kind} {name}\n" for name, kind in _PLY_TYPES.items())
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(packed)}\n{properties}end_header\n"
    with replacing(path) as temporary:
        temporary.write_bytes(header.encode("ascii") + packed.tobytes())
