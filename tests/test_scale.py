"""Metres from the road: the fit in drawn scenes of known geometry, and the correction over time."""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from cloudypoints_ros.camera import Camera, load_camera
from cloudypoints_ros.mount import Mount
from cloudypoints_ros.scale import Road, RoadScale, fit_road, no_road
from cloudypoints_ros.sources import CLIP

CAMERA = Camera(640, 320, 560.0, 560.0, 319.5, 150.0)
HEIGHT = 1.5
LEVEL = Mount(HEIGHT)

# Boxes by their x (right), height above the road and z (ahead), each from and to, in metres.
Box = tuple[float, float, float, float, float, float]
PAVEMENTS: tuple[Box, ...] = ((4.5, 8.0, 0.0, 0.12, 0.0, 200.0), (-8.0, -4.5, 0.0, 0.12, 0.0, 200.0))
FACADES: tuple[Box, ...] = ((8.0, 20.0, 0.0, 12.0, 0.0, 80.0), (-20.0, -8.0, 0.0, 9.0, 0.0, 80.0))
PARKED: tuple[Box, ...] = tuple((2.6, 4.4, 0.2, 1.5, z, z + 4.2) for z in range(4, 40, 6))
AHEAD: Box = (-2.4, -0.6, 0.25, 1.6, 9.0, 13.0)
ONCOMING: Box = (-4.2, -2.6, 0.2, 1.5, 14.0, 18.0)
STREET = (*PAVEMENTS, *FACADES, *PARKED, AHEAD, ONCOMING)
CLOSE_FACADE: Box = (0.8, 5.0, 0.0, 10.0, 0.0, 100.0)
BONNET: Box = (-0.9, 0.9, 0.0, 0.95, 0.0, 2.2)
TRUCK: Box = (-1.3, 1.3, 0.4, 3.5, 7.0, 15.0)
WALL: Box = (-50.0, 50.0, 0.0, 50.0, 6.0, 7.0)


