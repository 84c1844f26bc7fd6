"""A scene, a camera in it, and the picture it takes: depth +inf is sky, NaN the ego vehicle's own hood."""

from __future__ import annotations

import math

import cv2
import numpy as np

from cloudypoints_training.sample import Sample
from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.edges import blend_corners, rough_corners
from cloudypoints_training.scenes.render import cast, shade
from cloudypoints_training.scenes.scene import Scene, View
from cloudypoints_training.scenes.sensor import expose
from cloudypoints_training.scenes.shadows import cast_shadow_map
from cloudypoints_training.scenes.styles import HELD_OUT_STYLES, STYLES, build_scene, pick_style
from cloudypoints_training.scenes.surfaces import NOISE_MAPS

__all__ = ["HELD_OUT_STYLES", "STYLES", "Sample", "draw", "take_picture"]

_NEAR_SPAN, _FAR_SPAN = 28.0, 130.0
_SHADOW_SIZE = 384
_SOIL_SIZE = 320


def draw(seed: int, width: int, height: int, style: str | None = None) -> Sample:
    """Draws the sample that belongs to these arguments.

    `style` is one of STYLES or HELD_OUT_STYLES; None lets the seed choose among STYLES.
    """
    known = STYLES + HELD_OUT_STYLES
    if style is not None and style not in known:
        raise ValueError(f"style is {style!r}; expected one of {', '.join(known)}")
    rng = np.random.default_rng([seed, 77])
    chosen = pick_style(rng) if style is None else style
    scene, view = build_scene(rng, chosen, width, height)
    smooth = bool(rng.random() < 0.5)
    return take_picture(scene, view, np.random.default_rng([seed, 78]), smooth=smooth)


def take_picture(
    scene: Scene, view: View, rng: np.random.Generator, smooth: bool = True, plain: bool = False
) -> Sample:
    """Renders a scene from a view. `smooth` takes a second ray per pixel for the colour of edges."""
    camera = view.camera
    rows = _sorted_by_distance(scene.rows, view.eye, 1.2 * scene.ground.reach)
    visible = _in_sight(rows, view)
    ground = scene.ground.values()
    shadow = _shadows(rows, scene, view)
    soil = _soil(scene, view)
    arguments = (scene.light.values, *shadow, soil, scene.lamps, NOISE_MAPS)
    lens = np.array([camera.fx, camera.fy, camera.cx, camera.cy])

    def look(depth: np.ndarray, shift: float) -> tuple[np.ndarray, np.ndarray]:
        high, wide = depth.shape
        owner = np.empty(depth.shape, np.int32)
        colour = np.empty((high, wide, 3), np.float32)
        moved = lens + np.array([0.0, 0.0, shift, shift])
        cast(visible, ground, view.eye, view.axes, moved, wide, high, NOISE_MAPS, depth, owner)
        shade(visible, ground, view.eye, view.axes, moved, depth, owner, *arguments, colour)
        return owner, colour

    depth = np.zeros((camera.height, camera.width))
    owner, colour = look(depth, 0.0)
    if smooth:
        # A second grid through the pixels' corners, looked at along edges only: an edge pixel becomes half
        # its centre, half its four corners. Depth stays that of the centre.
        corner_depth = np.empty((camera.height + 1, camera.width + 1))
        rough_corners(owner, colour, corner_depth)
        _, corner = look(corner_depth, 0.5)
        blend_corners(colour, corner, corner_depth)
    truth = depth.astype(np.float32)
    if view.hood is not None:
        mask = view.hood.mask(camera.width, camera.height)
        view.hood.paint(colour, mask)
        truth[mask] = np.nan
    return Sample(expose(colour, rng, plain), truth, camera)


def _sorted_by_distance(rows: np.ndarray, eye: np.ndarray, reach: float) -> np.ndarray:
    """The primitives nearer than `reach`, nearest first, so that most of what is hidden is never tested."""
    offset = rows[:, p.CENTRE : p.CENTRE + 3] - eye
    size = np.linalg.norm(rows[:, p.HALF : p.HALF + 3], axis=1)
    distance = np.linalg.norm(offset, axis=1) - 0.5 * size
    order = np.argsort(distance, kind="stable")
    return np.ascontiguousarray(rows[order[distance[order] < reach]])


def _in_sight(rows: np.ndarray, view: View) -> np.ndarray:
    """The primitives that may reach into the picture."""
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
    return np.ascontiguousarray(rows[keep])


def _shadows(rows: np.ndarray, scene: Scene, view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The frame (5, 3) of two shadow maps, near and far, and the maps."""
    frame = np.zeros((5, 3))
    # About as fine as the picture can show.
    size = int(np.clip(view.camera.width * 3 // 4, 192, 2 * _SHADOW_SIZE))
    near = np.full((size, size), np.inf, np.float32)
    far = np.full((size * 2 // 3, size * 2 // 3), np.inf, np.float32)
    sun = scene.light.sun
    ahead = view.axes[:, 2] * (1, 1, 0)
    ahead = ahead / max(1e-6, float(np.linalg.norm(ahead)))
    frame[0] = view.eye * (1, 1, 0) + ahead * (0.42 * _NEAR_SPAN)
    frame[1] = view.eye * (1, 1, 0) + ahead * (0.42 * _FAR_SPAN)
    across = np.array([-sun[1], sun[0], 0.0])
    frame[2] = across / max(1e-6, math.hypot(sun[0], sun[1]))
    frame[3] = np.cross(sun, frame[2])
    frame[4, :2] = _NEAR_SPAN, _FAR_SPAN
    for k, span in enumerate((_NEAR_SPAN, _FAR_SPAN)):
        texel = span / (near, far)[k].shape[0]
        # Whole texels, so that shadows do not crawl when the eye moves.
        for axis in (2, 3):
            place = float(frame[k] @ frame[axis]) / texel
            frame[k] += (round(place) - place) * texel * frame[axis]
    if scene.light.sunny:
        cast_shadow_map(rows, frame[0], _NEAR_SPAN, sun, frame[2], frame[3], size, NOISE_MAPS, near)
        large = np.ascontiguousarray(rows[rows[:, p.HALF : p.HALF + 3].max(axis=1) > 0.5])
        cast_shadow_map(large, frame[1], _FAR_SPAN, sun, frame[2], frame[3], far.shape[0], NOISE_MAPS, far)
    return frame, near, far


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
