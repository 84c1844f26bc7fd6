"""Scenes: depth against closed forms, masks, determinism, sizes in metres, frames that agree."""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from cloudypoints_ros.camera import Camera
from cloudypoints_training.commands import synth
from cloudypoints_training.scenes import HELD_OUT_STYLES, STYLES, Sample, clip, draw, optical_pose
from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.cars import car
from cloudypoints_training.scenes.clip import CAMERA_HEIGHT
from cloudypoints_training.scenes.elsewhere import ELSEWHERE
from cloudypoints_training.scenes.fleet import MAKERS, with_trailer
from cloudypoints_training.scenes.ground import Ground
from cloudypoints_training.scenes.heavies import coach, truck
from cloudypoints_training.scenes.leisure import camper, trailer
from cloudypoints_training.scenes.lighting import choose_light
from cloudypoints_training.scenes.lofts import plank, stack
from cloudypoints_training.scenes.lorries import bus, lorry
from cloudypoints_training.scenes.machines import machine, tram
from cloudypoints_training.scenes.motorcars import SHAPES, motorcar
from cloudypoints_training.scenes.people import person
from cloudypoints_training.scenes.plans import PLANS
from cloudypoints_training.scenes.primitives import Paint, Parts
from cloudypoints_training.scenes.sample import take_picture
from cloudypoints_training.scenes.scene import Hood, Scene, View, camera_axes, standing, without_specks
from cloudypoints_training.scenes.sides import PIECES, choose_side
from cloudypoints_training.scenes.styles import build_scene
from cloudypoints_training.scenes.town import Town
from cloudypoints_training.scenes.utility import panel_van, pickup
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


def test_on_a_grade_the_road_looks_as_it_does_on_the_level() -> None:
    view = View(CAMERA, np.array([0.0, -1.6, 1.4]), camera_axes(0.2, 0.03, 0.02))
    level, grade = Ground(kerb=0.0, reach=1e5), Ground(kerb=0.0, reach=1e5, rise=0.09, tilt=-0.03)
    light = choose_light(np.random.default_rng(0), "clear")
    none = np.zeros((0, p.COLUMNS))
    flat = take_picture(Scene(none, level, light), view, np.random.default_rng(0)).depth
    steep = take_picture(Scene(none, grade, light), standing(view, grade), np.random.default_rng(0)).depth
    met = np.isfinite(flat) & np.isfinite(steep) & (flat < 1e3)
    assert met.mean() > 0.4
    np.testing.assert_allclose(steep[met], flat[met], rtol=1e-4)
    # Without standing on it, a camera that looks along the level sees the rising road nearer.
    lying = dataclasses.replace(view, eye=np.array([0.0, -1.6, 1.4 + grade.height(0.0, -1.6)]))
    seen = take_picture(Scene(none, grade, light), lying, np.random.default_rng(0)).depth
    assert np.nanmedian(seen[met] / flat[met]) < 0.9


@pytest.mark.parametrize("bend", [-1 / 400, 1 / 900])
def test_crests_and_dips_are_parabolas(bend: float) -> None:
    rise = 0.04
    sample = look(np.zeros((0, p.COLUMNS)), Ground(kerb=0.0, reach=180.0, rise=rise, bend=bend))
    u = 90
    for v in (20, 30, 34, 36, 40, 60, 79):
        down = (v - CAMERA.cy) / CAMERA.fy
        # 1.5 - down x = rise x + bend x^2 / 2, the first x > 0.
        roots = np.roots([bend / 2, rise + down, -1.5])
        real = [r.real for r in roots if abs(r.imag) < 1e-9 and r.real > 0]
        side = math.hypot(1.0, (u - CAMERA.cx) / CAMERA.fx)
        if real and min(real) * side < 179:
            assert sample.depth[v, u] == pytest.approx(min(real), rel=1e-4)
        elif not real or min(real) * side > 181:
            assert np.isinf(sample.depth[v, u])
    assert np.isfinite(sample.depth[60, u]) and np.isinf(sample.depth[5, u])
    # Slightly above the horizon a dip shows its far side, a crest hides everything.
    assert np.isfinite(sample.depth[30, u]) == (bend > 0)


