"""The CUDA kernels: a thread for each pixel runs the CPU's code on a window of that one pixel.

Each thread walks all outlines of its picture, nearest first, and passes over those whose rectangle does not hold its
pixel: a few comparisons of numbers that all threads of a block read together, so that lists of primitives for each
tile of the picture would save little. Numbers are float64 as on the CPU, for the same depth; that suits the data
centre's GPUs, whose float64 is half as fast as float32, and costs more on those made for games.
"""

from __future__ import annotations

from typing import Any

from numba import cuda

from cloudypoints_training.scenes import edges, render, sensor, shading, shadows

_BLOCK = (16, 8)  # columns, rows: a warp is two rows of 16


def over(width: int, height: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The launch of a kernel with a thread for each pixel: blocks and threads of a block."""
    return (-(-width // _BLOCK[0]), -(-height // _BLOCK[1])), _BLOCK


@cuda.jit
def cast_shadow_map(rows: Any, which: Any, lines: Any, frame: Any, k: Any, light: Any, maps: Any, out: Any) -> None:
    """shadows.cast_shadow_map for the near (k = 0) or far (k = 1) map."""
    u, v = cuda.grid(2)
    if u < out.shape[1] and v < out.shape[0]:
        window = (u, u + 1, v, v + 1)
        shadows.cast_shadow_map(
            rows, which, lines, frame[k], frame[4, k], light[0:3], frame[2], frame[3], maps, window, out
        )


@cuda.jit
def cast(
    rows: Any, which: Any, lines: Any, ground: Any, eye: Any, axes: Any, lens: Any, maps: Any, depth: Any, owner: Any
) -> None:
    """render.cast."""
    u, v = cuda.grid(2)
    if u < depth.shape[1] and v < depth.shape[0]:
        render.cast(rows, which, lines, ground, eye, axes, lens, maps, (u, u + 1, v, v + 1), depth, owner)


@cuda.jit
def shade(
    rows: Any, ground: Any, eye: Any, axes: Any, lens: Any, depth: Any, owner: Any, light: Any, frame: Any, near: Any,
    far: Any, soil: Any, lamps: Any, maps: Any, out: Any,
) -> None:  # fmt: skip
    """shading.shade."""
    u, v = cuda.grid(2)
    if u < depth.shape[1] and v < depth.shape[0]:
        window = (u, u + 1, v, v + 1)
        shading.shade(
            rows, ground, eye, axes, lens, depth, owner, light, frame, near, far, soil, lamps, maps, window, out
        )


@cuda.jit
def rough_corners(owner: Any, colour: Any, depth: Any) -> None:
    """edges.rough_corners."""
    u, v = cuda.grid(2)
    if u < depth.shape[1] and v < depth.shape[0]:
        edges.rough_corners(owner, colour, (u, u + 1, v, v + 1), depth)


@cuda.jit
def blend_corners(colour: Any, corner: Any, depth: Any) -> None:
    """edges.blend_corners."""
    u, v = cuda.grid(2)
    if u < colour.shape[1] and v < colour.shape[0]:
        edges.blend_corners(colour, corner, depth, (u, u + 1, v, v + 1))


@cuda.jit
def develop(
    linear: Any, gains: Any, vignette: Any, stray: Any, shoulder: Any, curve: Any, saturation: Any, out: Any
) -> None:
    """sensor.develop."""
    u, v = cuda.grid(2)
    if u < out.shape[1] and v < out.shape[0]:
        sensor.develop(linear, gains, vignette, stray, shoulder, curve, saturation, (u, u + 1, v, v + 1), out)


@cuda.jit
def quantise(image: Any, field: Any, noise: Any, out: Any) -> None:
    """sensor.quantise."""
    u, v = cuda.grid(2)
    if u < out.shape[1] and v < out.shape[0]:
        sensor.quantise(image, field, noise, (u, u + 1, v, v + 1), out)
