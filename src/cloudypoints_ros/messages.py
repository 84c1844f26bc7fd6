"""numpy on one side, sensor_msgs on the other.

Everything here is plain functions on plain messages; nodes, topics and threads live elsewhere. Reading a large
``data`` field goes through ``np.frombuffer`` (free); writing goes into the array.array that the message already
owns, because assigning an ndarray to ``msg.data`` copies element by element (hundreds of milliseconds per image).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField

from cloudypoints_ros.camera import Calibration
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.files import millimetres
from cloudypoints_ros.geometry import LAYOUTS, Cloud
from cloudypoints_ros.parameter_table import DEPTH_ENCODINGS

Array = npt.NDArray[Any]


# More than any camera has. The header of a broken image may claim more, and its decoder then takes gigabytes.
MAX_COMPRESSED_PIXELS = 1 << 27


@dataclass(frozen=True)
class Picture:
    """A decoded image: uint8 (H, W, 3), C-contiguous, channels in ``order`` ("rgb" or "bgr").

    ``image`` may be a view of the message's own bytes: read-only by agreement, and ``msg.data`` cannot be resized
    while it lives.
    """

    image: Array
    order: str


@dataclass(frozen=True)
class _Encoding:
    """Bytes per pixel, the order of the result, and how pixels (H, W, bytes) become (H, W, 3)."""

    pixel_bytes: int
    order: str
    convert: Callable[[Array, bool], Array]
    even_width: bool = False


def _as_is(pixels: Array, _big_endian: bool) -> Array:
    return np.ascontiguousarray(pixels)  # copies only when rows are padded


def _by(code: int) -> Callable[[Array, bool], Array]:
    def convert(pixels: Array, _big_endian: bool) -> Array:
        return np.asarray(cv2.cvtColor(pixels, code))

    return convert


def _mono16(pixels: Array, big_endian: bool) -> Array:
    # value >> 8 is the high byte, wherever the byte order puts it
    high = np.ascontiguousarray(pixels[:, :, 0 if big_endian else 1])
    return np.asarray(cv2.cvtColor(high, cv2.COLOR_GRAY2RGB))


# sensor_msgs names a Bayer mosaic by its first two rows (rggb: R G / G B); OpenCV's classic constants name it by
# the second row from the second column on (BG for the same mosaic). The newer COLOR_BayerRGGB2RGB aliases are
# missing in the OpenCV of older distributions.
_ENCODINGS: dict[str, _Encoding] = {
    "rgb8": _Encoding(3, "rgb", _as_is),
    "bgr8": _Encoding(3, "bgr", _as_is),
    "rgba8": _Encoding(4, "rgb", _by(cv2.COLOR_RGBA2RGB)),
    "bgra8": _Encoding(4, "bgr", _by(cv2.COLOR_BGRA2BGR)),
    "mono8": _Encoding(1, "rgb", _by(cv2.COLOR_GRAY2RGB)),
    "mono16": _Encoding(2, "rgb", _mono16),
    "yuv422": _Encoding(2, "rgb", _by(cv2.COLOR_YUV2RGB_UYVY), even_width=True),
    "uyvy": _Encoding(2, "rgb", _by(cv2.COLOR_YUV2RGB_UYVY), even_width=True),
    "yuv422_yuy2": _Encoding(2, "rgb", _by(cv2.COLOR_YUV2RGB_YUY2), even_width=True),
    "yuyv": _Encoding(2, "rgb", _by(cv2.COLOR_YUV2RGB_YUY2), even_width=True),
    "bayer_rggb8": _Encoding(1, "rgb", _by(cv2.COLOR_BayerBG2RGB)),
    "bayer_bggr8": _Encoding(1, "rgb", _by(cv2.COLOR_BayerRG2RGB)),
    "bayer_gbrg8": _Encoding(1, "rgb", _by(cv2.COLOR_BayerGR2RGB)),
    "bayer_grbg8": _Encoding(1, "rgb", _by(cv2.COLOR_BayerGB2RGB)),
}
ENCODINGS = tuple(_ENCODINGS)


def decode(msg: Image) -> Picture:
    """The picture of a sensor_msgs/Image, any step, either byte order.

    Unpadded rgb8 and bgr8 are views of ``msg.data``, not copies. An encoding that is not in :data:`ENCODINGS` goes
    through cv_bridge where that is installed. CloudyPointsError when the message contradicts itself or cannot be
    read.
    """
    encoding = _ENCODINGS.get(msg.encoding)
    if encoding is None:
        return _by_cv_bridge(msg)
    _check_layout(msg, encoding)
    rows = np.frombuffer(msg.data, np.uint8).reshape(msg.height, msg.step)
    pixels = rows[:, : msg.width * encoding.pixel_bytes].reshape(msg.height, msg.width, encoding.pixel_bytes)
    return Picture(encoding.convert(pixels, bool(msg.is_bigendian)), encoding.order)


def decode_compressed(msg: CompressedImage) -> Picture:
    """The picture of a JPEG or PNG message, order "bgr". CloudyPointsError when it cannot be decoded.

    ``msg.format`` is not asked: the data say what they are.
    """
    data = np.frombuffer(msg.data, np.uint8)
    width, height = claimed_size(data.tobytes()) or (0, 0)
    if width * height > MAX_COMPRESSED_PIXELS:
        raise CloudyPointsError(
            f"A compressed image of {data.size} bytes with format '{msg.format}' claims {width}x{height} pixels; "
            f"expected at most {MAX_COMPRESSED_PIXELS}. Check the publisher, or set image_transport to raw."
        )
    image = None
    if width * height:
        # A camera does not turn its stream by EXIF, and camera_info describes the stored pixels.
        with contextlib.suppress(cv2.error):
            image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise CloudyPointsError(
            f"A compressed image of {data.size} bytes with format '{msg.format}' could not be decoded; expected an "
            "intact JPEG or PNG. Check the publisher, or set image_transport to raw."
        )
    return Picture(np.asarray(image), "bgr")


def claimed_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that the header of a JPEG or PNG claims; None for anything else, and for one that is cut off.

    Older OpenCV decodes what there is of a JPEG that is cut off, and the rest is grey. JPEG: ITU-T T.81, annex B;
    PNG: its IHDR comes first.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    at, size = 2, None
    while data.startswith(b"\xff\xd8") and at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == _START_OF_SCAN:
            return size if data.find(_END_OF_IMAGE, at) > 0 else None
        if marker in _START_OF_FRAME:
            height, width = int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
            size = width, height
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


_START_OF_SCAN = 0xDA
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_END_OF_IMAGE = b"\xff\xd9"


def calibration(msg: CameraInfo) -> Calibration:
    """The calibration of a sensor_msgs/CameraInfo, roi and binning still apart."""
    roi = msg.roi
    return Calibration(
        width=int(msg.width),
        height=int(msg.height),
        k=_floats(msg.k),
        model=str(msg.distortion_model),
        d=_floats(msg.d),
        r=_floats(msg.r),
        p=_floats(msg.p),
        roi=(int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height)),
        binning=(int(msg.binning_x), int(msg.binning_y)),
    )


def camera_info(calibration: Calibration, header: Any) -> CameraInfo:
    """The sensor_msgs/CameraInfo of a calibration: roi and binning folded into K and P, then zeroed."""
    base = calibration.folded()
    msg = CameraInfo()
    msg.header = header
    msg.width, msg.height = base.width, base.height
    msg.distortion_model = base.model
    msg.d, msg.k, msg.r, msg.p = list(base.d), list(base.k), list(base.r), list(base.p)
    return msg


def depth_message(depth: Array, header: Any, encoding: str = "32FC1", reuse: Image | None = None) -> tuple[Image, int]:
    """The Image of a depth map, float32 (H, W) metres along Z, NaN unknown, +inf sky; and how many were too far.

    32FC1 keeps the values as they are. 16UC1 holds rounded millimetres: 0 where there is no answer, sky included,
    and 0 beyond 65.535 m; the count says how many finite depths that last rule took. ``reuse`` is filled again.
    """
    if encoding not in DEPTH_ENCODINGS:
        raise CloudyPointsError(
            f"The depth encoding is '{encoding}'; expected {' or '.join(DEPTH_ENCODINGS)}. Set depth.encoding."
        )
    too_far = 0
    if encoding == "32FC1":
        pixels = np.ascontiguousarray(depth, "<f4")
    else:
        pixels = millimetres(depth).astype("<u2", copy=False)
        too_far = int(np.count_nonzero((pixels == 0) & np.isfinite(depth) & (depth > 1)))
    return _image(pixels, header, encoding, pixels.itemsize, reuse), too_far


def image_message(image: Array, header: Any, encoding: str = "bgr8", reuse: Image | None = None) -> Image:
    """The Image of a uint8 (H, W) or (H, W, channels) array; ``encoding`` names its channels."""
    pixels = np.ascontiguousarray(image, np.uint8)
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    return _image(pixels, header, encoding, channels, reuse)


def cloud_message(cloud: Cloud, header: Any, reuse: PointCloud2 | None = None) -> PointCloud2:
    """The PointCloud2 of a packed cloud; its points are in the frame of ``header``. ``reuse`` is filled again."""
    msg = PointCloud2() if reuse is None else reuse
    msg.header = header
    msg.width, msg.height = cloud.width, cloud.height
    msg.point_step = cloud.point_step
    msg.row_step = cloud.point_step * cloud.width
    msg.is_bigendian = False
    msg.is_dense = cloud.is_dense
    msg.fields = [
        PointField(name=name, offset=offset, datatype=code, count=1) for name, offset, code in LAYOUTS[cloud.fields]
    ]
    _fill(msg, cloud.data)
    return msg


def _check_layout(msg: Image, encoding: _Encoding) -> None:
    width, height, step, size = msg.width, msg.height, msg.step, len(msg.data)
    if width < 1 or height < 1:
        raise CloudyPointsError(
            f"An image of {width}x{height} pixels arrived; expected at least 1x1. Check the camera driver."
        )
    if step < width * encoding.pixel_bytes:
        raise CloudyPointsError(
            f"A {width}x{height} {msg.encoding} image arrived with step {step}; expected at least "
            f"{width * encoding.pixel_bytes} bytes per row. Correct step in the publisher."
        )
    if size != step * height:
        raise CloudyPointsError(
            f"A {width}x{height} {msg.encoding} image arrived with {size} bytes; expected step x height = "
            f"{step} x {height} = {step * height}. Correct data or step in the publisher."
        )
    if encoding.even_width and width % 2:
        raise CloudyPointsError(
            f"A {msg.encoding} image is {width} pixels wide; expected an even width, two pixels share their colour. "
            "Correct width or encoding in the publisher."
        )


def _by_cv_bridge(msg: Image) -> Picture:
    try:
        from cv_bridge import CvBridge
    except ImportError as error:
        distro = os.environ.get("ROS_DISTRO", "$ROS_DISTRO")
        raise CloudyPointsError(
            f"The image encoding '{msg.encoding}' is not one of {', '.join(ENCODINGS)}; install "
            f"ros-{distro}-cv-bridge, which converts further ones, or publish one of these."
        ) from error
    try:
        return Picture(np.asarray(CvBridge().imgmsg_to_cv2(msg, "bgr8")), "bgr")
    except Exception as error:  # CvBridgeError, but also KeyError and ValueError from inside
        raise CloudyPointsError(
            f"The image encoding '{msg.encoding}' could not be converted by cv_bridge ({error}); publish one of "
            f"{', '.join(ENCODINGS)}."
        ) from error


def _image(pixels: Array, header: Any, encoding: str, pixel_bytes: int, reuse: Image | None) -> Image:
    msg = Image() if reuse is None else reuse
    msg.header = header
    msg.height, msg.width = pixels.shape[:2]
    msg.encoding = encoding
    msg.is_bigendian = 0
    msg.step = msg.width * pixel_bytes
    _fill(msg, pixels.reshape(-1).view(np.uint8))
    return msg


def _fill(msg: Any, flat: Array) -> None:
    """Copy uint8 (N,) into ``msg.data`` once, into the memory it already has, made longer or shorter as need be."""
    data = msg.data
    if len(data) > flat.size:
        del data[flat.size :]
    kept = len(data)
    if kept:
        np.frombuffer(data, np.uint8)[:] = flat[:kept]
    data.frombytes(np.ascontiguousarray(flat[kept:]).data)


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
