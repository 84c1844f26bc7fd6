"""Random images and camera_info through the whole way of a frame, looking for what escapes: printed as Markdown.

    python bench/fuzz.py [--count 100000] [--first 0] [--seed N ...]

Each case is made from its seed alone: a good Image or CompressedImage with its good CameraInfo, of which some fields
are then spoilt. It goes over the wire format and then the way that the node's worker goes. It may end in two ways:
answered, with an answer that holds together, or refused with a CloudyPointsError that says what to do. Anything else
is a finding; ``--seed N`` shows one again with its traceback.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from cloudypoints_ros import messages
from cloudypoints_ros.camera import Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.geometry import LAYOUTS, CloudOptions, cloud
from cloudypoints_ros.inbox import Calibrations
from cloudypoints_ros.pipeline import Pipeline
from cloudypoints_ros.preview import colorize
from cloudypoints_ros.regions import Region

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from tiny_models import write_model

# What tells people what to do, in the sentences of this package.
REMEDY = re.compile(
    r"\b(calibrate|check|choose|convert|copy|correct|export|give|install|let|look at|lower|play|publish|raise|rectify|"
    r"remap|set|stamp|start|synchronise|use)\b",
    re.IGNORECASE,
)
ANSWERED = "answered"

# Seeds that were findings once, each another defect: overflow of a ray, points of an absurd centre or focal length, a
# lens that fails amid the image, a matrix without its last 1, lenses that magnify the rounding of float32.
FOUND = (324, 1494, 2083, 2595, 3309, 3786, 5182, 6988, 8570, 15726, 79285, 98739)
TOLERANCE_PX = 0.05

PIXEL_BYTES = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1, "mono16": 2, "yuv422": 2, "uyvy": 2}
PIXEL_BYTES |= {"yuv422_yuy2": 2, "yuyv": 2, "bayer_rggb8": 1, "bayer_bggr8": 1, "bayer_gbrg8": 1, "bayer_grbg8": 1}
ALIEN = ("", "rgb16", "8UC4", "16UC1", "32FC1", "h264", "RGB8", "bayer_rggb16", "nv12", "rgb8\n", "64FC4", "ähm")
LENGTHS = (1, 2, 3, 4, 5, 8, 16, 17, 24, 32, 48, 64, 96, 97)
EXTREME_INTS = (0, 1, 2, 3, 255, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
EXTREME_FLOATS = (
    0.0, -0.0, 1.0, -1.0, 1e-9, 1e-300, 5e-324, 1e9, 1e20, 1e39, 1e300, -1e300, float("inf"), -float("inf"),
    float("nan"),
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One pair of messages and how the node is set."""

    image: Any
    info: CameraInfo
    rectified: bool
    region: Region
    downscale: int
    encoding: str
    cloud: CloudOptions
    model: str


# ---- making cases


def case(seed: int) -> Case:
    """The case of a seed: always the same."""
    rng = np.random.default_rng(seed)
    width, height = (int(rng.choice(LENGTHS)) for _ in range(2))
    if rng.random() < 0.01:  # a line sensor
        width, height = (int(rng.integers(1000, 70000)), 1)[:: int(rng.choice([1, -1]))]
    info = _good_info(rng, width, height)
    if rng.random() < 0.25:
        image: Any = _compressed(rng, width, height)
        _spoil(rng, image, (_spoil_compressed,))
    else:
        image = _raw(rng, width, height)
        _spoil(rng, image, (_spoil_raw,))
    _spoil(rng, info, (_spoil_size, *[_spoil_numbers] * 4, _spoil_model, _spoil_window))
    region = Region()
    if rng.random() < 0.1:
        region = Region(*(int(rng.choice([0, 1, 4, 16, 64])) for _ in range(4)))
    return Case(
        image=deserialize_message(serialize_message(image), type(image)),
        info=deserialize_message(serialize_message(info), CameraInfo),
        rectified=bool(rng.random() < 0.2),
        region=region,
        downscale=int(rng.choice([1, 1, 2, 16])),
        encoding=str(rng.choice(messages.DEPTH_ENCODINGS)),
        cloud=_cloud_options(rng),
        model=str(rng.choice(list(MODELS))),
    )


