"""Cameras: intrinsics, lens distortion and what happens to both when an image is resized or cropped.

Frames follow REP-103/105: optical frame, x right, y down, z forward. Pixel (u, v) has its centre at the
integer coordinates (u, v), as in OpenCV and sensor_msgs/CameraInfo.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cloudypoints_ros.errors import CloudyPointsError

Array = npt.NDArray[Any]

# How many coefficients each distortion model of sensor_msgs may carry. plumb_bob is k1 k2 p1 p2 [k3],
# rational_polynomial k1 k2 p1 p2 k3 k4 k5 k6 (and OpenCV's thin prism s1 s2 s3 s4 and tilt tx ty, with which
# some drivers fill it up), equidistant (fisheye) k1 k2 k3 k4.
DISTORTION_MODELS: dict[str, tuple[int, ...]] = {
    "plumb_bob": (0, 4, 5),
    "rational_polynomial": (0, 8, 12, 14),
    "equidistant": (0, 4),
}

# A ray whose projection misses its own pixel by more than this lies where the lens model cannot be inverted.
RAY_TOLERANCE_PX = 0.01

# Beyond these the float32 of rays and points no longer tells pixels apart.
MAX_FOCAL_PX, MIN_FOCAL_PX = 1e6, 1e-2
MAX_CENTRE_PX = 1e5

CITYSCAPES_SIZE = (2048, 1024)

_UNDISTORTED_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class Camera:
    """Pinhole intrinsics in pixels with an optional lens distortion.

    ``d`` holds the coefficients of ``model`` in the order of sensor_msgs/CameraInfo; all zero or empty means
    an undistorted image.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    model: str = "plumb_bob"
    d: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise CloudyPointsError(
                f"The camera's image size is {self.width}x{self.height}; both must be at least 1 pixel. "
                "Check width and height in the camera file or camera_info."
            )
        if not (np.isfinite([self.fx, self.fy, self.cx, self.cy]).all() and self.fx > 0 and self.fy > 0):
            raise CloudyPointsError(
                f"The camera's intrinsics are fx={self.fx} fy={self.fy} cx={self.cx} cy={self.cy}; the focal "
                "lengths must be positive pixels. An uncalibrated camera publishes zeros: calibrate it or give "
                "the intrinsics."
            )
        focal_lengths, centre = (self.fx, self.fy), max(abs(self.cx), abs(self.cy))
        if min(focal_lengths) < MIN_FOCAL_PX or max(focal_lengths) > MAX_FOCAL_PX or centre > MAX_CENTRE_PX:
            raise CloudyPointsError(
                f"The camera's intrinsics are fx={self.fx} fy={self.fy} cx={self.cx} cy={self.cy}; expected pixels: "
                f"focal lengths of {MIN_FOCAL_PX:g} to {MAX_FOCAL_PX:g} and a centre within {MAX_CENTRE_PX:g} of the "
                "image's corner. Calibrate the camera again."
            )
        _check_distortion(self.model, self.d)

    @property
    def distorted(self) -> bool:
        return any(self.d)

    @property
    def pinhole(self) -> bool:
        """Whether pixels are linear in x/z and y/z."""
        return not self.distorted and self.model != "equidistant"

    @property
    def matrix(self) -> Array:
        """K, float64 (3, 3)."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)

    def scaled(self, sx: float, sy: float | None = None) -> Camera:
        """The camera of this image resized by ``sx`` (and ``sy``); its size is rounded to whole pixels."""
        sy = sx if sy is None else sy
        return self.resized(max(1, round(self.width * sx)), max(1, round(self.height * sy)), sx, sy)

    def resized(self, width: int, height: int, sx: float | None = None, sy: float | None = None) -> Camera:
        """The camera of this image resized to ``width`` x ``height`` pixels.

        The factors default to the ratio of the sizes. Pixel centres map as u' = (u + 0.5) * s - 0.5.
        """
        sx = width / self.width if sx is None else sx
        sy = height / self.height if sy is None else sy
        return dataclasses.replace(
            self,
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=(self.cx + 0.5) * sx - 0.5,
            cy=(self.cy + 0.5) * sy - 0.5,
        )

    def cropped(self, x: int, y: int, width: int, height: int) -> Camera:
        """The camera of the part of this image that starts at pixel (x, y)."""
        if x < 0 or y < 0 or width < 1 or height < 1 or x + width > self.width or y + height > self.height:
            raise CloudyPointsError(
                f"The crop {width}x{height} at ({x}, {y}) does not lie inside the {self.width}x{self.height} "
                "image; give a crop within it."
            )
        return dataclasses.replace(self, width=width, height=height, cx=self.cx - x, cy=self.cy - y)

    def rays(self, stride: int = 1) -> tuple[Array, Array]:
        """x/z and y/z in the optical frame of every ``stride``-th pixel of every ``stride``-th row.

        Two float32 arrays (ceil(H / stride), ceil(W / stride)), cached and read-only. NaN where the lens model
        cannot be inverted (far corners of a strong distortion); CloudyPointsError where that is everywhere.
        """
        return _rays(self, stride)

    def blind(self, stride: int = 1) -> bool:
        """Whether some pixel of :meth:`rays` has no ray."""
        return not self.pinhole and _blind(self, stride)

    def project(self, points: Array) -> Array:
        """Pixels (N, 2) float64 of points (N, 3) metres in the optical frame, z > 0."""
        xyz = np.ascontiguousarray(points, np.float64).reshape(-1, 1, 3)
        zero = np.zeros(3)
        if self.model == "equidistant":
            uv, _ = cv2.fisheye.projectPoints(xyz, zero, zero, self.matrix, np.array(self.d or (0.0,) * 4))
        else:
            uv, _ = cv2.projectPoints(xyz, zero, zero, self.matrix, np.array(self.d or (0.0,) * 4))
        return np.asarray(uv, np.float64).reshape(-1, 2)


@dataclass(frozen=True)
class Calibration:
    """What sensor_msgs/CameraInfo says: the full sensor, and through roi and binning the image at hand.

    ``k`` and ``r`` are 3x3, ``p`` is 3x4, all row-major; ``roi`` is (x, y, width, height) in full-sensor
    pixels, all zero meaning the whole sensor; binning 0 means 1.
    """

    width: int
    height: int
    k: tuple[float, ...]
    model: str = "plumb_bob"
    d: tuple[float, ...] = ()
    r: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    p: tuple[float, ...] = (0.0,) * 12
    roi: tuple[int, int, int, int] = (0, 0, 0, 0)
    binning: tuple[int, int] = (1, 1)

    @staticmethod
    def of(camera: Camera) -> Calibration:
        """The calibration of a camera: P repeats K."""
        fx, fy, cx, cy = camera.fx, camera.fy, camera.cx, camera.cy
        return Calibration(
            width=camera.width,
            height=camera.height,
            k=(fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0),
            model=camera.model,
            d=camera.d,
            p=(fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0),
        )

    def folded(self) -> Calibration:
        """The same image with roi and binning folded into size, K and P."""
        x, y, roi_width, roi_height = self.roi
        if roi_width == 0 and roi_height == 0:
            roi_width, roi_height = self.width - x, self.height - y
        if x < 0 or y < 0 or x + roi_width > self.width or y + roi_height > self.height:
            raise CloudyPointsError(
                f"camera_info has the roi {self.roi} (x, y, width, height) on a {self.width}x{self.height} sensor; "
                "expected one inside it. Correct roi, or width and height, in the camera driver."
            )
        bx, by = (b or 1 for b in self.binning)
        return dataclasses.replace(
            self,
            width=roi_width // bx,
            height=roi_height // by,
            k=_resized_matrix(_shifted_matrix(self.k, 3, x, y), 3, 1 / bx, 1 / by),
            p=_resized_matrix(_shifted_matrix(self.p, 4, x, y), 4, 1 / bx, 1 / by),
            roi=(0, 0, 0, 0),
            binning=(1, 1),
        )

    def resized(self, width: int, height: int) -> Calibration:
        """The calibration of the folded image resized to ``width`` x ``height``; P[3] scales too."""
        base = self.folded()
        sx, sy = width / base.width, height / base.height
        return dataclasses.replace(
            base,
            width=width,
            height=height,
            k=_resized_matrix(base.k, 3, sx, sy),
            p=_resized_matrix(base.p, 4, sx, sy),
        )

    def camera(self, rectified: bool = False) -> Camera:
        """The camera of the image at hand: K and D for a raw image, P for a rectified one."""
        base = self.folded()
        if rectified:
            if base.p[0] <= 0:
                raise CloudyPointsError(
                    "The image is declared rectified but camera_info has no projection matrix P; publish P or "
                    "set the parameter rectified to false."
                )
            return Camera(base.width, base.height, base.p[0], base.p[5], base.p[2], base.p[6])
        return Camera(
            base.width, base.height, base.k[0], base.k[4], base.k[2], base.k[5], base.model or "plumb_bob", base.d
        )

    def require_image(self, width: int, height: int) -> None:
        """Raise unless an image of this size is the one the calibration describes."""
        base = self.folded()
        if (base.width, base.height) != (width, height):
            raise CloudyPointsError(
                f"camera_info describes a {base.width}x{base.height} image (sensor {self.width}x{self.height}, "
                f"roi {self.roi}, binning {self.binning}) but the image is {width}x{height}; publish the "
                "camera_info that belongs to this image, with its roi and binning."
            )


def load_camera(path: Path | str, rectified: bool = False) -> Camera:
    """The camera of a file: see :func:`load_calibration`."""
    return load_calibration(path).camera(rectified)


def load_calibration(path: Path | str) -> Calibration:
    """Read ``camera.json`` (flat, or Cityscapes' own) or a camera_calibration YAML.

    Flat JSON: width, height, fx, fy, cx, cy and optionally model and d. Cityscapes: intrinsic fx fy u0 v0 of
    the 2048x1024 image.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CloudyPointsError(f"The camera file {path} cannot be read ({error}); give a readable file.") from error
    try:
        if path.suffix.lower() in (".yaml", ".yml"):
            return _from_yaml(text)
        return _from_json(json.loads(text))
    except CloudyPointsError as error:
        raise CloudyPointsError(f"{path}: {error}") from error
    except KeyError as error:
        raise CloudyPointsError(
            f"The camera file {path} has no {error}; expected width, height, fx, fy, cx, cy in JSON (or Cityscapes' "
            "camera.json), or a camera_calibration YAML."
        ) from error
    except (TypeError, ValueError, IndexError) as error:
        raise CloudyPointsError(f"The camera file {path} cannot be understood ({error}); correct it.") from error


def save_camera(camera: Camera, path: Path, rate_hz: float | None = None) -> None:
    """Write the flat ``camera.json``; ``rate_hz`` says how fast the images beside it follow each other."""
    record = dataclasses.asdict(camera)
    if not camera.distorted:
        del record["model"], record["d"]
    if rate_hz is not None:
        record["rate_hz"] = rate_hz
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def camera_from_hfov(width: int, height: int, hfov_deg: float) -> Camera:
    """A pinhole camera with its centre in the middle and this horizontal field of view in degrees."""
    if not 0 < hfov_deg < 180:
        raise CloudyPointsError(f"A horizontal field of view of {hfov_deg} degrees was given; expected 0 to 180.")
    focal = width / 2 / np.tan(np.radians(hfov_deg) / 2)
    return Camera(width, height, float(focal), float(focal), (width - 1) / 2, (height - 1) / 2)


def _check_distortion(model: str, d: tuple[float, ...]) -> None:
    if model not in DISTORTION_MODELS:
        raise CloudyPointsError(
            f"The distortion model '{model}' is not known; expected one of {', '.join(DISTORTION_MODELS)}. "
            "Rectify the image first and set rectified to true."
        )
    if not np.isfinite(d).all():
        raise CloudyPointsError(
            f"The distortion coefficients are {d}; expected finite numbers. Calibrate the camera again."
        )
    if len(d) not in DISTORTION_MODELS[model]:
        counts = " or ".join(str(n) for n in DISTORTION_MODELS[model])
        raise CloudyPointsError(
            f"The distortion model {model} came with {len(d)} coefficients; expected {counts}. Check d in the "
            "camera file or camera_info."
        )


def _shifted_matrix(m: tuple[float, ...], columns: int, x: int, y: int) -> tuple[float, ...]:
    rows = np.array(m, np.float64).reshape(3, columns)
    if not rows.any():  # an unset matrix stays unset
        return m
    rows[0, 2] -= x
    rows[1, 2] -= y
    return tuple(float(v) for v in rows.ravel())


def _resized_matrix(m: tuple[float, ...], columns: int, sx: float, sy: float) -> tuple[float, ...]:
    rows = np.array(m, np.float64).reshape(3, columns)
    if not rows.any():
        return m
    half = np.array([0.5, 0.5])
    rows[:2, 2] += half
    rows[0] *= sx
    rows[1] *= sy
    rows[:2, 2] -= half
    return tuple(float(v) for v in rows.ravel())


@lru_cache(maxsize=16)
def _rays(camera: Camera, stride: int) -> tuple[Array, Array]:
    u = np.arange(0, camera.width, stride, dtype=np.float64)
    v = np.arange(0, camera.height, stride, dtype=np.float64)
    shape = (len(v), len(u))
    if camera.pinhole:
        # One row and one column say it all; broadcasting keeps the grids out of memory.
        x = np.broadcast_to(((u - camera.cx) / camera.fx).astype(np.float32), shape)
        y = np.broadcast_to(((v - camera.cy) / camera.fy).astype(np.float32)[:, None], shape)
        return x, y
    pixels = np.stack(np.meshgrid(u, v), -1).reshape(-1, 1, 2)
    xy = _undistorted(camera, pixels).astype(np.float32)
    x, y = (np.ascontiguousarray(xy[:, i]).reshape(shape) for i in (0, 1))
    if np.isnan(x).all():
        raise CloudyPointsError(
            f"The lens model {camera.model} with the coefficients {camera.d} cannot be inverted at any pixel, so there "
            "are no rays; calibrate the camera again, or rectify the image and set rectified to true."
        )
    x.flags.writeable = y.flags.writeable = False
    return x, y


@lru_cache(maxsize=16)
def _blind(camera: Camera, stride: int) -> bool:
    return bool(np.isnan(camera.rays(stride)[0]).any())


def _undistorted(camera: Camera, uv: Array) -> Array:
    """x/z and y/z, float64 (N, 2), of distorted pixels (N, 1, 2); NaN where the inversion does not return."""
    # OpenCV projects with derivatives, hundreds of bytes per pixel: a large image at once would take a gigabyte.
    parts = [
        _undistorted_few(camera, uv[i : i + _UNDISTORTED_AT_ONCE]) for i in range(0, len(uv), _UNDISTORTED_AT_ONCE)
    ]
    return np.concatenate(parts)


def _undistorted_few(camera: Camera, uv: Array) -> Array:
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-9)
    d = np.array(camera.d or (0.0,) * 4)
    if camera.model == "equidistant":
        xy = cv2.fisheye.undistortPoints(uv, camera.matrix, d, None, None, None, stop)
    else:
        xy = cv2.undistortPointsIter(uv, camera.matrix, d, None, None, stop)
    # As float32, as which they are used: a violent lens model magnifies even that rounding.
    with np.errstate(over="ignore"):
        xy = np.asarray(xy, np.float64).reshape(-1, 2).astype(np.float32).astype(np.float64)
    points = np.concatenate([xy, np.ones((len(xy), 1))], 1)
    with np.errstate(invalid="ignore", over="ignore"):
        miss = np.abs(camera.project(points) - uv.reshape(-1, 2)).max(1)
    # OpenCV marks fisheye points it could not invert with a huge value; NaN compares false.
    xy[~(miss < RAY_TOLERANCE_PX)] = np.nan
    return xy