def test_a_yard_lies_below_the_road_behind_an_upright_face() -> None:
    ground = Ground(left=4.0, right=4.0, kerb=0.12, walk_left=2.0, walk_right=2.0, drop_left=3.0, reach=1e4)
    camera = dataclasses.replace(CAMERA, cy=10.0)
    column = look(np.zeros((0, p.COLUMNS)), ground, camera, axes=camera_axes(math.pi / 2, 0.0, 0.0)).depth[:, 80]
    down = (np.arange(80) - 10.0) / 118.0
    walk, yard = 1.38 / np.maximum(down, 1e-9), 4.5 / np.maximum(down, 1e-9)
    beyond = (walk > 6.02) & (down > 0)
    assert beyond.sum() > 10
    np.testing.assert_allclose(column[beyond], yard[beyond], rtol=1e-4)
    pavement = (walk < 5.98) & (walk > 4.02)
    np.testing.assert_allclose(column[pavement], walk[pavement], rtol=1e-4)
    # From above the yard, looking back: first the yard, then the face of the road's wall at 6 m.
    eye = np.array([0.0, 14.0, 2.0])
    column = look(np.zeros((0, p.COLUMNS)), ground, camera, axes=camera_axes(-math.pi / 2, 0.0, 0.0), eye=eye).depth[
        :, 80
    ]
    face = (down * 8.0 > 1.9) & (down * 8.0 < 4.95)
    assert face.sum() > 10
    np.testing.assert_allclose(column[face], 8.0, rtol=1e-4)
    floor = down * 8.0 > 5.05
    np.testing.assert_allclose(column[floor], 5.0 / down[floor], rtol=1e-4)


def test_upright_is_a_rotation_onto_the_normal_of_the_road() -> None:
    ground, x, y, step = Ground(rise=0.08, bend=-1 / 300, tilt=0.05), 30.0, -4.0, 1e-3
    turn = ground.upright(x)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1.0)
    along = np.array([step, 0.0, ground.height(x + step, y) - ground.height(x, y)])
    across = np.array([0.0, step, ground.height(x, y + step) - ground.height(x, y)])
    normal = np.cross(along, across) / np.linalg.norm(np.cross(along, across))
    np.testing.assert_allclose(turn[:, 2], normal, atol=1e-4)
    assert turn[1, 0] == 0.0  # a vehicle's nose does not turn aside


def test_a_car_stands_on_a_slope_with_all_its_wheels() -> None:
    ground = Ground(rise=0.08, bend=-1 / 2000, tilt=0.02)
    town = Town(ground, choose_light(np.random.default_rng(0), "clear"), 0.0, math.pi)
    town.park(motorcar(np.random.default_rng(1), "hatch"), 20.0, 3.0, 0.4)
    rows = town.parts.rows()
    wheels = rows[(rows[:, p.KIND] == p.WHEEL)]
    assert len(wheels) == 4
    normal = ground.upright(20.0)[:, 2]
    for wheel in wheels:
        x, y, z = wheel[p.CENTRE : p.CENTRE + 3]
        above = (z - ground.height(x, y)) * normal[2]
        assert above == pytest.approx(wheel[p.HALF], abs=0.01)


def test_lofts_pass_through_their_sections() -> None:
    parts = Parts()
    plank(parts, [(6.0, 1.0, 2.0, 0.5), (8.0, 0.5, 2.5, 1.5)], Paint())
    stack(parts, [(0.0, 20.0, 24.0, 9.0), (3.0, 21.5, 24.0, 9.0)], Paint())
    sample = look(parts.rows())
    v, u = round(CAMERA.cy), round(CAMERA.cx)
    assert sample.depth[v, u] == pytest.approx(6.0, rel=1e-4)  # the small end
    # The nose widens by 0.5 m per metre from a half width of 0.5 m at 6 m: x - 6 = 2 (a x - 0.5).
    a = (u + 12 - CAMERA.cx) / CAMERA.fx
    assert a * 6 > 0.5
    assert sample.depth[v, u + 12] == pytest.approx((6 - 1.0) / (1 - 2 * a), rel=1e-4)
    a = -(u - 12 - CAMERA.cx) / CAMERA.fx
    assert sample.depth[v, u - 12] == pytest.approx((6 - 1.0) / (1 - 2 * a), rel=1e-4)
    # Beyond it a wall that leans back from 20 m at the ground by 0.5 m per metre.
    drop = (v - CAMERA.cy) / CAMERA.fy
    assert sample.depth[v, 40] == pytest.approx((20 + 0.5 * 1.5) / (1 + 0.5 * drop), rel=1e-4)


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
        (motorcar, (2.6, 5.4), (1.45, 2.5), (1.28, 2.5)),
        (panel_van, (4.2, 7.2), (1.8, 2.7), (1.78, 3.1)),
        (pickup, (4.9, 6.8), (1.8, 2.7), (1.7, 2.9)),
        (camper, (5.8, 8.2), (2.1, 2.9), (2.65, 3.2)),
        (truck, (5.5, 18.0), (2.1, 3.2), (2.2, 5.2)),
        (coach, (5.9, 18.0), (2.1, 3.1), (2.55, 4.2)),
        (tram, (11.0, 36.5), (2.4, 2.8), (3.2, 4.2)),
        (machine, (3.4, 9.5), (1.9, 3.0), (2.0, 5.5)),
    ],
)
def test_vehicles_have_real_sizes(make: object, length: tuple, width: tuple, height: tuple) -> None:
    for seed in range(40):
        vehicle: Vehicle = make(np.random.default_rng(seed))  # type: ignore[operator]
        size = extent(vehicle.rows)
        for value, (low, high) in zip(size, (length, width, height), strict=True):
            assert low <= value <= high
        assert size[2] == pytest.approx(vehicle.height, abs=0.55)
        assert (vehicle.rows[:, p.HALF : p.HALF + 3] > 0).all()
        solid = vehicle.rows[vehicle.rows[:, p.SHAPE] == p.BOX]
        upright = np.abs(solid[:, p.ROTATION + 6 : p.ROTATION + 9])
        bottom = solid[:, p.CENTRE + 2] - (upright * solid[:, p.HALF : p.HALF + 3]).sum(axis=1)
        assert bottom.min() > -0.3


