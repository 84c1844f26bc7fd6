"""What is before and after the network: equality with the CPU's code, then time, of every encoding and output."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import torch
from measuring import Bench, Row, missing

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.geometry import CloudOptions, cloud
from cloudypoints_ros.gpu import pixels
from cloudypoints_ros.gpu.blocks import Shape, input_block, output_block
from cloudypoints_ros.gpu.way import Way
from cloudypoints_ros.model_files import DEFAULT_MODEL, load_card
from cloudypoints_ros.postprocess import depth_map
from cloudypoints_ros.preprocess import network_image

PART = "before and after the network"


class Prepared:
    """An engine whose answer was computed before."""

    name = "none"

    def __init__(self, outputs: dict[str, torch.Tensor]) -> None:
        self._outputs = outputs

    def enqueue(self, inputs: Any, stream: Any) -> dict[str, torch.Tensor]:
        return self._outputs


def rows(bench: Bench) -> list[Row]:
    width, height = bench.pick((2048, 1024), (700, 352))
    camera = Camera(width, height, 1.1 * width, 1.1 * width, width / 2 - 0.5, height / 2 - 0.5)
    lens = Camera(width, height, camera.fx, camera.fy, camera.cx, camera.cy, "plumb_bob", (-0.1, 0.02, 0.0, 0.0))
    found: list[Row] = []
    with torch.inference_mode():
        for encoding in pixels.ENCODINGS:
            found += _row(
                bench, f"preprocess {width}x{height} {encoding}", lambda e=encoding: _before(bench, camera, e)
            )
        for name, of, options in (
            ("depth 32FC1 alone", camera, None),
            ("xyzrgb, stride 4", camera, CloudOptions("xyzrgb", 4)),
            ("xyzrgb, every pixel", camera, CloudOptions("xyzrgb", 1)),
            ("xyzirc, every pixel, distorted lens", lens, CloudOptions("xyzirc", 1)),
            ("xyz organised, every pixel", camera, CloudOptions("xyz", 1, True)),
        ):
            found += _row(bench, f"postprocess {width}x{height}: {name}", lambda o=options, c=of: _after(bench, c, o))
    return found


def _row(bench: Bench, what: str, figures: Callable[[], dict[str, float]]) -> list[Row]:
    try:
        return [bench.row(PART, what, figures())]
    except Exception as error:
        return [missing(PART, what, error)]


def _shape(camera: Camera, encoding: str, options: CloudOptions | None) -> Shape:
    size = (camera.width, camera.height)
    return Shape(1, *size, encoding, False, (0, 0, *size), size, "32FC1", options, camera.pinhole)


def _before(bench: Bench, camera: Camera, encoding: str) -> dict[str, float]:
    """Of the network's input, in grey levels, against the CPU's from the same bytes."""
    card = load_card(DEFAULT_MODEL)
    way = Way(card, Prepared({}), _shape(camera, encoding, None), bench.device)
    row = camera.width * pixels.pixel_bytes(encoding)
    raw = np.random.default_rng(0).integers(0, 256, (1, camera.height, row), np.uint8)
    block = input_block(way.shape, bench.device)
    block.rows.copy_(torch.from_numpy(raw))
    picture = pixels.colours(torch.from_numpy(raw), encoding)[0].contiguous().numpy()
    start = perf_counter()
    expected = network_image(picture, way.placement, card.input, pixels.order(encoding))
    on_cpu = (perf_counter() - start) * 1e3
    way.prepare(block)
    levels = np.abs(way.image.cpu().numpy() - expected) * np.array(card.input.std).reshape(3, 1, 1) / card.input.scale
    if not levels.max() < 1e-3:
        raise AssertionError(f"differs from the CPU by {levels.max():.3g} grey levels, expected less than 0.001")
    times = bench.timed(lambda: way.prepare(block))
    graph = bench.timed(bench.captured(lambda: way.prepare(block)))
    return {**times, "in a graph p50 ms": graph["p50 ms"], "largest difference grey levels": levels.max(),
            "CPU once ms": on_cpu}  # fmt: skip


def _after(bench: Bench, camera: Camera, options: CloudOptions | None) -> dict[str, float]:
    """Of depth and points, against the CPU's from the same outputs."""
    card = load_card(DEFAULT_MODEL)
    way = Way(card, Prepared({}), _shape(camera, "rgb8", options), bench.device)
    way.point_at([camera])
    p = way.placement
    rng = np.random.default_rng(1)
    far = np.linspace(4, 0.7, p.height // 2)[:, None] + rng.normal(0, 0.01, (p.height // 2, p.width // 2))
    sky = np.where(np.arange(p.height // 2)[:, None] < p.height // 6, 9.0, -9.0) + np.zeros_like(far)
    outputs = {"log_depth": far[None, None].astype(np.float32), "sky": sky[None, None].astype(np.float32)}
    given, out = input_block(way.shape, bench.device), output_block(way.shape, bench.device)
    raw = rng.integers(0, 256, (1, camera.height, camera.width * 3), np.uint8)
    given.rows.copy_(torch.from_numpy(raw))
    given.factors.copy_(torch.tensor([[way.network_factor(camera), 1.0]]))
    on_device = {name: torch.from_numpy(value).to(bench.device) for name, value in outputs.items()}
    colours = way.prepare(given)
    way.answer(given, colours, on_device, out)
    start = perf_counter()
    expected = depth_map(outputs, card.output, camera, p)
    on_cpu = (perf_counter() - start) * 1e3
    depth = out.depth[0].cpu().numpy()
    both = np.isfinite(depth) & np.isfinite(expected)
    apart = np.abs(depth[both] / expected[both] - 1).max()
    undecided = (np.isfinite(depth) != np.isfinite(expected)).mean()
    if not (apart < 1e-4 and undecided < 1e-4):
        raise AssertionError(f"depth differs from the CPU's by {apart:.3g} and is another kind on {undecided:.3g}")
    figures = {"largest relative difference of depth": float(apart)}
    if options is not None:
        start = perf_counter()
        packed = cloud(depth, camera, raw.reshape(camera.height, camera.width, 3), "rgb", options)
        on_cpu += (perf_counter() - start) * 1e3
        count = int(out.counts[0, 0])
        points = out.points[0, :count].cpu().numpy()
        wanted = packed.data.view(np.int32).reshape(-1, points.shape[1])
        same = points.shape == wanted.shape and np.array_equal(
            np.nan_to_num(points[:, :3].view(np.float32)), np.nan_to_num(wanted[:, :3].view(np.float32))
        )
        if not (same and np.array_equal(points[:, 3:], wanted[:, 3:])):
            raise AssertionError(f"{points.shape[0]} points are not the CPU's {wanted.shape[0]}, byte for byte")
        figures["points"] = count

    def once() -> None:
        way.answer(given, colours, on_device, out)

    graph = bench.timed(bench.captured(once))
    return {**bench.timed(once), "in a graph p50 ms": graph["p50 ms"], **figures, "CPU once ms": on_cpu}
