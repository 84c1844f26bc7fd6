"""A picture before any ray is cast: all that the CPU's and the GPU's renderer need to know."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from cloudypoints_ros.camera import Camera
from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.outline import outlines
from cloudypoints_training.scenes.scene import Hood, Scene, View
from cloudypoints_training.scenes.sensor import Exposure, choose_exposure
from cloudypoints_training.scenes.shadows import shadow_outlines

_SPANS = (28.0, 130.0)  # metres of the near and the far shadow map
_SHADOW_SIZE = 384
_SOIL_SIZE = 320

Seen = tuple[np.ndarray, np.ndarray]
"""Which rows, (M,) int32, and their outlines, (M, outline.COLUMNS or shadows.SHADOW_COLUMNS)."""


@dataclass(frozen=True)
class Shadows:
    """Shadow maps to be cast, near and far: `frame` (5, 3) as in shading.shade, sizes in texels, what the sun sees."""

    frame: np.ndarray
    sizes: tuple[int, int]
    seen: tuple[Seen, Seen]


@dataclass(frozen=True)
class Shot:
    """`rows` (N, primitives.COLUMNS), nearest first; the other arrays as shading.shade describes them.

    `centres` and `corners`: what is seen through the pixels' centres and, where edges are smoothed, their corners.
    """

    camera: Camera
    eye: np.ndarray
    axes: np.ndarray
    rows: np.ndarray
    ground: np.ndarray
    light: np.ndarray
    lamps: np.ndarray
    soil: np.ndarray
    shadows: Shadows
    centres: Seen
    corners: Seen | None
    hood: Hood | None
    exposure: Exposure
    name: str = ""
    source: str = ""

    @property
    def lens(self) -> np.ndarray:
        """fx, fy, cx, cy of the grid of pixel centres, (4,)."""
        return _lens(self.camera, 0.0)

    @property
    def corner_lens(self) -> np.ndarray:
        """The same of the grid of pixel corners, one wider and one higher."""
        return _lens(self.camera, 0.5)


def compose(
    scene: Scene,
    view: View,
    rng: np.random.Generator,
    smooth: bool = True,
    plain: bool = False,
    shadow_size: int | None = None,
) -> Shot:
    """A shot of a scene. `smooth` takes a second ray at edges, `plain` a camera without faults.

    `shadow_size` is that of the near shadow map in texels; by default about as fine as the picture can show.
    """
    camera = view.camera
    rows = _sorted_by_distance(scene.rows, view.eye, 1.2 * scene.ground.reach)
    visible = _in_sight(rows, view)
    size = shadow_size or int(np.clip(camera.width * 3 // 4, 192, 2 * _SHADOW_SIZE))

    def through(wide: int, high: int, shift: float) -> Seen:
        return outlines(rows, visible, view.eye, view.axes, _lens(camera, shift), wide, high)

    return Shot(
        camera=camera,
        eye=view.eye,
        axes=view.axes,
        rows=rows,
        ground=scene.ground.values(),
        light=scene.light.values,
        lamps=scene.lamps,
        soil=_soil(scene, view),
        shadows=_shadows(rows, scene, view, size),
        centres=through(camera.width, camera.height, 0.0),
        corners=through(camera.width + 1, camera.height + 1, 0.5) if smooth else None,
        hood=view.hood,
        exposure=choose_exposure(rng, camera.width, camera.height, plain),
    )


def _lens(camera: Camera, shift: float) -> np.ndarray:
    return np.array([camera.fx, camera.fy, camera.cx + shift, camera.cy + shift])


def _sorted_by_distance(rows: np.ndarray, eye: np.ndarray, reach: float) -> np.ndarray:
    """The primitives nearer than `reach`, nearest first, so that most of what is hidden is never tested."""
    offset = rows[:, p.CENTRE : p.CENTRE + 3] - eye
    size = np.linalg.norm(rows[:, p.HALF : p.HALF + 3], axis=1)
    distance = np.linalg.norm(offset, axis=1) - 0.5 * size
    order = np.argsort(distance, kind="stable")
    return np.ascontiguousarray(rows[order[distance[order] < reach]])


def _in_sight(rows: np.ndarray, view: View) -> np.ndarray:
    """The primitives that may reach into the picture, (M,) int32."""
    camera = view.camera
    seen = (rows[:, p.CENTRE : p.CENTRE + 3] - view.eye) @ view.axes
    slope = np.abs(rows[:, p.SLOPE : p.SLOPE + 4]).max(axis=1) * 2 * rows[:, p.HALF + 2]
    radius = np.linalg.norm(rows[:, p.HALF : p.HALF + 3], axis=1) + slope
    keep = seen[:, 2] > -radius
    for low, high, axis, focal in (
        (-camera.cx, camera.width - camera.cx, 0, camera.fx),
        (-camera.cy, camera.height - camera.cy, 1, camera.fy),
    ):
        # The distance of the centre from each side plane of the view.
        keep &= (low / focal * seen[:, 2] - seen[:, axis]) / math.hypot(1, low / focal) < radius
        keep &= (seen[:, axis] - high / focal * seen[:, 2]) / math.hypot(1, high / focal) < radius
    return np.flatnonzero(keep).astype(np.int32)


def _shadows(rows: np.ndarray, scene: Scene, view: View, size: int) -> Shadows:
    """The shadow maps of a view, the near one of `size` texels; without a sun nothing is seen in them."""
    frame = np.zeros((5, 3))
    sizes = (size, size * 2 // 3)
    sun = scene.light.sun
    ahead = view.axes[:, 2] * (1, 1, 0)
    ahead = ahead / max(1e-6, float(np.linalg.norm(ahead)))
    across = np.array([-sun[1], sun[0], 0.0])
    frame[2] = across / max(1e-6, math.hypot(sun[0], sun[1]))
    frame[3] = np.cross(sun, frame[2])
    frame[4, :2] = _SPANS
    for k, span in enumerate(_SPANS):
        frame[k] = view.eye * (1, 1, 0) + ahead * (0.42 * span)
        texel = span / sizes[k]
        # Whole texels, so that shadows do not crawl when the eye moves.
        for axis in (2, 3):
            place = float(frame[k] @ frame[axis]) / texel
            frame[k] += (round(place) - place) * texel * frame[axis]
    everything = np.arange(len(rows) if scene.light.sunny else 0, dtype=np.int32)
    large = everything[rows[everything, p.HALF : p.HALF + 3].max(axis=1, initial=0.0) > 0.5]

    def from_sun(k: int, casters: np.ndarray) -> Seen:
        return shadow_outlines(rows, casters, frame[k], _SPANS[k], sun, frame[2], frame[3], sizes[k])

    return Shadows(frame, sizes, (from_sun(0, everything), from_sun(1, large)))


def _soil(scene: Scene, view: View) -> np.ndarray:
    """How much sky the ground sees near footprints, (N, N) float32 in cells of 0.25 m around the eye."""
    open_sky = np.ones((_SOIL_SIZE, _SOIL_SIZE), np.float32)
    for x, y, yaw, length, width in scene.footprints:
        dx, dy = (x - view.eye[0]) * 4 + _SOIL_SIZE / 2, (y - view.eye[1]) * 4 + _SOIL_SIZE / 2
        if not (-30 < dx < _SOIL_SIZE + 30 and -30 < dy < _SOIL_SIZE + 30):
            continue
        box = cv2.boxPoints(((float(dx), float(dy)), (length * 4, width * 4), math.degrees(yaw)))
        cv2.fillConvexPoly(open_sky, np.round(box).astype(np.int32), 0.08)
    return cv2.GaussianBlur(open_sky, (0, 0), 1.3) if len(scene.footprints) else open_sky