@lru_cache
def drawn(
    boxes: tuple[Box, ...] = STREET,
    mount: Mount = LEVEL,
    camera: Camera = CAMERA,
    road: bool = True,
) -> np.ndarray:
    """Depth along Z, float32 (H, W) metres, +inf sky, of boxes on a level road."""
    down = mount.down
    ahead = np.array([0, 0, 1.0]) - down[2] * down
    ahead /= np.linalg.norm(ahead)
    axes = np.stack([np.cross(down, ahead), down, ahead])
    x, y = camera.rays()
    rays = np.stack([x, y, np.ones_like(x)]).astype(float)
    rays = np.tensordot(axes, rays, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(rays[1] > 1e-9, mount.height_m / rays[1], np.inf) if road else np.full(x.shape, np.inf)
        for x0, x1, low, high, z0, z1 in boxes:
            enter, leave = np.zeros(x.shape), np.full(x.shape, np.inf)
            for ray, sides in zip(
                rays, ((x0, x1), (mount.height_m - high, mount.height_m - low), (z0, z1)), strict=True
            ):
                one, other = sides[0] / ray, sides[1] / ray
                enter = np.maximum(enter, np.minimum(one, other))
                leave = np.minimum(leave, np.maximum(one, other))
            depth = np.where((enter < leave) & (enter > 0) & (enter < depth), enter, depth)
    depth = depth.astype(np.float32)
    depth.flags.writeable = False  # cached
    return depth


def noisy(depth: np.ndarray, seed: int = 0, noise: float = 0.05, outliers: float = 0.1) -> np.ndarray:
    """Noise in proportion to depth, and some pixels anywhere from a third to three times their depth."""
    rng = np.random.default_rng(seed)
    depth = depth * rng.normal(1, noise, depth.shape)
    wild = rng.random(depth.shape) < outliers
    depth[wild] *= np.exp(rng.uniform(-1.1, 1.1, wild.sum()))
    return depth.astype(np.float32)


def test_the_drawing_is_what_geometry_says() -> None:
    depth = drawn((WALL,), Mount(HEIGHT, pitch_deg=3))
    x, y = CAMERA.rays()
    p = np.stack([x * depth, y * depth, depth])
    above = HEIGHT - np.tensordot(Mount(pitch_deg=3).down, p, 1)
    road = above < 0.001
    assert 0.1 < road.mean() < 0.5 and above.min() > -1e-4
    ahead = p[2] * np.cos(np.radians(3)) - p[1] * np.sin(np.radians(3))
    np.testing.assert_allclose(ahead[~road], 6, atol=1e-4)
    assert (ahead[road] <= 6.001).all()


@pytest.mark.parametrize("factor", [0.2, 0.5, 0.8, 1.3, 3.0, 1000.0])
def test_a_wrong_scale_comes_back_within_3_percent(factor: float) -> None:
    """Pitch and roll known up to 5 degrees, 3 more of pitch unknown; 5 % noise and 10 % outliers."""
    known = ((0, 0), (5, -5), (-5, 5), (5, 0))
    for (pitch, roll), (nod, sway) in itertools.product(known, ((0, 0), (3, 1), (-3, -1))):
        true = drawn(STREET, Mount(HEIGHT, pitch + nod, roll + sway))
        road = fit_road(noisy(true) * np.float32(factor), CAMERA, Mount(HEIGHT, pitch, roll))
        assert road is not None, (pitch, roll, nod, sway)
        assert HEIGHT / road.height == pytest.approx(1 / factor, rel=0.03), (pitch, roll, nod, sway)
        assert road.tilt_deg == pytest.approx(math.hypot(nod, sway), abs=0.8)
        assert 0.2 < road.share < 0.9
        assert 0.001 < road.spread < 0.015


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_a_bare_road_is_exact_in_any_unit(unit: float) -> None:
    road = fit_road(drawn(()) * np.float32(unit), CAMERA, LEVEL)
    assert road is not None
    assert road.height == pytest.approx(HEIGHT * unit, rel=1e-5)
    assert (road.share, road.tilt_deg) == (1.0, pytest.approx(0, abs=0.01))
    assert road.spread < 1e-5


def bonnet_masked() -> np.ndarray:
    depth = drawn((*STREET, BONNET)).copy()
    depth[drawn((BONNET,), road=False) < np.inf] = np.nan
    return depth


def holes() -> np.ndarray:
    depth = drawn().copy()
    rng = np.random.default_rng(2)
    for u, v in zip(rng.integers(0, 600, 60), rng.integers(0, 300, 60), strict=True):
        depth[v : v + 40, u : u + 40] = np.nan
    depth[200:220, 100:300] = np.inf
    return depth


@pytest.mark.parametrize(
    ("depth", "share"),
    [
        pytest.param(drawn((*STREET, BONNET)), (0.3, 0.6), id="a bonnet seen"),
        pytest.param(bonnet_masked(), (0.5, 0.8), id="a bonnet masked"),
        pytest.param(drawn((*PAVEMENTS, CLOSE_FACADE, AHEAD)), (0.3, 0.6), id="a facade over half the image"),
        pytest.param(drawn((*STREET[:-2], TRUCK)), (0.4, 0.7), id="a lorry close ahead"),
        pytest.param(holes(), (0.4, 0.7), id="holes"),
    ],
)
def test_the_road_is_found_beside(depth: np.ndarray, share: tuple[float, float]) -> None:
    for noise, limit in ((0.0, 0.005), (0.05, 0.03)):
        road = fit_road(noisy(depth, noise=noise, outliers=2 * noise), CAMERA, LEVEL)
        assert road is not None
        assert road.height == pytest.approx(HEIGHT, rel=limit)
        assert share[0] < road.share < share[1]


def test_a_bonnet_that_is_more_than_the_road_is_not_the_road() -> None:
    """It has the road under it, and nothing is under a road."""
    mount = Mount(HEIGHT, pitch_deg=8)
    road = fit_road(noisy(drawn((*STREET, BONNET), mount), noise=0.02), CAMERA, mount)
    assert road is not None
    assert road.height == pytest.approx(HEIGHT, rel=0.01)
    assert road.share < 0.4  # the bonnet has 0.46 without the outliers


def test_pavements_on_both_sides_of_a_lane_pull_less_than_their_kerb() -> None:
    """0.12 m of 1.5 m is 8 %; under 5 % of noise nobody can tell the two apart."""
    depth = drawn(((2.5, 8.0, 0.0, 0.12, 0.0, 200.0), (-8.0, -2.5, 0.0, 0.12, 0.0, 200.0), *FACADES))
    for noise, limit in ((0.0, 0.01), (0.05, 0.04)):
        road = fit_road(noisy(depth, noise=noise), CAMERA, LEVEL)
        assert road is not None
        assert road.height == pytest.approx(HEIGHT, rel=limit)


@pytest.mark.parametrize(
    ("camera", "mount"),
    [
        (Camera(640, 480, 330.0, 330.0, 319.5, 239.5, "plumb_bob", (-0.28, 0.07, 0.0, 0.0)), LEVEL),
        (Camera(640, 480, 250.0, 250.0, 319.5, 239.5, "equidistant", (0.01, 0.0, 0.0, 0.0)), Mount(HEIGHT, 10)),
        (Camera(80, 40, 70.0, 70.0, 39.5, 18.0), LEVEL),
        (CAMERA.cropped(100, 120, 400, 200), Mount(HEIGHT, 2)),
        (CAMERA, Mount(8.0, 40)),
        (CAMERA, Mount(HEIGHT, 90)),
        (CAMERA, Mount(HEIGHT, 0, 90)),
    ],
    ids=["distorted", "fisheye", "small", "cropped", "on a mast", "straight down", "on its side"],
)
def test_any_camera(camera: Camera, mount: Mount) -> None:
    depth = drawn((AHEAD,), mount, camera)
    road = fit_road(noisy(depth, noise=0.02), camera, mount)
    assert road is not None
    assert road.height == pytest.approx(mount.height_m, rel=0.01)


def hall(seed: int) -> np.ndarray:
    """Patches of constant depth, one over another."""
    rng = np.random.default_rng(seed)
    depth = np.full((320, 640), np.exp(rng.uniform(0, 4)), np.float32)
    for _ in range(rng.integers(1, 40)):
        u, v = rng.integers(0, 600), rng.integers(0, 300)
        depth[v : v + rng.integers(10, 200), u : u + rng.integers(10, 300)] = np.exp(rng.uniform(0, 4))
    return depth


def hills(seed: int) -> np.ndarray:
    """Soft shapes of no meaning."""
    rng = np.random.default_rng(seed)
    soft = cv2.resize(cv2.GaussianBlur(rng.normal(size=(80, 160)), (0, 0), rng.uniform(1, 20)), (640, 320))
    return np.exp(soft / soft.std() * rng.uniform(0.1, 1) + 2).astype(np.float32)


def patch() -> np.ndarray:
    """A road, but seen in one place alone."""
    depth = np.full((320, 640), np.nan, np.float32)
    depth[226:248, 160:400] = drawn(())[226:248, 160:400]
    return depth


def shelf() -> np.ndarray:
    """A level surface over things that lie deeper, anywhere."""
    depth = drawn(()).copy()
    rng = np.random.default_rng(3)
    deeper = rng.random(depth.shape) < 0.38
    depth[deeper] *= np.exp(rng.uniform(0.3, 1.1, deeper.sum()))
    return depth


def specks() -> np.ndarray:
    """A road, but too little of it."""
    depth = np.full((320, 640), np.nan, np.float32)
    depth[::32, ::64] = drawn(())[::32, ::64]
    return depth


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize(
    "depth",
    [
        pytest.param(drawn((WALL,), road=False), id="a wall ahead"),
        pytest.param(drawn(((-50, 50, -50, 50, 1.5, 2),), road=False), id="a wall close ahead"),
        pytest.param(drawn(((1.0, 50, -50, 50, -100, 300),), road=False), id="a tunnel's wall"),
        pytest.param(drawn(((-50, 50, -50, 50, 5, 6),), Mount(HEIGHT, 0, 40), road=False), id="a wall, tilted"),
        pytest.param(drawn((), Mount(HEIGHT, 14)), id="a slope of 14 degrees"),
        pytest.param(drawn((), road=False), id="sky"),
        pytest.param(np.full((320, 640), np.nan, np.float32), id="nothing"),
        pytest.param(np.zeros((320, 640), np.float32), id="zeros"),
        pytest.param(-drawn(()), id="negative"),
        pytest.param(specks(), id="specks"),
        pytest.param(patch(), id="a patch"),
        pytest.param(shelf(), id="a shelf"),
    ],
)
def test_no_road(depth: np.ndarray, noise: float) -> None:
    assert fit_road(noisy(depth, noise=noise, outliers=2 * noise).astype(np.float32), CAMERA, LEVEL) is None


def test_random_shapes_are_next_to_never_a_road() -> None:
    found = [fit_road(shape(seed), CAMERA, LEVEL) for shape in (hall, hills) for seed in range(100)]
    assert sum(road is not None for road in found) <= 4


@pytest.mark.parametrize("count", [1, 2, 3, 50, 99])
def test_a_handful_of_points_is_no_road(count: int) -> None:
    depth = np.full((320, 640), np.nan, np.float32)
    depth[240, 6 * np.arange(count)] = 4.0
    assert fit_road(depth, CAMERA, LEVEL) is None


def test_no_pixel_below_the_horizon_is_no_road() -> None:
    assert fit_road(drawn(()), CAMERA, Mount(HEIGHT, pitch_deg=-40)) is None


@pytest.mark.parametrize("softness", [0, 12], ids=["every pixel its own", "alike over many pixels"])
def test_spread_is_how_far_the_height_is_off(softness: int) -> None:
    depth = drawn((AHEAD, *FACADES))
    off, spreads = [], []
    for seed in range(40):
        noise = np.random.default_rng(seed).normal(0, 1, depth.shape)
        if softness:
            noise = cv2.GaussianBlur(noise, (0, 0), softness)
        road = fit_road((depth * (1 + 0.05 * noise / noise.std())).astype(np.float32), CAMERA, LEVEL)
        assert road is not None
        off.append(math.log(road.height / HEIGHT))
        spreads.append(road.spread)
    assert 0.5 < np.std(off) / np.median(spreads) < 2


def test_the_same_depth_gives_the_same_road() -> None:
    depth = noisy(drawn())
    assert fit_road(depth, CAMERA, LEVEL) == fit_road(depth.copy(), CAMERA, LEVEL)


def test_depth_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"depth is \(160, 320\), the camera 320x640"):
        fit_road(np.ones((160, 320), np.float32), CAMERA, LEVEL)


