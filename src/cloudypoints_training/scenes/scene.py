"""What is rendered, and from where."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from cloudypoints_ros.camera import Camera
from cloudypoints_training.scenes.ground import Ground
from cloudypoints_training.scenes.lighting import Light
from cloudypoints_training.scenes.primitives import CENTRE, HALF, HOLES, LEAVES, SOLID


@dataclass(frozen=True)
class Scene:
    """Primitives (N, COLUMNS), ground, light, lamps (L, 6: place, colour), footprints (F, 5)."""

    rows: np.ndarray
    ground: Ground
    light: Light
    lamps: np.ndarray = field(default_factory=lambda: np.zeros((0, 6)))
    footprints: np.ndarray = field(default_factory=lambda: np.zeros((0, 5)))


def without_specks(scene: Scene, view: View, speck: float = 0.3, leaf: float = 7.0) -> Scene:
    """The scene without what that view cannot show and would only take time, sizes in pixels.

    Primitives narrower than `speck` go; foliage whose whole half size is under `leaf` has no holes any more.
    """
    half = np.sort(scene.rows[:, HALF : HALF + 3], axis=1)
    away = np.linalg.norm(scene.rows[:, CENTRE : CENTRE + 3] - view.eye, axis=1) - half[:, 2]
    # What is seen of a bar is about as wide as the second of its three sizes.
    seen = 2 * half[:, 1] * view.camera.fx > speck * away
    rows = scene.rows[seen]
    small = (rows[:, HOLES] == LEAVES) & (half[seen, 2] * view.camera.fx < leaf * away[seen])
    rows[small, HOLES] = SOLID
    return replace(scene, rows=rows)


@dataclass(frozen=True)
class Hood:
    """The ego vehicle's bonnet at the bottom of the picture, as a parabola in image fractions."""

    top: float
    bend: float
    middle: float
    tone: tuple[float, float, float]

    def mask(self, width: int, height: int) -> np.ndarray:
        """(H, W) bool, true on the hood."""
        u = (np.arange(width) + 0.5) / width - self.middle
        edge = (self.top + self.bend * u * u) * height
        return np.arange(height)[:, None] > edge[None, :]

    def paint(self, colour: np.ndarray, mask: np.ndarray) -> None:
        """Covers the masked part of linear colour (H, W, 3), with the sky's sheen near its edge."""
        height = colour.shape[0]
        v = np.linspace(0, 1, height, dtype=np.float32)[:, None]
        sheen = np.exp(-((v - self.top) / 0.05)) * colour[: height // 3].mean()
        shape = (
            np.broadcast_to((0.25 * sheen)[..., None], colour.shape) + np.array(self.tone, np.float32) * colour.mean()
        )
        colour[mask] = shape.astype(np.float32)[mask]


@dataclass(frozen=True)
class View:
    """A camera and where it is: eye (3,) world metres; axes (3, 3) with columns right, down, forward."""

    camera: Camera
    eye: np.ndarray
    axes: np.ndarray
    hood: Hood | None = None


def standing(view: View, ground: Ground) -> View:
    """The same view from a vehicle that stands on a road which is not level."""
    x, y, high = (float(v) for v in view.eye)
    upright = ground.upright(x)
    return replace(view, eye=np.array([x, y, ground.height(x, y)]) + high * upright[:, 2], axes=upright @ view.axes)


def camera_axes(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Columns right, down, forward of a camera along x, turned by yaw (left), pitch (down), roll; radians."""
    cy, sy, cp, sp, cr, sr = (
        math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch), math.cos(roll), math.sin(roll),
    )  # fmt: skip
    forward = np.array([cy * cp, sy * cp, -sp])
    right = np.array([sy, -cy, 0.0])
    down = np.cross(forward, right)
    return np.stack([cr * right + sr * down, cr * down - sr * right, forward], axis=1)


def choose_camera(rng: np.random.Generator, width: int, height: int) -> Camera:
    """A pinhole: focal 0.5 to 2 widths, mostly 0.5 to 1.3; the principal point off-centre as after a crop."""
    focal = width * float(np.clip(0.5 + rng.gamma(2.2, 0.2), 0.5, 2.0))
    cx = (width - 1) / 2 + width * float(np.clip(rng.normal(0, 0.02), -0.08, 0.08))
    cy = (height - 1) / 2 + height * float(np.clip(rng.normal(0, 0.04), -0.1, 0.1))
    return Camera(width=width, height=height, fx=focal, fy=focal * float(rng.uniform(0.99, 1.01)), cx=cx, cy=cy)


def choose_view(
    rng: np.random.Generator, width: int, height: int, x: float, y: float, yaw: float, hood: float = 0.2
) -> View:
    """A camera on a vehicle at (x, y), looking along `yaw`; the horizon lies at 28 to 62 % of the height."""
    camera = choose_camera(rng, width, height)
    eye = np.array([x, y, float(np.clip(1.5 * math.exp(rng.normal(0, 0.17)), 0.8, 2.5))])
    pitch = math.radians(float(np.clip(rng.normal(0.5, 2.2), -6, 6)))
    roll = math.radians(float(np.clip(rng.normal(0, 0.9), -3, 3)))
    # Cropping moves the horizon far more than a driver's camera would tilt.
    horizon = float(rng.uniform(0.28, 0.62)) * height
    cy = horizon + camera.fy * math.tan(pitch)
    camera = Camera(width=width, height=height, fx=camera.fx, fy=camera.fy, cx=camera.cx, cy=cy)
    own = None
    if rng.random() < hood:
        tone = float(rng.choice([0.03, 0.1, 0.5], p=[0.5, 0.3, 0.2]))
        own = Hood(
            float(rng.uniform(0.8, 0.97)),
            float(rng.uniform(0, 0.7)),
            float(rng.uniform(0.4, 0.6)),
            (tone, tone, tone),
        )
    return View(camera, eye, camera_axes(yaw, pitch, roll), own)