def test_cars_differ_in_shape_and_stand_as_high_as_they_say() -> None:
    heights = {}
    for kind in SHAPES:
        vehicle = motorcar(np.random.default_rng(0), kind)
        parts = Parts()
        parts.place(vehicle.rows, 60.0, 0.0, math.pi / 2)
        camera = Camera(width=320, height=160, fx=1500.0, fy=1500.0, cx=159.5, cy=79.5)
        seen = np.isfinite(look(parts.rows(), NO_GROUND, camera, eye=np.array([0.0, 0.0, 0.9])).depth)
        # From the ground to the roof in the middle column of pixels; boxes and boats come on top.
        columns = np.flatnonzero(seen.any(axis=0))
        rows = np.flatnonzero(seen[:, (columns[0] + columns[-1]) // 2])
        heights[kind] = (79.5 - rows[0]) * 60.0 / 1500.0 + 0.9
        assert vehicle.height - 0.1 < heights[kind] < vehicle.height + 0.65
        wide = (columns[-1] - columns[0]) * 60.0 / 1500.0
        assert wide == pytest.approx(vehicle.length, rel=0.08)
    assert max(heights.values()) - min(heights.values()) > 0.3


def test_a_trailer_follows_its_vehicle_without_touching_it() -> None:
    front, towed = motorcar(np.random.default_rng(3), "saloon"), trailer(np.random.default_rng(4))
    pair = with_trailer(front, towed)
    assert pair.length == pytest.approx(front.length + towed.length)
    assert extent(pair.rows)[0] == pytest.approx(pair.length, abs=1.0)
    # The body of what is towed ends a drawbar's length behind the vehicle's rear.
    rear = 0.5 * pair.length - front.length
    body = pair.rows[len(front.rows) :]
    body = body[(body[:, p.SHAPE] == p.BOX) & (body[:, p.HALF + 1] > 0.3)]
    assert len(body) > 2
    assert body[:, p.CENTRE].max() < rear - 1.0


def test_every_piece_of_a_side_is_finite_and_stands_at_the_road() -> None:
    for name, make in (PIECES | ELSEWHERE).items():
        for seed in range(6):
            rows = make(np.random.default_rng(seed), 12.0, choose_side(np.random.default_rng(seed), 3.0))
            assert len(rows) > 0 and np.isfinite(rows).all(), name
            assert (rows[:, p.HALF : p.HALF + 3] > 0).all(), name
            lowest = (rows[:, p.CENTRE + 2] - np.linalg.norm(rows[:, p.HALF : p.HALF + 3], axis=1)).max()
            assert lowest < 30, name


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
    assert len(STYLES) >= 8 and len(HELD_OUT_STYLES) >= 4
    trained = {side for style in STYLES if style in PLANS for side in PLANS[style].sides}
    held = {side for style in HELD_OUT_STYLES if style in PLANS for side in PLANS[style].sides}
    assert not trained & set(ELSEWHERE)
    assert not held & {"fronts", "terraces", "mixed", "land", "slope", "grove", "shrubs", "retaining", "blocks"}
    makers = [{maker for row in MAKERS[fleet] for maker, _ in row} for fleet in ("modern", "former")]
    assert len(makers[0] & makers[1]) == 1  # two-wheelers
    assert {PLANS[style].fleet for style in HELD_OUT_STYLES if style in PLANS} == {"former"}
    with pytest.raises(ValueError, match="style is 'moon'; expected one of city, "):
        draw(0, 32, 16, "moon")


def test_what_is_too_small_to_see_is_left_out_and_nothing_else() -> None:
    scene, view = build_scene(np.random.default_rng([3, 77]), "city", 160, 80)
    tiny = one(p.BOX, (30.0, 0.0, 1.0), (0.01, 0.01, 0.01))
    post = one(p.CYLINDER, (30.0, 0.0, 1.0), (0.2, 0.2, 1.0))
    crowded = dataclasses.replace(scene, rows=np.concatenate([scene.rows, tiny, post]))
    kept = without_specks(crowded, view)
    assert len(kept.rows) == len(scene.rows) + 1
    before = take_picture(scene, view, np.random.default_rng(0), smooth=False).depth
    after = take_picture(without_specks(scene, view), view, np.random.default_rng(0), smooth=False).depth
    np.testing.assert_array_equal(before, after)


def test_near_vehicles_fill_the_view_often_enough() -> None:
    shares = {}
    for style in ("close", "rural"):
        depths = [draw(seed, 96, 48, style).depth[:24] for seed in range(30)]
        shares[style] = np.mean([np.nanmean(depth < 9) > 0.4 for depth in depths])
    assert shares["close"] > 0.4
    assert shares["close"] > 2 * shares["rural"]


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


def test_the_clip_that_is_shipped_can_be_drawn_again() -> None:
    shipped = Path(synth.__file__).parents[2] / "cloudypoints_ros" / "clip" / "depth" / "000.png"
    expected = cv2.imread(str(shipped), cv2.IMREAD_UNCHANGED)
    frame = next(iter(clip(1, n_frames=68)))
    drawn = np.round(np.where(frame.depth < 255, frame.depth, 0) * 256)
    assert (np.abs(drawn - expected) <= 1).mean() > 0.999


def test_a_pose_takes_what_one_camera_sees_to_the_first_camera() -> None:
    first = View(CAMERA, np.array([1.0, -2.0, 1.5]), camera_axes(0.4, 0.1, -0.05))
    second = View(CAMERA, np.array([4.0, 1.0, 1.7]), camera_axes(-0.3, 0.02, 0.1))
    point = np.array([12.0, 3.0, 0.4])
    pose = optical_pose(second, first)
    seen = second.axes.T @ (point - second.eye)
    np.testing.assert_allclose(pose[:, :3] @ seen + pose[:, 3], first.axes.T @ (point - first.eye), atol=1e-12)


def test_a_written_clip_comes_with_the_poses_of_its_frames(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    synth.add(parser.add_subparsers())
    arguments = parser.parse_args(
        ["synth", str(tmp_path), "--clip", "--count", "4", "--seed", "3", "--size", "256", "128"]
    )
    arguments.run(arguments)
    poses = np.loadtxt(tmp_path / "poses.txt").reshape(-1, 3, 4)
    assert len(poses) == len(list((tmp_path / "image").iterdir())) == 4
    np.testing.assert_allclose(poses[0], np.eye(3, 4), atol=1e-9)
    np.testing.assert_allclose(
        poses[:, :, :3] @ poses[:, :, :3].transpose(0, 2, 1), np.tile(np.eye(3), (4, 1, 1)), atol=1e-8
    )
    frames = list(clip(3, 4, synth.CLIP_RATE_HZ, 256, 128))
    camera = frames[0].camera
    # What stands still at the side of the last frame lies in the first where the pose puts it.
    points = frames[3].depth[..., None] * rays(camera)
    still = (np.abs(points[..., 0]) > 6.5) & np.isfinite(frames[3].depth) & (frames[3].depth < 40)
    moved = points[still] @ poses[3, :, :3].T + poses[3, :, 3]
    u = np.round(camera.fx * moved[:, 0] / moved[:, 2] + camera.cx).astype(int)
    v = np.round(camera.fy * moved[:, 1] / moved[:, 2] + camera.cy).astype(int)
    inside = (u >= 0) & (u < 256) & (v >= 0) & (v < 128)
    assert inside.sum() > 100
    error = np.abs(frames[0].depth[v[inside], u[inside]] / moved[inside, 2] - 1)
    assert np.median(error) < 0.01
    assert poses[3, 2, 3] == pytest.approx(3 * 9.7 / synth.CLIP_RATE_HZ, rel=0.02)