@pytest.mark.parametrize("path", sorted((CLIP / "depth").glob("*.png")), ids=lambda path: path.stem)
def test_the_clip_is_filmed_from_1_45_metres(path: Path) -> None:
    """The camera of the drawn street sways by 8 mm about 1.45 m and pitches about 0.6 degrees."""
    depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float32) / 256
    depth[depth == 0] = np.nan
    camera = load_camera(CLIP / "camera.json")
    for wrong, noise, limit in ((1.0, 0.0, 0.008), (37.0, 0.05, 0.03)):
        road = fit_road(noisy(depth * np.float32(wrong), noise=noise, outliers=2 * noise), camera, Mount(1.45))
        assert road is not None
        assert 1.45 / road.height == pytest.approx(1 / wrong, rel=limit)
        assert road.tilt_deg == pytest.approx(0.6, abs=0.6)


def road_of(factor: float, spread: float = 0.005, share: float = 0.38) -> Road:
    """What a frame shows whose depth wants this factor at a height of 1.5 m."""
    return Road(HEIGHT / factor, share, spread, 0.0)


def settled(factor: float = 1.0, smoothing_s: float = 2.0, hold_s: float = 10.0, rate_hz: float = 10.0) -> RoadScale:
    """Half a minute of the same factor, up to t = 0."""
    scale = RoadScale(HEIGHT, smoothing_s, hold_s)
    for i in range(int(-30 * rate_hz), 1):
        scale.update(road_of(factor), i / rate_hz)
    return scale