def _spoil(rng: np.random.Generator, message: Any, ways: Sequence[Callable[[np.random.Generator, Any], None]]) -> None:
    """Half of all messages stay good, so that faults meet a good partner and depth is reached."""
    for _ in range(int(rng.choice([0, 0, 0, 1, 1, 2]))):
        ways[rng.integers(len(ways))](rng, message)


def _good_info(rng: np.random.Generator, width: int, height: int) -> CameraInfo:
    """Of any model that is known, now and then through a window and binning."""
    fx, fy = rng.uniform(0.5, 2.0, 2) * max(width, height, 8)
    cx, cy = rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height
    model, count = (("", 0), ("plumb_bob", 5), ("rational_polynomial", 8), ("equidistant", 4))[rng.integers(4)]
    d = rng.normal(0, 0.05, count) if rng.random() < 0.7 else np.zeros(count)
    info = CameraInfo(width=width, height=height, distortion_model=model, d=d.tolist())
    info.k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.p = [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    if rng.random() < 0.2:
        info.binning_x, info.binning_y = (int(rng.integers(1, 4)) for _ in range(2))
        x, y = (int(each) for each in rng.integers(0, 20, 2))
        info.roi.x_offset, info.roi.y_offset = x, y
        info.roi.width, info.roi.height = width * info.binning_x, height * info.binning_y
        info.width, info.height = info.roi.width + x, info.roi.height + y
    return info


def _raw(rng: np.random.Generator, width: int, height: int) -> Image:
    encoding = str(rng.choice(list(PIXEL_BYTES)))
    step = width * PIXEL_BYTES[encoding] + int(rng.choice([0, 0, 1, 7]))
    msg = Image(header=_header(rng), width=width, height=height, encoding=encoding, step=step)
    msg.is_bigendian = int(rng.choice([0, 0, 0, 1, 255]))
    msg.data.frombytes(rng.integers(0, 256, step * height, np.uint8).tobytes())
    return msg


def _header(rng: np.random.Generator) -> Header:
    header = Header(frame_id=str(rng.choice(["camera_optical", ""])))
    header.stamp.sec = int(rng.choice([0, 7, -(2**31), 2**31 - 1]))
    header.stamp.nanosec = int(rng.choice([0, 999_999_999, 2**32 - 1]))
    return header


def _spoil_raw(rng: np.random.Generator, msg: Image) -> None:
    way = rng.integers(5)
    if way == 0:
        msg.encoding = str(rng.choice([*PIXEL_BYTES, *ALIEN]))
    elif way == 1:
        name = str(rng.choice(["width", "height", "step"]))
        setattr(msg, name, _near(rng, getattr(msg, name)))
    elif way == 2:
        del msg.data[int(rng.integers(len(msg.data) + 1)) :]
    elif way == 3:
        msg.data.frombytes(bytes(int(rng.choice([1, 2, min(msg.step, 1000)]))))
    else:  # numbers where colours are expected
        values = rng.choice(np.array(EXTREME_FLOATS, np.float64), len(msg.data) // 4 + 1)
        with np.errstate(over="ignore"):
            raw = values.astype("<f4").tobytes()
        np.frombuffer(msg.data, np.uint8)[:] = np.frombuffer(raw, np.uint8)[: len(msg.data)]


def _compressed(rng: np.random.Generator, width: int, height: int) -> CompressedImage:
    shape = (height, width, int(rng.choice([1, 3])))
    image = rng.integers(0, 256, shape, np.uint8)
    ending = str(rng.choice([".jpg", ".jpg", ".png", ".png16", ".rgba"]))
    if ending == ".png16":
        image, ending = image.astype(np.uint16) * 257, ".png"
    elif ending == ".rgba":
        image, ending = rng.integers(0, 256, (height, width, 4), np.uint8), ".png"
    if max(width, height) > 65500:
        ending = ".png"
    encoded = cv2.imencode(ending, image)[1].tobytes()
    name = str(rng.choice(["jpeg", "png", "rgb8; jpeg compressed bgr8", "", "h264"]))
    return CompressedImage(header=_header(rng), format=name, data=encoded)


def _spoil_compressed(rng: np.random.Generator, msg: CompressedImage) -> None:
    way, size = rng.integers(6), len(msg.data)
    if way == 0:
        del msg.data[int(rng.integers(size + 1)) :]
    elif way == 1 and size:
        for _ in range(int(rng.integers(1, 12))):
            msg.data[int(rng.integers(size))] = int(rng.integers(256))
    elif way == 2 and size:  # the head is where sizes are
        for _ in range(int(rng.integers(1, 4))):
            msg.data[int(rng.integers(min(size, 200)))] = int(rng.integers(256))
    elif way == 3:
        _claim(msg, *(int(rng.choice([0, 1, 30, 4000, 20000, 65535])) for _ in range(2)))
    elif way == 4:
        msg.data.frombytes(rng.integers(0, 256, int(rng.choice([1, 100])), np.uint8).tobytes())
    else:
        ending = str(rng.choice([".bmp", ".tiff", ".webp", ".ppm"]))
        msg.data = cv2.imencode(ending, rng.integers(0, 256, (16, 16, 3), np.uint8))[1].tobytes()


def _claim(msg: CompressedImage, width: int, height: int) -> None:
    """Write another size into the header of a JPEG or PNG."""
    data = bytes(msg.data)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        msg.data = data[:16] + width.to_bytes(4, "big") + height.to_bytes(4, "big") + data[24:]
    elif (at := data.find(b"\xff\xc0")) > 0:
        msg.data = data[: at + 5] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + data[at + 9 :]


def _near(rng: np.random.Generator, value: int) -> int:
    changed = (value + int(rng.integers(-3, 4)), value * 2, int(rng.choice(EXTREME_INTS)))[rng.integers(3)]
    return min(max(changed, 0), 2**32 - 1)


def _spoil_size(rng: np.random.Generator, info: CameraInfo) -> None:
    name = str(rng.choice(["width", "height"]))
    setattr(info, name, _near(rng, getattr(info, name)))


def _spoil_numbers(rng: np.random.Generator, info: CameraInfo) -> None:
    name = str(rng.choice(["k", "p", "r", "d"]))
    values = [float(each) for each in getattr(info, name)]
    if not values:
        return
    if rng.random() < 0.15:
        values = [0.0] * len(values)
    for _ in range(int(rng.choice([1, 1, 3, 9]))):
        at = int(rng.integers(len(values)))
        values[at] = (float(rng.choice(EXTREME_FLOATS)), -values[at], values[at] * 10.0 ** rng.uniform(-12, 12))[
            rng.integers(3)
        ]
    setattr(info, name, values)


def _spoil_model(rng: np.random.Generator, info: CameraInfo) -> None:
    info.distortion_model = str(rng.choice(["", "plumb_bob", "rational_polynomial", "equidistant", "fisheye", "ähm"]))
    if rng.random() < 0.5:
        info.d = rng.normal(0, float(rng.choice([0.01, 1, 100])), int(rng.choice([0, 1, 4, 5, 8, 12, 14, 40]))).tolist()


def _spoil_window(rng: np.random.Generator, info: CameraInfo) -> None:
    if rng.random() < 0.5:
        name = str(rng.choice(["binning_x", "binning_y"]))
        setattr(info, name, _near(rng, getattr(info, name)))
    else:
        name = str(rng.choice(["x_offset", "y_offset", "width", "height"]))
        setattr(info.roi, name, _near(rng, getattr(info.roi, name)))


def _cloud_options(rng: np.random.Generator) -> CloudOptions:
    organised = bool(rng.random() < 0.3)
    return CloudOptions(
        fields=str(rng.choice(list(LAYOUTS))),
        stride=int(rng.choice([1, 4, 64])),
        organised=organised,
        max_range_m=float(rng.choice([200.0, 10.0])),
        voxel_m=0.0 if organised else float(rng.choice([0.0, 0.0, 0.5])),
        min_incidence_deg=float(rng.choice([0.0, 0.0, 5.0])),
    )


# ---- going their way

# Options of tiny_models.write_model: each takes another branch of the pipeline.
MODELS: dict[str, dict[str, Any]] = {
    "plain": {},
    "canonical": {"canonical_focal_px": 80.0, "kind": "log_depth", "validity": True},
    "letterbox": {"resize": "letterbox", "fixed": (64, 96), "colour": "bgr"},
    "rays": {"kind": "ray_angle", "sky": False},
}


def pipelines(folder: Path) -> dict[str, Pipeline]:
    """The pipeline of each of MODELS; their files go into ``folder``."""
    return {
        name: Pipeline.open(write_model(folder, name=name, **options), threads=1) for name, options in MODELS.items()
    }


def run(case: Case, pipelines: dict[str, Pipeline]) -> str:
    """ANSWERED, or the sentence of the refusal. Whatever is raised is a finding."""
    try:
        # A warning would be a line of numpy's own in the node's log.
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            _answer(case, pipelines[case.model])
    except CloudyPointsError as error:
        text = str(error)
        assert REMEDY.search(text), f"no remedy in: {text}"
        return text
    return ANSWERED


def _answer(case: Case, pipeline: Pipeline) -> None:
    header = case.image.header
    calibrations = Calibrations()
    calibrations.add((0, 0), messages.calibration(case.info).folded())
    decode = messages.decode if isinstance(case.image, Image) else messages.decode_compressed
    picture = decode(case.image)
    _check_picture(picture)
    height, width = picture.image.shape[:2]
    calibration = calibrations.find((1, 0), width, height)
    region = case.region.fitted(width, height)
    image, calibration = region.of(picture.image), region.of_calibration(calibration)
    height, width = image.shape[:2]
    size = (max(1, width // case.downscale), max(1, height // case.downscale))
    frame = pipeline.depth(image, calibration.camera(case.rectified), picture.order, size)
    depth_msg, _ = messages.depth_message(frame.depth, header, case.encoding)
    _check_depth(frame.depth, depth_msg, size, pipeline.card.output.range_m)
    info = messages.camera_info(calibration.resized(*size), header)
    _check_info(info, frame.camera, case.rectified)
    if size != (width, height):
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    packed = cloud(frame.depth, frame.camera, image, picture.order, case.cloud)
    cloud_msg = messages.cloud_message(packed, header)
    _check_cloud(cloud_msg, frame.depth, frame.camera, case.cloud)
    color = messages.image_message(colorize(frame.depth), header)
    for msg in (depth_msg, info, cloud_msg, color):
        serialize_message(msg)


def _check_picture(picture: messages.Picture) -> None:
    image = picture.image
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size
    assert picture.order in ("rgb", "bgr")


def _check_depth(depth: np.ndarray, msg: Image, size: tuple[int, int], range_m: tuple[float, float]) -> None:
    assert (msg.width, msg.height) == size and depth.shape == size[::-1] and depth.dtype == np.float32
    assert len(msg.data) == msg.step * msg.height
    finite = depth[np.isfinite(depth)]
    assert not np.isneginf(depth).any()
    assert (finite >= range_m[0] * 0.999).all() and (finite <= range_m[1] * 1.001).all()


def _check_info(info: CameraInfo, camera: Camera, rectified: bool) -> None:
    """Readers of the answer's camera_info see the camera that made the points."""
    read = messages.calibration(info).camera(rectified)
    assert (read.width, read.height, read.model, read.d) == (camera.width, camera.height, camera.model, camera.d)
    np.testing.assert_allclose(
        [read.fx, read.fy, read.cx, read.cy], [camera.fx, camera.fy, camera.cx, camera.cy], rtol=1e-9, atol=1e-6
    )


def _check_cloud(msg: Any, depth: np.ndarray, camera: Camera, options: CloudOptions) -> None:
    """Points are finite, come from the depth, and re-project onto the grid's pixels."""
    assert len(msg.data) == msg.row_step * msg.height and msg.row_step == msg.point_step * msg.width
    points = np.frombuffer(msg.data, "<f4").reshape(-1, msg.point_step // 4)[:, :3].astype(np.float64)
    grid = depth[:: options.stride, :: options.stride]
    if options.organised:
        assert (msg.height, msg.width) == grid.shape and not msg.is_dense
        points = points[~np.isnan(points).any(1)]
    else:
        assert msg.is_dense and msg.height == 1 and len(points) <= grid.size
    assert np.isfinite(points).all()
    if not len(points):
        return
    assert np.isin(points[:, 2].astype(np.float32), grid).all()
    uv = camera.project(points)
    pixels = np.round(uv)
    # float32 points carry 24 bits, however far off the principal point is
    rounding = 4 * 2.0**-24 * np.abs(uv - [camera.cx, camera.cy]).max()
    assert np.abs(uv - pixels).max() < TOLERANCE_PX + rounding, f"{np.abs(uv - pixels).max()} px off"
    assert (pixels % options.stride == 0).all()
    u, v = pixels.astype(int).T
    assert (depth[v, u] == points[:, 2].astype(np.float32)).all()


# ---- reporting


def kind_of(outcome: str) -> str:
    """A sentence without its numbers and names, so that equal ones count as one."""
    text = re.sub(r"'[^']*'", "'...'", outcome.split(";")[0])
    text = re.sub(r"[-+]?(\d+\.?\d*(e[-+]?\d+)?|\binf\b|\bnan\b)", "#", text)
    text = re.sub(r"#(x#)+", "#x#", re.sub(r"\(#(, #)*,?\)", "(#)", text))
    return re.sub(r"A #x# \w+ image|A \w+ image", "A ... image", text)[:150]


def findings(seeds: Sequence[int], pipelines: dict[str, Pipeline]) -> Iterator[tuple[int, str, str]]:
    """(seed, outcome, traceback) of each seed; the traceback is empty unless it is a finding."""
    for seed in seeds:
        try:
            yield seed, run(case(seed), pipelines), ""
        except Exception as error:
            yield seed, f"{type(error).__name__}: {error}", traceback.format_exc()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, action="append", help="run only this seed")
    arguments = parser.parse_args()
    seeds = arguments.seed or range(arguments.first, arguments.first + arguments.count)
    outcomes: Counter[str] = Counter()
    examples: dict[str, int] = {}
    found: list[tuple[int, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        made = pipelines(Path(folder))
        run(case(0), made)  # compiles
        start = perf_counter()
        for seed, outcome, trace in findings(seeds, made):
            kind = kind_of(outcome)
            outcomes[kind] += 1
            examples.setdefault(kind, seed)
            if trace:
                found.append((seed, outcome))
                print(f"seed {seed}: {outcome if arguments.seed is None else trace}", file=sys.stderr, flush=True)
        took = perf_counter() - start
    _print_report(seeds, outcomes, examples, found, took)
    return 1 if found else 0


def _print_report(
    seeds: Sequence[int], outcomes: Counter[str], examples: dict[str, int], found: list[tuple[int, str]], took: float
) -> None:
    import numba
    import onnxruntime

    total = sum(outcomes.values())
    print("# Random images and camera_info through the whole way of a frame\n")
    print(f"`python bench/fuzz.py --first {seeds[0]} --count {len(seeds)}`; {datetime.date.today()}; {_processor()},")
    print(f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}; Python {platform.python_version()},")
    print(f"numpy {np.__version__}, OpenCV {cv2.__version__}, numba {numba.__version__}, onnxruntime")
    print(f"{onnxruntime.__version__}, ROS {os.environ.get('ROS_DISTRO', 'from PyPI')}.\n")
    print(f"{total} pairs in {took:.0f} s, {total / took:.0f} per second. **{len(found)} findings.**\n")
    print("| Outcome | Pairs | Share | First seed |\n|---|---|---|---|")
    for kind, count in outcomes.most_common():
        print(f"| {kind} | {count} | {count / total:.2%} | {examples[kind]} |".replace("\n", " "))
    print(f"\nSeeds that were findings once and are run by the tests: {', '.join(map(str, FOUND))}.")
    if found:
        print("\nFindings:\n")
        for seed, outcome in found:
            print(f"- seed {seed}: {outcome.splitlines()[0]}")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


if __name__ == "__main__":
    sys.exit(main())