def _from_json(data: dict[str, Any]) -> Calibration:
    if "intrinsic" in data:
        k = data["intrinsic"]
        width, height = CITYSCAPES_SIZE
        return Calibration.of(Camera(width, height, float(k["fx"]), float(k["fy"]), float(k["u0"]), float(k["v0"])))
    return Calibration.of(
        Camera(
            int(data["width"]),
            int(data["height"]),
            float(data["fx"]),
            float(data["fy"]),
            float(data["cx"]),
            float(data["cy"]),
            str(data.get("model", "plumb_bob")),
            tuple(float(v) for v in data.get("d", ())),
        )
    )


def _from_yaml(text: str) -> Calibration:
    import yaml

    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CloudyPointsError(f"This is not YAML ({error}); give a camera_calibration file.") from error
    if not isinstance(data, dict):
        raise CloudyPointsError("The YAML holds no mapping; give a camera_calibration file.")

    def numbers(key: str, count: int | None = None) -> tuple[float, ...]:
        values = tuple(float(v) for v in data[key]["data"])
        if count is not None and len(values) != count:
            raise ValueError(f"{key} has {len(values)} numbers, expected {count}")
        return values

    optional: dict[str, Any] = {}
    if "rectification_matrix" in data:
        optional["r"] = numbers("rectification_matrix", 9)
    if "projection_matrix" in data:
        optional["p"] = numbers("projection_matrix", 12)
    return Calibration(
        width=int(data["image_width"]),
        height=int(data["image_height"]),
        k=numbers("camera_matrix", 9),
        model=str(data.get("distortion_model") or "plumb_bob"),
        d=numbers("distortion_coefficients"),
        **optional,
    )