def test_the_first_road_counts_at_once() -> None:
    scale = RoadScale(HEIGHT, 2.0, 10.0)
    assert scale.factor is None and scale.uncertainty == math.inf
    scale.update(None, 100.0)
    scale.update(None, 103.0)
    assert scale.factor is None and scale.missing_s == 3.0
    scale.update(road_of(1.234), 103.1)
    assert scale.factor == pytest.approx(1.234)
    assert scale.words == "x1.234 +- 3.0 %, road in 38 % of the points"


@pytest.mark.parametrize("rate_hz", [4.0, 10.0, 30.0, 100.0])
@pytest.mark.parametrize("step", [1.05, 1.5, 1000.0])
def test_a_step_is_followed_with_the_time_constant_at_any_frame_rate(rate_hz: float, step: float) -> None:
    scale = settled(rate_hz=rate_hz)
    for i in range(1, int(6 * rate_hz) + 1):
        scale.update(road_of(step), i / rate_hz)
        if i > 1:  # a large step has to come twice
            share = math.log(scale.factor or 0) / math.log(step)
            assert share == pytest.approx(1 - math.exp(-i / rate_hz / 2.0), abs=0.005)


def test_without_smoothing_every_frame_is_its_own() -> None:
    scale = settled(smoothing_s=0)
    for i, factor in enumerate((1.02, 1.05, 0.99), 1):
        scale.update(road_of(factor), i / 10)
        assert scale.factor == pytest.approx(factor)


