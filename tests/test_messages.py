"""Every image encoding, padding and byte order against arrays built by hand; calibration, depth and clouds."""

from __future__ import annotations

import sys
import types
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sensor_msgs", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from cloudypoints_ros import messages
from cloudypoints_ros.camera import Calibration, Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.geometry import CloudOptions, cloud

pytestmark = pytest.mark.ros

HEADER = Header(stamp=Time(sec=7, nanosec=8), frame_id="cam")
RNG = np.random.default_rng(5)
RGB = RNG.integers(0, 256, (6, 8, 3), np.uint8)
PADDINGS = (0, 1, 7)


def message(rows: np.ndarray, width: int, encoding: str, padding: int = 0, big_endian: bool = False) -> Image:
    """An Image whose rows are uint8 (H, bytes), each followed by ``padding`` bytes of garbage."""
    garbage = np.full((rows.shape[0], padding), 0xAB, np.uint8)
    msg = Image(height=rows.shape[0], width=width, encoding=encoding, is_bigendian=int(big_endian))
    msg.step = rows.shape[1] + padding
    msg.data.frombytes(np.concatenate([rows, garbage], 1).tobytes())
    return msg


def rgb_of(picture: messages.Picture) -> np.ndarray:
    assert picture.image.dtype == np.uint8 and picture.image.flags.c_contiguous
    return picture.image if picture.order == "rgb" else picture.image[..., ::-1]


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(
    ("encoding", "channels"),
    [("rgb8", [0, 1, 2]), ("bgr8", [2, 1, 0]), ("rgba8", [0, 1, 2, 1]), ("bgra8", [2, 1, 0, 1])],
)
def test_colour(encoding: str, channels: list[int], padding: int) -> None:
    msg = message(RGB[..., channels].reshape(6, -1), 8, encoding, padding)
    np.testing.assert_array_equal(rgb_of(messages.decode(msg)), RGB)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
def test_unpadded_colour_is_a_view_and_keeps_its_order(encoding: str) -> None:
    msg = message(RGB.reshape(6, -1), 8, encoding)
    picture = messages.decode(msg)
    assert picture.order == encoding[:3]
    assert np.shares_memory(picture.image, np.frombuffer(msg.data, np.uint8))


@pytest.mark.parametrize("padding", PADDINGS)
def test_mono8(padding: int) -> None:
    grey = RGB[..., 0]
    picture = messages.decode(message(grey, 8, "mono8", padding))
    np.testing.assert_array_equal(picture.image, np.stack([grey] * 3, -1))


@pytest.mark.parametrize("padding", (0, 2, 3))
@pytest.mark.parametrize("big_endian", [False, True])
def test_mono16_takes_the_high_byte_in_either_byte_order(big_endian: bool, padding: int) -> None:
    values = RNG.integers(0, 65536, (6, 8)).astype(np.uint16)
    rows = values.astype(">u2" if big_endian else "<u2").view(np.uint8).reshape(6, 16)
    picture = messages.decode(message(rows, 8, "mono16", padding, big_endian))
    np.testing.assert_array_equal(picture.image, np.stack([(values >> 8).astype(np.uint8)] * 3, -1))


