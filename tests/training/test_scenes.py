"""Scenes: depth against closed forms, masks, determinism, sizes in metres, frames that agree."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from cloudypoints_ros.camera import Camera
from cloudypoints_training.scenes import HELD_OUT_STYLES, STYLES, Sample, clip, draw
from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.cars import car
from cloudypoints_training.scenes.clip import CAMERA_HEIGHT
from cloudypoints_training.scenes.ground import Ground
from cloudypoints_training.scenes.lighting import choose_light
from cloudypoints_training.scenes.lorries import bus, lorry
from cloudypoints_training.scenes.people import person
from cloudypoints_training.scenes.primitives import Paint, Parts
from cloudypoints_training.scenes.sample import take_picture
from cloudypoints_training.scenes.scene import Hood, Scene, View, camera_axes
from cloudypoints_training.scenes.vans import van
from cloudypoints_training.scenes.vehicles import Vehicle

NO_GROUND = Ground(exists=0.0)
CAMERA = Camera(width=160, height=80, fx=120.0, fy=118.0, cx=77.3, cy=36.4)


def look(rows: np.ndarray, ground: Ground = NO_GROUND, camera: Camera = CAMERA, **view: object) -> Sample:
    """A picture from 1.5 m above the origin along x, unless told otherwise."""
    light = choose_light(np.random.default_rng(0), "clear")
    pose = {"eye": np.array([0.0, 0.0, 1.5]), "axes": camera_axes(0.0, 0.0, 0.0), **view}
    return take_picture(Scene(rows, ground, light), View(camera, **pose), np.random.default_rng(0))  # type: ignore[arg-type]


def rays(camera: Camera) -> np.ndarray:
    """(H, W, 3) optical rays with z = 1."""
    v, u = np.mgrid[: camera.height, : camera.width]
    return np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(u.shape)], axis=-1)


def one(shape: int, centre: tuple[float, float, float], half: tuple[float, float, float], **more: object) -> np.ndarray:
    parts = Parts()
    parts.add(shape, centre, half, Paint(), **more)  # type: ignore[arg-type]
    return parts.rows()


def test_flat_ground_has_the_depth_of_a_plane() -> None:
    pitch = math.radians(4)
    ground = Ground(kerb=0.0, reach=1e5)
    sample = look(np.zeros((0, p.COLUMNS)), ground, axes=camera_axes(0.3, pitch, 0.0))
    ray = rays(CAMERA)
    # The plane is 1.5 m below; "below" in the optical frame of a camera that is tilted down.
    drop = ray[..., 1] * math.cos(pitch) + math.sin(pitch)
    expected = np.where(drop > 1e-3, 1.5 / np.maximum(drop, 1e-9), np.inf)
    met = np.isfinite(expected)
    np.testing.assert_allclose(sample.depth[met], expected[met], rtol=1e-4)
    assert np.isinf(sample.depth[drop < 0]).all()


def test_wall_across_the_view_has_one_depth_up_to_the_corners() -> None:
    # A ray's length would grow by 20 % towards the corners; depth along Z must not.
    sample = look(one(p.BOX, (10.0, 0.0, 0.0), (0.5, 50.0, 50.0)))
    np.testing.assert_allclose(sample.depth, 9.5, rtol=1e-5)


def test_sphere_matches_its_closed_form() -> None:
    centre, radius = np.array([-0.8, 0.5, 9.0]), 1.7  # optical frame: right, down, forward
    sample = look(one(p.ELLIPSOID, (9.0, 0.8, 1.0), (radius, radius, radius)))
    ray = rays(CAMERA)
    a, b, c = (ray**2).sum(-1), ray @ centre, centre @ centre - radius**2
    inside = b**2 - a * c
    hit = inside > 1e-3
    expected = (b - np.sqrt(np.maximum(inside, 0))) / a
    np.testing.assert_allclose(sample.depth[hit], expected[hit], rtol=1e-4)
    assert np.isinf(sample.depth[inside < -1e-3]).all()


def test_turned_box_meets_a_ray_at_its_near_edge() -> None:
    half = 1.0
    sample = look(one(p.BOX, (8.0, 0.0, 1.5), (half, half, 3.0), rotation=p.about_z(math.pi / 4)))
    u = round(CAMERA.cx)
    slope = abs((u - CAMERA.cx) / CAMERA.fx)
    # Near the edge the face recedes one metre per metre sideways.
    expected = (8.0 - half * math.sqrt(2)) / (1 - slope)
    assert sample.depth[36, u] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("shape", [p.CYLINDER, p.CONE])
def test_upright_round_solids_have_their_silhouette(shape: int) -> None:
    radius, half, away = 1.2, 1.5, 9.0
    sample = look(one(shape, (away, 0.0, 1.5), (radius, radius, half)))
    u, v = round(CAMERA.cx), round(CAMERA.cy)
    at_eye = radius if shape == p.CYLINDER else radius / 2
    assert sample.depth[v, u] == pytest.approx(away - at_eye, rel=2e-2)
    reach = np.flatnonzero(np.isfinite(sample.depth[v]))
    half_width = CAMERA.fx * at_eye / math.sqrt(away**2 - at_eye**2)
    assert len(reach) == pytest.approx(2 * half_width, abs=1.5)


def test_tapered_box_leans_by_its_slope() -> None:
    sample = look(one(p.BOX, (10.0, 0.0, 1.5), (2.0, 30.0, 1.5), slopes=(0.0, 0.5, 0.0, 0.0)))
    # The rear face starts at x = 8 on the ground and leans away by 0.5 m per metre of height.
    v, _ = np.mgrid[30:45, 20:140]
    drop = (v - CAMERA.cy) / CAMERA.fy
    expected = (8.0 + 0.5 * 1.5) / (1 + 0.5 * drop)
    np.testing.assert_allclose(sample.depth[30:45, 20:140], expected, rtol=1e-4)


def test_kerb_is_a_step_up() -> None:
    ground = Ground(left=4.0, right=4.0, kerb=0.12)
    camera = dataclasses.replace(CAMERA, cy=10.0)
    sample = look(np.zeros((0, p.COLUMNS)), ground, camera, axes=camera_axes(math.pi / 2, 0.0, 0.0))
    column = sample.depth[:, 80]
    v = np.arange(80)
    road, walk = 1.5 * 118.0 / np.maximum(v - 10.0, 1e-9), 1.38 * 118.0 / np.maximum(v - 10.0, 1e-9)
    far, near = walk > 4.05, road < 3.95
    np.testing.assert_allclose(column[far & (v > 12)], walk[far & (v > 12)], rtol=1e-4)
    np.testing.assert_allclose(column[near], road[near], rtol=1e-4)
    np.testing.assert_allclose(column[~far & ~near & (v > 12)], 4.0, rtol=2e-2)


def test_hood_is_nan_and_nothing_else_is() -> None:
    hood = Hood(top=0.8, bend=0.4, middle=0.5, tone=(0.1, 0.1, 0.1))
    sample = look(np.zeros((0, p.COLUMNS)), Ground(), hood=hood)
    mask = hood.mask(CAMERA.width, CAMERA.height)
    assert 0.05 < mask.mean() < 0.25
    np.testing.assert_array_equal(np.isnan(sample.depth), mask)
    assert np.isposinf(sample.depth[0]).all()


@pytest.mark.parametrize("seed", range(4))
def test_car_is_as_tall_in_pixels_as_its_height_in_metres_demands(seed: int) -> None:
    vehicle = car(np.random.default_rng(seed), "sedan")
    parts = Parts()
    away = 60.0
    parts.place(vehicle.rows, away, 0.0, math.pi / 2)
    camera = Camera(width=640, height=320, fx=3000.0, fy=3000.0, cx=319.5, cy=159.5)
    # Eye at half height and far away, so that the silhouette is the side view.
    sample = look(parts.rows(), NO_GROUND, camera, eye=np.array([0.0, 0.0, vehicle.height / 2]))
    seen = np.isfinite(sample.depth)
    high = np.flatnonzero(seen.any(axis=1))
    nearest = float(sample.depth[seen].min())
    expected = camera.fy * vehicle.height / away
    assert len(high) == pytest.approx(expected, rel=0.03)
    assert nearest == pytest.approx(away - vehicle.width / 2, abs=0.25)
    assert 1.38 < vehicle.height < 1.55


def extent(rows: np.ndarray) -> np.ndarray:
    """Size along x, y, z of axis-aligned bounds of the primitives' own bounds, (3,)."""
    turn = np.abs(rows[:, p.ROTATION : p.ROTATION + 9].reshape(-1, 3, 3))
    reach = np.einsum("nij,nj->ni", turn, rows[:, p.HALF : p.HALF + 3])
    centre = rows[:, p.CENTRE : p.CENTRE + 3]
    return (centre + reach).max(0) - (centre - reach).min(0)