def test_one_wild_frame_changes_nothing_but_the_uncertainty() -> None:
    scale = settled()
    before = scale.uncertainty
    scale.update(road_of(5.0), 0.1)
    assert scale.factor == pytest.approx(1.0, abs=1e-9)
    assert before < scale.uncertainty < 0.06
    scale.update(road_of(0.2), 0.2)  # another, elsewhere
    scale.update(road_of(1.0), 0.3)
    scale.update(road_of(5.0), 0.4)  # a wild one long after a wild one is alone again
    assert scale.factor == pytest.approx(1.0, abs=1e-9)


def test_a_wild_first_frame_is_outvoted() -> None:
    scale = RoadScale(HEIGHT, 2.0, 10.0)
    for i, factor in enumerate((7.0, 1.0, 1.01)):
        scale.update(road_of(factor), i / 10)
    assert scale.factor == pytest.approx(1.01)


def test_a_first_frame_that_is_a_little_off_does_not_weigh_for_long() -> None:
    scale = RoadScale(HEIGHT, 2.0, 10.0)
    for i, factor in enumerate((1.09, *[1.0] * 9)):
        scale.update(road_of(factor), i / 10)
    assert scale.factor == pytest.approx(1.09**0.1, abs=1e-6)  # the mean of ten


def test_a_lasting_change_is_believed_between_frames_without_a_road() -> None:
    scale = settled()
    for road, t in ((road_of(3.0), 0.1), (None, 0.2), (road_of(3.0), 0.3)):
        scale.update(road, t)
    assert scale.factor == pytest.approx(3.0 ** (1 - math.exp(-0.3 / 2)))


def test_frames_that_scatter_are_averaged_and_their_scatter_is_told() -> None:
    rng = np.random.default_rng(0)
    scale = RoadScale(HEIGHT, 2.0, 10.0)
    factors, uncertainties = [], []
    for i in range(1200):
        scale.update(road_of(float(np.exp(rng.normal(0, 0.1)))), i / 10)
        factors.append(scale.factor)
        uncertainties.append(scale.uncertainty)
    # An exponential mean of N = 2 tau rate frames has 1 / sqrt(N) of their scatter: 1.6 %.
    assert np.std(np.log(factors[100:])) == pytest.approx(0.1 / math.sqrt(40), rel=0.35)
    assert np.median(uncertainties[100:]) == pytest.approx(0.1, rel=0.15)


