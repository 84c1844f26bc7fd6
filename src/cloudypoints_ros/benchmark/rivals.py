"""What one would otherwise write for the steps around the network, after cv_bridge and common tutorials.

Each gives what ours gives, as the tests hold them against each other.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import Image, PointCloud2, PointField

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.model_card import ModelInput, ModelOutput
from cloudypoints_ros.preprocess import Placement, network_camera

Array = npt.NDArray[Any]

POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4")])


def picture(msg: Image) -> Array:
    """uint8 BGR (H, W, 3) of an rgb8 message, as cv_bridge's imgmsg_to_cv2(msg, "bgr8") makes it."""
    shape = (msg.height, msg.width, 3)
    rgb: Array = np.ndarray(shape, np.uint8, buffer=msg.data)
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))


def network_input(bgr: Array, placement: Placement, card: ModelInput) -> Array:
    """float32 (1, 3, H, W) of a uint8 (H, W, 3) BGR image, with OpenCV and numpy; for cards that ask for RGB."""
    size = (placement.image_width, placement.image_height)
    small = cv2.cvtColor(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
    mean, std = (np.array(each, np.float32) for each in (card.mean, card.std))
    normal = (small.astype(np.float32) * np.float32(card.scale) - mean) / std
    tensor = np.zeros((1, 3, placement.height, placement.width), np.float32)
    rows = slice(placement.top, placement.top + size[1])
    columns = slice(placement.left, placement.left + size[0])
    tensor[0, :, rows, columns] = normal.transpose(2, 0, 1)
    return tensor


def depth(outputs: dict[str, Array], card: ModelOutput, camera: Camera, placement: Placement) -> Array:
    """float32 (H, W) metres of a network that gives log depth, +inf sky, by cv2.resize."""
    log_depth = outputs[card.tensor][0, 0]
    ratio = log_depth.shape[1] / placement.width
    rows = slice(round(placement.top * ratio), round((placement.top + placement.image_height) * ratio))
    columns = slice(round(placement.left * ratio), round((placement.left + placement.image_width) * ratio))
    focal = 1.0 if card.canonical_focal_px is None else network_camera(camera, placement).fx / card.canonical_focal_px
    metres = np.clip(np.exp(log_depth[rows, columns]) * np.float32(focal), *card.range_m)
    size = (camera.width, camera.height)
    result = np.asarray(cv2.resize(metres, size, interpolation=cv2.INTER_LINEAR))
    if card.sky is not None:
        sky = (outputs[card.sky.tensor].reshape(log_depth.shape)[rows, columns] > card.sky.threshold).astype(np.uint8)
        result[cv2.resize(sky, size, interpolation=cv2.INTER_NEAREST) > 0] = np.inf
    return result


def depth_message(metres: Array, header: Any) -> Image:
    """A new 32FC1 message, filled as cv_bridge's cv2_to_imgmsg does."""
    msg = Image(header=header, height=metres.shape[0], width=metres.shape[1], encoding="32FC1")
    msg.step = metres.shape[1] * 4
    msg.data.frombytes(metres.tobytes())
    return msg


def depth_message_by_assignment(metres: Array, header: Any) -> Image:
    """A new 32FC1 message, its data assigned as an array: copied element by element."""
    msg = Image(header=header, height=metres.shape[0], width=metres.shape[1], encoding="32FC1")
    msg.step = metres.shape[1] * 4
    msg.data = metres.view(np.uint8).reshape(-1)
    return msg


def cloud_message(metres: Array, camera: Camera, rgb: Array, stride: int, header: Any) -> PointCloud2:
    """A new dense xyzrgb cloud of all finite depths of a pinhole camera, by vectorised numpy."""
    z = metres[::stride, ::stride]
    u, v = np.meshgrid(np.arange(0, camera.width, stride), np.arange(0, camera.height, stride))
    known = np.isfinite(z) & (z > 0)
    z = z[known]
    points = np.empty(z.size, POINT)
    points["x"] = (u[known] - camera.cx) * z / camera.fx
    points["y"] = (v[known] - camera.cy) * z / camera.fy
    points["z"] = z
    red, green, blue = rgb[::stride, ::stride][known].astype(np.uint32).T
    points["rgb"] = red << 16 | green << 8 | blue
    msg = PointCloud2(header=header, height=1, width=points.size, point_step=POINT.itemsize, is_dense=True)
    msg.row_step = points.nbytes
    msg.fields = [
        PointField(name=name, offset=4 * n, datatype=PointField.FLOAT32, count=1)
        for n, name in enumerate(("x", "y", "z", "rgb"))
    ]
    msg.data.frombytes(points.tobytes())
    return msg