def bt601(y: np.ndarray, u: float, v: float) -> np.ndarray:
    """RGB of limited-range YUV, ITU-R BT.601, written out by hand."""
    luma = 1.164 * (y.astype(float) - 16)
    rgb = [luma + 1.596 * (v - 128), luma - 0.813 * (v - 128) - 0.391 * (u - 128), luma + 2.018 * (u - 128)]
    return np.clip(np.round(np.stack(rgb, -1)), 0, 255)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(
    ("encoding", "y_at", "u_at", "v_at"),
    [("yuv422", 1, 0, 2), ("uyvy", 1, 0, 2), ("yuv422_yuy2", 0, 1, 3), ("yuyv", 0, 1, 3)],
)
def test_yuv422(encoding: str, y_at: int, u_at: int, v_at: int, padding: int) -> None:
    y = np.linspace(40, 200, 48).reshape(6, 8).astype(np.uint8)
    u, v = 90, 170  # reddish, so that exchanging u and v shows
    rows = np.empty((6, 16), np.uint8)
    rows[:, y_at::2] = y
    rows[:, u_at::4] = u
    rows[:, v_at::4] = v
    picture = messages.decode(message(rows, 8, encoding, padding))
    assert np.abs(rgb_of(picture) - bt601(y, u, v)).max() <= 2


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer(pattern: str, padding: int) -> None:
    left, right = (200, 100, 50), (20, 60, 220)
    colour = np.empty((12, 16, 3), np.uint8)
    colour[:, :8], colour[:, 8:] = left, right
    mosaic = np.empty((12, 16), np.uint8)
    for i, name in enumerate(pattern):
        y, x = divmod(i, 2)
        mosaic[y::2, x::2] = colour[y::2, x::2, "rgb".index(name)]
    result = rgb_of(messages.decode(message(mosaic, 16, f"bayer_{pattern}8", padding)))
    assert np.abs(result[:, 1:6].astype(int) - left).max() <= 1
    assert np.abs(result[:, 10:15].astype(int) - right).max() <= 1


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["rgb8", "bgr8", "rgba8", "bgra8", "mono8"]),
    st.integers(1, 9), st.integers(1, 9), st.integers(0, 5), st.randoms(),
)  # fmt: skip
def test_an_independent_reader_agrees(encoding: str, width: int, height: int, padding: int, random: Any) -> None:
    reader = pytest.importorskip("rosbags.image")
    channels = {"mono8": 1, "rgba8": 4, "bgra8": 4}.get(encoding, 3)
    rows = np.frombuffer(random.randbytes(height * width * channels), np.uint8).reshape(height, -1)
    unpadded = message(rows, width, encoding)
    theirs = reader.message_to_cvimage(unpadded, "bgr8")
    ours = rgb_of(messages.decode(message(rows, width, encoding, padding)))[..., ::-1]
    np.testing.assert_array_equal(ours, theirs)


