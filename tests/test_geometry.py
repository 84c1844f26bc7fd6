"""Points: geometry, packing, ranges, strides, layouts, and what is left out."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.geometry import LAYOUTS, POINT_STEP, Cloud, CloudOptions, cloud
from cloudypoints_ros.mount import Mount

NUMPY_TYPES = {2: "u1", 4: "<u2", 7: "<f4"}
DISTORTED = Camera(320, 240, 210.0, 212.0, 161.0, 119.0, "plumb_bob", (-0.28, 0.09, 0.0012, -0.0007, -0.01))
PINHOLE = Camera(320, 240, 210.0, 212.0, 161.0, 119.0)


def read(packed: Cloud) -> np.ndarray:
    """The points as a structured array, by the declared offsets."""
    names, offsets, kinds = zip(*LAYOUTS[packed.fields], strict=True)
    dtype = np.dtype(
        {"names": names, "offsets": offsets, "formats": [NUMPY_TYPES[k] for k in kinds], "itemsize": packed.point_step}
    )
    return np.frombuffer(packed.data, dtype)


def scene(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    depth = rng.uniform(1, 60, (240, 320)).astype(np.float32)
    depth[:50] = np.inf
    depth[100:110, 40:60] = np.nan
    return depth, rng.integers(0, 256, (240, 320, 3), np.uint8)


@pytest.mark.parametrize("camera", [PINHOLE, DISTORTED], ids=["pinhole", "distorted"])
@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("fields", LAYOUTS)
def test_every_point_projects_onto_its_pixel_with_its_depth(camera: Camera, stride: int, fields: str) -> None:
    depth, image = scene()
    packed = cloud(depth, camera, image, options=CloudOptions(fields, stride))
    points = read(packed)
    kept = np.isfinite(depth[::stride, ::stride])
    assert packed.is_dense and packed.height == 1 and packed.width == len(points) == kept.sum()
    v, u = np.argwhere(kept).T * stride
    np.testing.assert_array_equal(points["z"], depth[v, u])
    xyz = np.stack([points["x"], points["y"], points["z"]], -1)
    assert np.abs(camera.project(xyz) - np.stack([u, v], -1)).max() < 0.05


@pytest.mark.parametrize(("order", "red"), [("rgb", 0), ("bgr", 2)])
def test_colour_is_packed_as_pcl_does(order: str, red: int) -> None:
    depth, image = scene()
    for options in (CloudOptions("xyzrgb", 2), CloudOptions("xyzrgb", 2, organised=True)):
        points = read(cloud(depth, PINHOLE, image, order, options))
        bits = (
            points["rgb"].view(np.uint32) if points["rgb"].flags.c_contiguous else points["rgb"].copy().view(np.uint32)
        )
        kept = np.isfinite(depth[::2, ::2]) | options.organised
        pixels = image[::2, ::2][kept].astype(np.uint32)
        np.testing.assert_array_equal(bits, (pixels[:, red] << 16) | (pixels[:, 1] << 8) | pixels[:, 2 - red])


def test_xyzirc_is_autowares_layout() -> None:
    assert POINT_STEP["xyzirc"] == 16
    depth, image = scene()
    points = read(cloud(depth, PINHOLE, image, options=CloudOptions("xyzirc", 4)))
    v, u = np.argwhere(np.isfinite(depth[::4, ::4])).T
    r, g, b = image[::4, ::4][v, u].astype(float).T
    assert np.abs(points["intensity"] - (0.299 * r + 0.587 * g + 0.114 * b)).max() <= 1.5
    assert (points["return_type"] == 1).all()
    np.testing.assert_array_equal(points["channel"], v)


def test_organised_keeps_the_grid() -> None:
    depth, image = scene()
    packed = cloud(depth, PINHOLE, image, options=CloudOptions("xyzrgb", 4, organised=True))
    assert (packed.height, packed.width, packed.is_dense) == (60, 80, False)
    z = read(packed)["z"].reshape(60, 80)
    finite = np.isfinite(depth[::4, ::4])
    np.testing.assert_array_equal(np.isnan(z), ~finite)
    np.testing.assert_array_equal(z[finite], depth[::4, ::4][finite])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 7), st.floats(0, 30), st.floats(31, 70))
def test_range_and_count(seed: int, stride: int, low: float, high: float) -> None:
    depth, _ = scene(seed)
    packed = cloud(depth, PINHOLE, options=CloudOptions("xyz", stride, False, low, high))
    z = depth[::stride, ::stride]
    low32, high32 = np.float32(low), np.float32(high)
    np.testing.assert_array_equal(read(packed)["z"], z[(z >= low32) & (z <= high32)])


def test_an_empty_cloud_is_a_cloud() -> None:
    packed = cloud(np.full((240, 320), np.inf, np.float32), PINHOLE, options=CloudOptions("xyz"))
    assert packed.width == 0 and len(packed.data) == 0


def test_pixels_without_a_ray_are_no_points() -> None:
    camera = Camera(640, 480, 200.0, 200.0, 320.0, 240.0, "plumb_bob", (-0.4, 0.0, 0.0, 0.0))
    packed = cloud(np.full((480, 640), 5.0, np.float32), camera, options=CloudOptions("xyz", 1))
    points = read(packed)
    assert np.isfinite(points["x"]).all() and np.isfinite(points["y"]).all()
    assert packed.width == np.isfinite(camera.rays()[0]).sum()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"fields": "xyzi"}, "'xyzi' are not known"),
        ({"stride": 0}, "stride is 0"),
        ({"min_range_m": 5.0, "max_range_m": 5.0}, "maximum must exceed"),
        ({"min_height_m": 2.0, "max_height_m": 2.0}, "heights are 2.0 to 2.0 m; the maximum must exceed"),
        ({"min_height_m": np.nan}, "heights are nan to inf m"),
        ({"max_height_m": np.nan}, "heights are -inf to nan m"),
        ({"voxel_m": -0.1}, "voxel size is -0.1 m"),
        ({"voxel_m": np.nan}, "voxel size is nan m"),
        ({"voxel_m": np.inf}, "voxel size is inf m"),
        ({"voxel_m": 0.1, "organised": True}, "voxels of 0.1 m, which have no place"),
        ({"min_incidence_deg": -1.0}, "incidence is -1.0 degrees"),
        ({"min_incidence_deg": 90.0}, "incidence is 90.0 degrees"),
        ({"min_incidence_deg": np.nan}, "incidence is nan degrees"),
    ],
)
def test_impossible_options(options: dict, sentence: str) -> None:
    with pytest.raises(CloudyPointsError, match=sentence):
        CloudOptions(**options)


BLIND = Camera(640, 480, 200.0, 200.0, 320.0, 240.0, "plumb_bob", (-0.4, 0.0, 0.0, 0.0))
FAR = np.float32(1e4)  # beyond it a scene is sky


def rays(camera: Camera) -> np.ndarray:
    """Every pixel's ray (x/z, y/z, 1), float64 (H, W, 3)."""
    x, y = camera.rays()
    return np.stack([x, y, np.ones_like(x)], -1).astype(np.float64)