@pytest.mark.parametrize(
    ("make", "length", "width", "height"),
    [
        (car, (3.4, 5.7), (1.6, 2.35), (1.38, 2.05)),
        (van, (4.3, 6.6), (1.8, 2.6), (1.85, 2.75)),
        (lorry, (5.3, 17.2), (2.0, 3.2), (2.2, 4.3)),
        (bus, (8.9, 13.6), (2.4, 3.2), (2.9, 4.6)),
    ],
)
def test_vehicles_have_real_sizes(make: object, length: tuple, width: tuple, height: tuple) -> None:
    for seed in range(40):
        vehicle: Vehicle = make(np.random.default_rng(seed))  # type: ignore[operator]
        size = extent(vehicle.rows)
        for value, (low, high) in zip(size, (length, width, height), strict=True):
            assert low <= value <= high
        assert size[2] == pytest.approx(vehicle.height, abs=0.5)
        bottom = (vehicle.rows[:, p.CENTRE + 2] - vehicle.rows[:, p.HALF + 2])[vehicle.rows[:, p.SHAPE] == p.BOX]
        assert bottom.min() > -0.3


def test_people_are_as_tall_as_people() -> None:
    tall = [extent(person(np.random.default_rng(seed)))[2] for seed in range(60)]
    assert min(tall) > 1.4 and max(tall) < 2.1
    assert 1.6 < np.median(tall) < 1.85