def test_every_encoding_survives_the_wire() -> None:
    """A deserialised message owns another kind of buffer than one made here; both are read."""
    msg = message(RGB.reshape(6, -1), 8, "rgb8", 4)
    again = deserialize_message(serialize_message(msg), Image)
    np.testing.assert_array_equal(messages.decode(again).image, RGB)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"width": 0}, "0x6 pixels arrived; expected at least 1x1"),
        ({"height": 0}, "8x0 pixels arrived"),
        ({"step": 23}, r"step 23; expected at least 24 bytes per row"),
        ({"step": 25}, r"144 bytes; expected step x height = 25 x 6 = 150. Correct data or step"),
        ({"height": 7}, r"144 bytes; expected step x height = 24 x 7 = 168"),
        ({"encoding": "yuyv", "width": 7}, "7 pixels wide; expected an even width"),
        ({"encoding": "32FC7"}, r"'32FC7' is not one of rgb8, .*ros-jazzy-cv-bridge"),
    ],
)
def test_messages_that_contradict_themselves(
    change: dict[str, Any], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    msg = message(RGB.reshape(6, -1), 8, "rgb8")
    for name, value in change.items():
        setattr(msg, name, value)
    with pytest.raises(CloudyPointsError, match=text):
        messages.decode(msg)


def test_cv_bridge_takes_what_we_do_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    class CvBridge:
        def imgmsg_to_cv2(self, msg: Image, encoding: str) -> np.ndarray:
            if msg.encoding == "broken":
                raise RuntimeError("[broken] is not a color format")
            assert encoding == "bgr8"
            return RGB[..., ::-1]

    monkeypatch.setitem(sys.modules, "cv_bridge", types.SimpleNamespace(CvBridge=CvBridge))
    picture = messages.decode(message(RGB.reshape(6, -1), 8, "bgr16"))
    assert picture.order == "bgr"
    np.testing.assert_array_equal(picture.image[..., ::-1], RGB)
    with pytest.raises(CloudyPointsError, match=r"'broken' could not be converted by cv_bridge \(\[broken\]"):
        messages.decode(message(RGB.reshape(6, -1), 8, "broken"))


@pytest.mark.parametrize(("suffix", "tolerance"), [(".png", 0), (".jpg", 3)])
def test_compressed(suffix: str, tolerance: int) -> None:
    smooth = np.zeros((32, 48, 3), np.uint8)
    smooth[:] = (200, 90, 30)  # RGB
    ok, data = cv2.imencode(suffix, smooth[..., ::-1])
    assert ok
    picture = messages.decode_compressed(CompressedImage(format=suffix[1:], data=data.tobytes()))
    assert picture.order == "bgr"
    assert np.abs(rgb_of(picture).astype(int) - smooth).max() <= tolerance


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xe0 truncated", b"no image at all"])
def test_corrupt_compressed(data: bytes) -> None:
    with pytest.raises(CloudyPointsError, match=rf"of {len(data)} bytes with format 'jpeg' could not be decoded"):
        messages.decode_compressed(CompressedImage(format="jpeg", data=data))


def test_calibration_through_roi_and_binning_and_back() -> None:
    msg = CameraInfo(width=640, height=480, distortion_model="plumb_bob", binning_x=2, binning_y=2)
    msg.k = [500.0, 0.0, 320.0, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0]
    msg.p = [400.0, 0.0, 310.0, -40.0, 0.0, 410.0, 230.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    msg.d = [0.1, -0.2, 0.001, 0.002, 0.0]
    msg.roi.x_offset, msg.roi.y_offset, msg.roi.width, msg.roi.height = 40, 20, 560, 440
    calibration = messages.calibration(msg)
    assert calibration.roi == (40, 20, 560, 440) and calibration.binning == (2, 2)
    out = messages.camera_info(calibration, HEADER)
    assert (out.width, out.height, out.header) == (280, 220, HEADER)
    assert (out.roi.x_offset, out.roi.y_offset, out.roi.width, out.roi.height) == (0, 0, 0, 0)
    assert (out.binning_x, out.binning_y) in ((0, 0), (1, 1))
    # by hand: (320 - 40 + 0.5) / 2 - 0.5 = 139.75, (240 - 20 + 0.5) / 2 - 0.5 = 109.75; P likewise, P[3] / 2
    np.testing.assert_allclose(out.k, [250, 0, 139.75, 0, 255, 109.75, 0, 0, 1])
    np.testing.assert_allclose(out.p, [200, 0, 134.75, -20, 0, 205, 104.75, 0, 0, 0, 1, 0])
    assert list(out.d) == list(msg.d) and out.distortion_model == "plumb_bob"
    again = messages.calibration(deserialize_message(serialize_message(out), CameraInfo))
    assert again.camera() == calibration.camera()


DEPTH = np.array([[1.5, np.nan, np.inf, 65.535], [65.5361, 0.0004, 0.0006, 80.0]], np.float32)


def test_depth_in_metres_keeps_every_value() -> None:
    msg, too_far = messages.depth_message(DEPTH, HEADER)
    assert (msg.encoding, msg.step, msg.is_bigendian, msg.height, msg.width) == ("32FC1", 16, 0, 2, 4)
    assert msg.header == HEADER and too_far == 0
    np.testing.assert_array_equal(np.frombuffer(msg.data, "<f4").reshape(2, 4), DEPTH)


def test_depth_in_millimetres() -> None:
    msg, too_far = messages.depth_message(DEPTH, HEADER, "16UC1")
    assert (msg.encoding, msg.step, msg.is_bigendian) == ("16UC1", 8, 0)
    values = np.frombuffer(msg.data, "<u2").reshape(2, 4)
    np.testing.assert_array_equal(values, [[1500, 0, 0, 65535], [0, 0, 1, 0]])
    assert too_far == 2  # 65.5361 and 80; the sky is no distance
    with pytest.raises(CloudyPointsError, match="'8UC1'; expected 32FC1 or 16UC1"):
        messages.depth_message(DEPTH, HEADER, "8UC1")


def test_depth_of_a_view_is_packed() -> None:
    wide = np.arange(40, dtype=np.float32).reshape(4, 10)
    msg, _ = messages.depth_message(wide[:, ::2], HEADER)
    np.testing.assert_array_equal(np.frombuffer(msg.data, "<f4").reshape(4, 5), wide[:, ::2])


def test_a_reused_message_keeps_its_memory_and_follows_the_size() -> None:
    first, _ = messages.depth_message(DEPTH, HEADER)
    memory = first.data
    again, _ = messages.depth_message(DEPTH + 1, HEADER, reuse=first)
    assert again is first and again.data is memory
    np.testing.assert_array_equal(np.frombuffer(again.data, "<f4").reshape(2, 4), DEPTH + 1)
    smaller, _ = messages.depth_message(DEPTH[:1, :2], HEADER, "16UC1", reuse=again)
    assert (smaller.width, smaller.height, smaller.step, len(smaller.data)) == (2, 1, 4, 4)


def test_image_message() -> None:
    msg = messages.image_message(RGB, HEADER, "bgr8")
    assert (msg.encoding, msg.step, msg.width, msg.height, msg.is_bigendian) == ("bgr8", 24, 8, 6, 0)
    np.testing.assert_array_equal(np.frombuffer(msg.data, np.uint8).reshape(6, 8, 3), RGB)
    assert messages.image_message(RGB[..., 0], HEADER, "mono8").step == 8


# name, offset, PointField datatype (7 float32, 2 uint8, 4 uint16), as PCL and Autoware define them
FIELDS = {
    "xyz": (12, [("x", 0, 7), ("y", 4, 7), ("z", 8, 7)]),
    "xyzrgb": (16, [("x", 0, 7), ("y", 4, 7), ("z", 8, 7), ("rgb", 12, 7)]),
    "xyzirc": (
        16,
        [("x", 0, 7), ("y", 4, 7), ("z", 8, 7), ("intensity", 12, 2), ("return_type", 13, 2), ("channel", 14, 4)],
    ),
}


@pytest.mark.parametrize("organised", [False, True])
@pytest.mark.parametrize("fields", FIELDS)
def test_cloud_message(fields: str, organised: bool) -> None:
    camera = Camera(8, 6, 10.0, 10.0, 3.5, 2.5)
    depth = np.full((6, 8), 4.0, np.float32)
    depth[0, 0], depth[2, 2] = np.nan, np.inf
    packed = cloud(depth, camera, RGB, "rgb", CloudOptions(fields=fields, stride=2, organised=organised))
    msg = messages.cloud_message(packed, HEADER)
    step, expected = FIELDS[fields]
    assert msg.point_step == step and [(f.name, f.offset, f.datatype) for f in msg.fields] == expected
    assert all(f.count == 1 for f in msg.fields)
    assert (msg.width, msg.height) == ((4, 3) if organised else (10, 1))
    assert msg.row_step == msg.width * step and len(msg.data) == msg.row_step * msg.height
    assert msg.is_dense is not organised and msg.is_bigendian is False and msg.header == HEADER
    again = deserialize_message(serialize_message(msg), PointCloud2)
    kind = {7: "<f4", 2: "u1", 4: "<u2"}
    points = np.frombuffer(
        again.data,
        np.dtype({"names": [n for n, _, _ in expected], "formats": [kind[t] for *_, t in expected],
                  "offsets": [o for _, o, _ in expected], "itemsize": step}),
    )  # fmt: skip
    known = points[np.isfinite(points["z"])]
    assert len(known) == 10 and (known["z"] == 4.0).all()
    # the third kept pixel of the first row is (u, v) = (4, 0)
    third = points[2] if organised else points[1]
    np.testing.assert_allclose([third["x"], third["y"]], [(4 - 3.5) / 10 * 4, (0 - 2.5) / 10 * 4], rtol=1e-6)
    if fields == "xyzrgb":
        rgb = int(np.float32(third["rgb"]).view(np.uint32))
        assert [rgb >> 16, rgb >> 8 & 255, rgb & 255] == RGB[0, 4].tolist()


def test_an_empty_cloud_is_a_message_too() -> None:
    camera = Camera(8, 6, 10.0, 10.0, 3.5, 2.5)
    empty = cloud(np.full((6, 8), np.nan, np.float32), camera, options=CloudOptions(fields="xyz"))
    full = cloud(np.full((6, 8), 1.0, np.float32), camera, options=CloudOptions(fields="xyz"))
    msg = messages.cloud_message(full, HEADER)
    msg = messages.cloud_message(empty, HEADER, reuse=msg)
    assert (msg.width, msg.row_step, len(msg.data)) == (0, 0, 0)


def test_calibration_of_camera_file_matches() -> None:
    camera = Camera(8, 6, 10.0, 11.0, 3.5, 2.5, "equidistant", (0.1, 0.0, 0.0, 0.0))
    assert messages.calibration(messages.camera_info(Calibration.of(camera), HEADER)).camera() == camera