def test_the_error_of_one_frame_is_in_the_uncertainty() -> None:
    scale = RoadScale(HEIGHT, 2.0, 10.0)
    for i in range(300):
        scale.update(road_of(1.0, spread=0.04), i / 10)
    assert scale.uncertainty == pytest.approx(0.04, rel=0.1)


def test_a_factor_is_held_with_growing_doubt_and_then_refused() -> None:
    scale = settled(1.3)
    before = scale.uncertainty
    seen = []
    for i in range(1, 101):
        scale.update(None, i / 10)
        assert scale.factor == pytest.approx(1.3)
        seen.append(scale.uncertainty)
    assert (np.diff([before, *seen]) > 0).all()
    assert seen[-1] == pytest.approx(before * math.sqrt(1 + 10 / 2), rel=0.01)
    assert "held for 10.0 s without a road" in scale.words and scale.words.startswith("x1.3 +- ")
    scale.update(None, 10.1)
    assert scale.factor is None and scale.uncertainty == math.inf
    scale.update(None, 12.0)
    assert scale.words.startswith("no road for 12 s; ") and "mount.height" in scale.words
    scale.update(road_of(2.0), 12.1)  # nothing is left of the old one
    assert scale.factor == pytest.approx(2.0) and scale.missing_s == 0


def test_roads_that_never_agree_are_no_road() -> None:
    scale = settled(hold_s=2.0)
    for i in range(1, 41):
        scale.update(road_of(10.0**i), i / 10)
    assert scale.factor is None or scale.factor > 100  # the old factor is not kept alive by them


def test_nothing_is_held_with_a_hold_of_zero() -> None:
    scale = settled(hold_s=0)
    scale.update(road_of(1.05), 0.1)  # and yet frames that follow each other are smoothed
    assert scale.factor == pytest.approx(1.05 ** (1 - math.exp(-0.05)), abs=1e-6)
    scale.update(None, 0.2)
    assert scale.factor is None


@pytest.mark.parametrize("t", [-20.0, 10.5], ids=["a bag starts again", "a leap"])
def test_another_time_is_another_drive(t: float) -> None:
    scale = settled(1.3)
    scale.update(None, t)
    assert scale.factor is None and scale.missing_s == 0
    scale = settled(1.3)
    scale.update(road_of(40.0), t)
    assert scale.factor == pytest.approx(40.0)


def test_reset() -> None:
    scale = settled(1.3)
    scale.reset()
    assert scale.factor is None and scale.missing_s == 0
    scale.update(road_of(40.0), 0.1)
    assert scale.factor == pytest.approx(40.0)


def test_the_sentence_says_what_is_missing_and_what_to_do() -> None:
    sentence = no_road(12.3)
    assert sentence.startswith("scale.source is camera_height but no road has been found for 12 s; ")
    for remedy in ("mount.height", "mount.pitch", "mount.roll", "ego_mask", "constant"):
        assert remedy in sentence


@pytest.mark.parametrize("arguments", [(0.0, 2.0, 10.0), (1.5, -1.0, 10.0), (1.5, 2.0, -1.0), (math.nan, 2.0, 10.0)])
def test_impossible_arguments(arguments: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        RoadScale(*arguments)


def test_from_a_street_to_metres() -> None:
    """A relative model: two seconds of a nodding vehicle give the factor back, and say how well it is known."""
    scale = RoadScale(HEIGHT, 2.0, 10.0)
    for i in range(20):
        true = Mount(HEIGHT, 2 * math.sin(i), math.sin(0.7 * i))
        scale.update(fit_road(noisy(drawn(STREET, true), i) * np.float32(0.01), CAMERA, LEVEL), i / 10)
    assert scale.factor == pytest.approx(100, rel=0.02)
    assert 0.002 < scale.uncertainty < 0.03