def kept(depth: np.ndarray, camera: Camera, mount: Mount | None = None, **options: float) -> np.ndarray:
    """Which pixels become points, bool (H, W), by the organised cloud."""
    packed = cloud(depth, camera, options=CloudOptions("xyz", 1, organised=True, **options), mount=mount)
    z = read(packed)["z"].reshape(depth.shape)
    mask = np.isfinite(z)
    np.testing.assert_array_equal(z[mask], depth[mask])
    return mask


def plane(camera: Camera, normal: np.ndarray, distance: float) -> np.ndarray:
    """Depth of the plane ``normal @ p = distance``, float32; +inf where the ray misses it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = distance / (rays(camera) @ normal)
        return np.where((depth > 0) & (depth < FAR), depth, np.inf).astype(np.float32)


def axes(mount: Mount) -> np.ndarray:
    """The camera's x, y and z axis in a frame of the road (right, down, forward): turned about x, then about its z."""
    p, r = np.radians(mount.pitch_deg), np.radians(mount.roll_deg)
    pitched = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    rolled = np.array([[np.cos(r), np.sin(r), 0], [-np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return rolled @ pitched


@pytest.mark.parametrize("camera", [PINHOLE, DISTORTED], ids=["pinhole", "distorted"])
@pytest.mark.parametrize("stride", [1, 3])
def test_the_height_band_of_a_pitched_and_rolled_camera(camera: Camera, stride: int) -> None:
    mount = Mount(height_m=1.6, pitch_deg=7, roll_deg=-4)
    depth, _ = scene()
    points = np.where(np.isfinite(depth), depth, np.nan)[..., None] * (rays(camera) @ axes(mount))
    height = (1.6 - points[..., 1])[::stride, ::stride]
    assert not (np.abs(np.stack([height + 0.3, height - 2.1])) < 1e-5).any()  # nothing on the fence
    options = CloudOptions("xyz", stride, min_height_m=-0.3, max_height_m=2.1)
    expected = (height > -0.3) & (height < 2.1)
    assert 500 < expected.sum() * stride**2 < 30000
    np.testing.assert_array_equal(
        read(cloud(depth, camera, options=options, mount=mount))["z"], depth[::stride, ::stride][expected]
    )


@pytest.mark.parametrize(
    ("band", "seen"),
    [((0.49, 0.51), True), ((0.51, np.inf), False), ((-np.inf, 0.49), False), ((-np.inf, 0.51), True)],
)
def test_a_level_plane_is_at_its_height(band: tuple[float, float], seen: bool) -> None:
    mount = Mount(height_m=1.5, pitch_deg=12, roll_deg=3)
    depth = plane(PINHOLE, axes(mount)[:, 1], 1.0)  # half a metre above the road
    finite = depth < 50
    depth = np.where(finite, depth, np.float32(np.inf))
    assert finite.mean() > 0.5
    mask = kept(depth, PINHOLE, mount, min_height_m=band[0], max_height_m=band[1])
    np.testing.assert_array_equal(mask, finite & seen)


@pytest.mark.parametrize("mount", [None, Mount(pitch_deg=3)])
@pytest.mark.parametrize("band", [{"min_height_m": 0.0}, {"max_height_m": 3.0}])
def test_a_height_band_without_a_height(mount: Mount | None, band: dict) -> None:
    with pytest.raises(CloudyPointsError, match=r"own height over the road is unknown; set mount.height in metres"):
        cloud(np.ones((240, 320), np.float32), PINHOLE, options=CloudOptions("xyz", **band), mount=mount)


def smooth_scene(seed: int, camera: Camera) -> np.ndarray:
    """A surface with neighbours close to each other, sky and holes: float32 (H, W)."""
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[0 : camera.height, 0 : camera.width]
    waves = sum(np.sin(u * a + v * b + c) for a, b, c in rng.uniform((-0.1, -0.1, 0), (0.1, 0.1, 6), (4, 3)))
    depth = (8 + 1.5 * waves + 20 * (u > camera.width * 0.6) * (v > camera.height * 0.3)).astype(np.float32)
    depth[:20] = np.inf
    depth[rng.random(depth.shape) < 0.02] = np.nan
    return depth


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 1000),
    st.sampled_from([PINHOLE, DISTORTED, BLIND]),
    st.integers(1, 4),
    st.floats(0.01, 4),
)
def test_one_original_point_per_voxel(seed: int, camera: Camera, stride: int, edge: float) -> None:
    depth = smooth_scene(seed, camera)
    image = np.random.default_rng(seed).integers(0, 256, (*depth.shape, 3), np.uint8)
    everything = cloud(depth, camera, image, options=CloudOptions("xyzrgb", stride))
    thinned = cloud(depth, camera, image, options=CloudOptions("xyzrgb", stride, voxel_m=edge))
    assert thinned.is_dense and thinned.height == 1
    # Whole points with their colours, found in their order among all of them.
    where = {row.tobytes(): i for i, row in enumerate(everything.data.reshape(-1, 16))}
    chosen = np.array([where[row.tobytes()] for row in thinned.data.reshape(-1, 16)])
    assert (np.diff(chosen) > 0).all()

    points = np.stack([read(everything)[name] for name in "xyz"], -1).astype(np.float64) / edge
    voxels = np.floor(points)
    off = ((points - voxels - 0.5) ** 2).sum(1)
    _, of_point = np.unique(voxels, axis=0, return_inverse=True)
    of_point = of_point.reshape(-1)
    nearest = np.full(of_point.max() + 1, np.inf)
    np.minimum.at(nearest, of_point, off)
    assert len(chosen) == len(nearest) == len(set(of_point[chosen]))  # each occupied voxel once
    assert (off[chosen] <= nearest[of_point[chosen]] * (1 + 1e-6) + 1e-9).all()

    xyz = np.stack([read(thinned)[name] for name in "xyz"], -1)
    uv = camera.project(xyz) / stride
    assert np.abs(uv - np.rint(uv)).max() * stride < 0.05


def test_of_points_equally_near_the_centre_the_first_stays() -> None:
    camera = Camera(40, 20, 1.0, 1.0, -0.5, -0.5)  # x and y of pixel n are n + 0.5 at a depth of 1
    depth = np.ones((20, 40), np.float32)
    points = read(cloud(depth, camera, options=CloudOptions("xyz", 1, voxel_m=2.0)))
    y, x = np.mgrid[0:20:2, 0:40:2] + 0.5
    np.testing.assert_array_equal(np.stack([points["x"], points["y"]]), np.stack([x.ravel(), y.ravel()]))


def test_voxels_do_not_depend_on_the_number_of_threads() -> None:
    depth = smooth_scene(1, BLIND)
    threads = numba.get_num_threads()
    clouds = []
    try:
        for n in {1, threads}:
            numba.set_num_threads(n)
            clouds.append(cloud(depth, BLIND, options=CloudOptions("xyz", 1, voxel_m=0.1)).data.tobytes())
    finally:
        numba.set_num_threads(threads)
    assert len(set(clouds)) == 1


def test_points_beyond_the_grid_of_voxels_stay() -> None:
    depth = np.full((240, 320), 2.0**20 * 0.001 + 1, np.float32)
    depth[:100] = 1.0
    points = read(cloud(depth, PINHOLE, options=CloudOptions("xyz", 1, voxel_m=0.001)))
    assert (points["z"] > 1000).sum() == 140 * 320
    thinned = read(cloud(depth, PINHOLE, options=CloudOptions("xyz", 1, voxel_m=0.5)))
    assert (thinned["z"] > 1000).sum() == 140 * 320 and 0 < (thinned["z"] == 1).sum() < 100


def test_what_another_filter_leaves_out_cannot_stand_for_its_voxel() -> None:
    depth, mount = smooth_scene(3, PINHOLE), Mount(height_m=1.5)
    asked = {"min_range_m": 6.0, "max_range_m": 30.0, "min_height_m": -1.0, "min_incidence_deg": 20.0}
    left = np.where(kept(depth, PINHOLE, mount, **asked), depth, np.float32(np.nan))
    expected = cloud(left, PINHOLE, options=CloudOptions("xyz", 1, voxel_m=0.5))
    together = cloud(depth, PINHOLE, options=CloudOptions("xyz", 1, voxel_m=0.5, **asked), mount=mount)
    assert 100 < expected.width < np.isfinite(left).sum() < np.isfinite(depth).sum()
    np.testing.assert_array_equal(together.data, expected.data)


def test_nothing_in_is_nothing_out() -> None:
    options = CloudOptions("xyz", 2, min_height_m=0, voxel_m=0.1, min_incidence_deg=1)
    for missing in (np.inf, np.nan):
        depth = np.full((240, 320), missing, np.float32)
        assert cloud(depth, PINHOLE, options=options, mount=Mount(1.5)).width == 0


def sines(depth: np.ndarray, camera: Camera, axis: int) -> np.ndarray:
    """Sine between each pixel's ray and the line through its neighbours along an axis, float64 (H, W)."""
    ray = rays(camera)
    points = np.where(np.isfinite(depth), depth, np.nan)[..., None] * ray
    points[~np.isfinite(points).all(-1)] = np.nan
    ends = []
    for shift in (1, -1):
        end = np.roll(points, shift, axis)
        rim = [slice(None), slice(None)]
        rim[axis] = 0 if shift == 1 else -1
        end[tuple(rim)] = np.nan
        ends.append(np.where(np.isnan(end), points, end))
    line = ends[1] - ends[0]
    with np.errstate(invalid="ignore"):
        sine = np.linalg.norm(np.cross(line, ray), axis=-1) / np.linalg.norm(line, axis=-1)
    return np.where((line == 0).all(-1), 1.0, sine / np.linalg.norm(ray, axis=-1))


@pytest.mark.parametrize("camera", [PINHOLE, DISTORTED, BLIND], ids=["pinhole", "distorted", "blind"])
@pytest.mark.parametrize("stride", [1, 3])
def test_the_incidence_rule(camera: Camera, stride: int) -> None:
    mount = Mount(pitch_deg=5, roll_deg=-3)
    depth = smooth_scene(2, camera)
    ray = rays(camera)
    limit = np.sin(np.radians(15))
    road = ray @ mount.down / np.linalg.norm(ray, axis=-1)
    upright = np.where(road > 0, np.minimum(limit, road / 2), limit)
    margin = np.minimum(sines(depth, camera, 1) / limit, sines(depth, camera, 0) / upright)
    assert (np.abs(margin - 1) < 1e-3).mean() < 0.01
    options = CloudOptions("xyz", stride, organised=True, min_incidence_deg=15)
    packed = cloud(depth, camera, options=options, mount=mount)
    mask = np.isfinite(read(packed)["z"].reshape(packed.height, packed.width))
    finite, margin = (a[::stride, ::stride] for a in (np.isfinite(depth) & np.isfinite(ray[..., 0]), margin))
    sure = np.abs(margin - 1) > 1e-3  # float32 in the code
    np.testing.assert_array_equal(mask[sure], (finite & (margin > 1))[sure])
    assert 0.02 < 1 - mask.sum() / finite.sum() < 0.8


STREET = Camera(640, 480, 1000.0, 1000.0, 319.5, 239.5)


def test_flying_points_go_and_what_they_fly_between_stays() -> None:
    # A box 8 m ahead before a wall 30 m ahead, with four pixels of neither around it, even in inverse depth.
    v, u = np.mgrid[0:480, 0:640]
    outside = np.maximum(np.maximum(250 - u, u - 350), np.maximum(200 - v, v - 440))
    share = np.clip(outside / 5, 0, 1)
    depth = (1 / ((1 - share) / 8 + share / 30)).astype(np.float32)
    flying = (outside > 0) & (outside < 5)
    beside_the_edge = (outside == 0) | (outside == 5)
    mask = kept(depth, STREET, min_incidence_deg=1.0)
    # Below the box's foot (row 440), 200 rows under the horizon, the full angle counts.
    assert flying.sum() > 1000 and not mask[flying].any()
    assert mask[~flying & ~beside_the_edge].all()
    assert kept(depth, STREET).all()
    # With a stride the neighbours are still those of the full image.
    strided = read(cloud(depth, STREET, options=CloudOptions("xyz", 7, min_incidence_deg=1.0)))
    np.testing.assert_array_equal(strided["z"], depth[::7, ::7][mask[::7, ::7]])


def test_flying_points_between_the_horizon_and_a_road() -> None:
    # The stated price: just below the horizon the upright line must be steeper; the level one must not.
    depth = np.full((480, 640), 8, np.float32)
    depth[:, 320:325] = 1 / np.linspace(1 / 8, 1 / 30, 7)[1:-1]
    depth[:, 325:] = 30
    assert not kept(depth, STREET, min_incidence_deg=1.0)[:, 320:325].any()
    lying = np.full((480, 640), 8, np.float32)
    lying[240:245] = (1 / np.linspace(1 / 30, 1 / 8, 7)[1:-1])[:, None]
    lying[:240] = 30
    assert kept(lying, STREET, min_incidence_deg=1.0)[240].all()


@pytest.mark.parametrize("missing", [np.inf, np.nan])
def test_an_outline_against_nothing_stays(missing: float) -> None:
    depth = np.full((480, 640), missing, np.float32)
    depth[100:300, 200:400] = 12
    depth[50, 50] = 12  # without any neighbour
    np.testing.assert_array_equal(kept(depth, STREET, min_incidence_deg=30.0), np.isfinite(depth))


@pytest.mark.parametrize("angle", [1.0, 5.0, 30.0])
@pytest.mark.parametrize("mount", [Mount(1.5), Mount(1.5, 6), Mount(1.5, -6)], ids=["level", "down", "up"])
def test_the_road_stays_at_every_distance(mount: Mount, angle: float) -> None:
    depth = plane(STREET, mount.down, 1.5)
    road = np.isfinite(depth)
    assert depth[road].max() > 700
    np.testing.assert_array_equal(kept(depth, STREET, mount, min_incidence_deg=angle), road)


@pytest.mark.parametrize("mount", [Mount(1.5, 6), Mount(1.5, -6), Mount(1.5, 2, 5)], ids=["down", "up", "rolled"])
def test_the_road_under_a_tilt_nobody_told(mount: Mount) -> None:
    depth = plane(STREET, mount.down, 1.5)
    far = depth * np.linalg.norm(rays(STREET), axis=-1)
    mask = kept(depth, STREET, min_incidence_deg=1.0)
    assert mask[far < 1.5 / np.sin(np.radians(1.01))].all()
    if mount.pitch_deg > 0:
        assert not mask[np.isfinite(depth) & (far > 90)].all()


def test_the_road_under_a_rolled_camera() -> None:
    mount = Mount(1.5, 0, 20)
    depth = plane(STREET, mount.down, 1.5)
    reach = 1.5 / np.tan(np.radians(1)) / np.sin(np.radians(20))
    mask = kept(depth, STREET, mount, min_incidence_deg=1.0)
    assert mask[depth < 0.8 * reach].all() and not mask[np.isfinite(depth) & (depth > 1.3 * reach)].any()
    assert depth[:, 320][mask[:, 320]].max() == pytest.approx(reach, rel=0.05)


def test_a_facade_goes_where_it_is_seen_too_flat() -> None:
    depth = plane(STREET, np.array([1.0, 0, 0]), 4.0)
    ray = rays(STREET)
    sine = ray[..., 0] / np.linalg.norm(ray, axis=-1)
    mask = kept(depth, STREET, min_incidence_deg=2.0)
    limit = np.sin(np.radians(2))
    assert (sine[mask] > limit * 0.999).all() and mask[(sine > limit * 1.001)].all()
    assert depth[mask].max() == pytest.approx(4 / np.tan(np.radians(2)), rel=0.03)


def test_pixels_without_a_ray_are_no_neighbours() -> None:
    depth = np.full((480, 640), 5.0, np.float32)
    seen = np.isfinite(BLIND.rays()[0])
    assert 0.1 < seen.mean() < 0.2
    np.testing.assert_array_equal(kept(depth, BLIND, min_incidence_deg=10.0), seen)