def test_draw_depends_on_nothing_but_its_arguments() -> None:
    first = draw(11, 160, 80)
    draw(12, 96, 48)
    again = draw(11, 160, 80)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.depth, again.depth)
    assert first.camera == again.camera
    assert not np.array_equal(first.image, draw(12, 160, 80).image)


@pytest.mark.parametrize("style", STYLES + HELD_OUT_STYLES)
def test_every_style_gives_a_plausible_picture(style: str) -> None:
    for seed in range(4):
        sample = draw(seed, 160, 80, style)
        assert sample.image.shape == (80, 160, 3) and sample.image.dtype == np.uint8
        assert sample.depth.shape == (80, 160) and sample.depth.dtype == np.float32
        assert (sample.camera.width, sample.camera.height) == (160, 80)
        assert 0.49 < sample.camera.fx / 160 < 2.01
        known = np.isfinite(sample.depth)
        assert known.mean() > 0.15
        assert sample.depth[known].min() > 0.05
        assert sample.image.std() > 3


def test_training_and_held_out_styles_are_apart() -> None:
    assert not set(STYLES) & set(HELD_OUT_STYLES)
    assert len(STYLES) >= 8 and len(HELD_OUT_STYLES) >= 2
    with pytest.raises(ValueError, match="style is 'moon'; expected one of city, "):
        draw(0, 32, 16, "moon")


def test_samples_cover_near_and_far() -> None:
    medians = [np.nanmedian(draw(seed, 96, 48).depth) for seed in range(60)]
    finite = np.array([m for m in medians if np.isfinite(m)])
    assert finite.min() < 5 and finite.max() > 15
    assert np.mean([np.isinf(m) for m in medians]) < 0.4


def test_edges_are_smoothed_in_colour_and_exact_in_depth() -> None:
    rows = one(p.BOX, (10.0, 0.0, 1.5), (1.0, 2.0, 1.0))
    light = choose_light(np.random.default_rng(0), "overcast")
    view = View(CAMERA, np.array([0.0, 0.0, 1.5]), camera_axes(0, 0, 0.2))
    scene = Scene(rows, NO_GROUND, light)
    hard = take_picture(scene, view, np.random.default_rng(0), smooth=False, plain=True)
    soft = take_picture(scene, view, np.random.default_rng(0), smooth=True, plain=True)
    np.testing.assert_array_equal(hard.depth, soft.depth)
    assert set(np.unique(np.isfinite(soft.depth))) == {True, False}
    assert (hard.image != soft.image).any(axis=2).mean() > 0.005


def test_frames_of_a_clip_agree_about_a_point_that_stands_still() -> None:
    frames = list(clip(3, n_frames=3, rate_hz=17.0, width=256, height=128))
    assert len(frames) == 3
    step = 9.7 / 17.0
    first, last = frames[0], frames[2]
    camera = first.camera
    # Facades and kerbs stand still: what lies at the side in the first frame is two steps nearer in the last.
    ray = rays(camera)
    points = first.depth[..., None] * ray
    still = (np.abs(points[..., 0]) > 6.5) & np.isfinite(first.depth) & (first.depth < 40)
    points = points[still] - np.array([0.0, 0.0, 2 * step])
    u = np.round(camera.fx * points[:, 0] / points[:, 2] + camera.cx).astype(int)
    v = np.round(camera.fy * points[:, 1] / points[:, 2] + camera.cy).astype(int)
    inside = (points[:, 2] > 1) & (u >= 0) & (u < 256) & (v >= 0) & (v < 128)
    assert inside.sum() > 100
    error = np.abs(last.depth[v[inside], u[inside]] / points[inside, 2] - 1)
    assert np.median(error) < 0.02


def test_road_of_a_clip_lies_as_deep_as_its_camera_is_high() -> None:
    frame = next(iter(clip(3, n_frames=1, width=256, height=128)))
    camera = frame.camera
    v, u = 126, 128
    pitch = math.radians(0.6)
    drop = (v - camera.cy) / camera.fy * math.cos(pitch) + math.sin(pitch)
    assert frame.depth[v, u] == pytest.approx(CAMERA_HEIGHT / drop, rel=1e-2)
