"""One picture of one frame: the image, its depth with a scale in metres, and the cloud from above."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.files import replacing
from cloudypoints_ros.preview import NEAR_M, colorize

Array = npt.NDArray[Any]

WIDTH_PX = 1600
_DPI = 100
_BACKGROUND, _PANEL, _TEXT, _FAINT = "#101218", "#181b23", "#e8eaf0", "#8b93a5"

# Inches: the page's margins, the left column's width and the gaps that hold headings and scales.
_MARGIN, _LEFT, _HEADING, _SCALE, _TITLE = 0.45, 9.9, 0.38, 0.75, 0.95
_MIN_CLOUD_HEIGHT = 6.6

# Points higher above the camera than this (tree tops, bridges, sky bleeding) would hide the street from above.
_CEILING_M = 4.0
_AHEAD_M = (10.0, 60.0)
_ASIDE_M = 12.0  # a street is at least so wide to either side of the camera


def unpack_xyzrgb(data: Array) -> tuple[Array, Array]:
    """Points float32 (N, 3) and colours uint8 (N, 3) RGB of packed xyzrgb, uint8 (N * 16,)."""
    rows = data.reshape(-1, 16)
    points = rows[:, :12].copy().view(np.float32)
    return points, rows[:, [14, 13, 12]].copy()  # 0x00RRGGBB, little endian


def save_picture(
    path: Path,
    image: Array,
    depth: Array,
    points: Array,
    colours: Array,
    *,
    order: str = "rgb",
    title: str = "CloudyPoints",
    subtitle: str = "",
    max_range_m: float = 80.0,
) -> None:
    """Write a PNG, 1600 px wide.

    ``image`` is uint8 (H, W, 3) with channels in ``order``; ``depth`` float32 (h, w) metres, NaN invalid, +inf
    sky; ``points`` float32 (N, 3) metres in the optical frame (x right, y down, z forward); ``colours`` uint8
    (N, 3) RGB.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise CloudyPointsError(
            f"The picture needs matplotlib, which is missing ({error}); pip install matplotlib."
        ) from error

    rgb = image if order == "rgb" else image[..., ::-1]
    image_height = _LEFT * rgb.shape[0] / rgb.shape[1]
    depth_height = _LEFT * depth.shape[0] / depth.shape[1]
    left_height = _HEADING + image_height + _HEADING + depth_height + _SCALE
    body = max(left_height, _HEADING + _MIN_CLOUD_HEIGHT + _SCALE)
    width, height = WIDTH_PX / _DPI, _TITLE + body + _MARGIN / 2

    # The canvas is made by hand: pyplot would pick a backend and keep every figure alive.
    figure = Figure(figsize=(width, round(height * _DPI) / _DPI), dpi=_DPI, facecolor=_BACKGROUND)
    FigureCanvasAgg(figure)

    def axes(left: float, top: float, w: float, h: float) -> Any:
        """Axes whose upper left corner lies ``left``, ``top`` inches from the page's."""
        return figure.add_axes((left / width, 1 - (top + h) / height, w / width, h / height), facecolor=_PANEL)

    figure.text(_MARGIN / width, 1 - 0.38 / height, title, color=_TEXT, fontsize=21, weight="bold", va="center")
    figure.text(_MARGIN / width, 1 - 0.74 / height, subtitle, color=_FAINT, fontsize=12.5, va="center")

    # A wide image leaves room: the two are centred beside the cloud.
    top = _TITLE + (body - left_height) / 2 + _HEADING
    _show(axes(_MARGIN, top, _LEFT, image_height), rgb, f"Image, {rgb.shape[1]} x {rgb.shape[0]}")
    top += image_height + _HEADING
    _show(axes(_MARGIN, top, _LEFT, depth_height), colorize(depth, max_range_m)[..., ::-1], "Depth along Z, metres")
    _scale(figure, axes(_MARGIN, top + depth_height + 0.12, _LEFT, 0.17), max_range_m)

    left = _MARGIN + _LEFT + 0.95
    _from_above(
        axes(left, _TITLE + _HEADING, width - left - _MARGIN, body - _HEADING - _SCALE), points, colours, max_range_m
    )

    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", facecolor=_BACKGROUND)


def _show(axes: Any, rgb: Array, heading: str) -> None:
    axes.imshow(rgb, aspect="auto", interpolation="antialiased")
    axes.set_axis_off()
    axes.set_title(heading, loc="left", color=_TEXT, fontsize=13, pad=7)


def _scale(figure: Any, axes: Any, max_range_m: float) -> None:
    """The colour bar: the same log scale as :func:`preview.colorize`."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    bar = figure.colorbar(ScalarMappable(LogNorm(NEAR_M, max_range_m), "magma_r"), cax=axes, orientation="horizontal")
    ticks = [t for t in (1, 2, 3, 5, 10, 20, 40, 80, 160) if NEAR_M <= t <= max_range_m]
    bar.set_ticks(ticks, labels=[f"{t} m" for t in ticks])
    bar.ax.minorticks_off()
    bar.ax.tick_params(colors=_TEXT, labelsize=12, length=4)
    bar.outline.set_visible(False)


def _from_above(axes: Any, points: Array, colours: Array, max_range_m: float) -> None:
    """The cloud seen from above, forward up: x right and z forward, metres, the camera at the origin."""
    from matplotlib.patches import Arc, Polygon

    finite = np.isfinite(points).all(1) & (points[:, 1] > -_CEILING_M) & (points[:, 2] <= max_range_m)
    points, colours = points[finite], colours[finite]
    box = axes.get_window_extent()
    ratio = box.width / box.height
    reach = float(np.percentile(points[:, 2], 97)) if len(points) else _AHEAD_M[0]
    ahead = min(max(5 * math.ceil(max(reach, 2 * _ASIDE_M / ratio) / 5), _AHEAD_M[0]), _AHEAD_M[1])
    behind = 0.03 * ahead
    aside = (ahead + behind) * ratio / 2

    # Asphalt is dark and would drown in the dark panel: colours are lifted a little (the power below).
    order = np.argsort(-points[:, 1], kind="stable")  # low points first: what stands on the road covers it
    size = min(max(1.5e5 / max(len(points), 1), 3.0), 8.0)  # a sparse cloud gets bigger dots, points squared
    lifted = (colours[order] / 255.0) ** 0.7
    axes.scatter(points[order, 0], points[order, 2], c=lifted, s=size, marker="s", linewidths=0, zorder=2)
    shade = {"facecolor": _PANEL, "alpha": 0.8, "linewidth": 0, "pad": 1.5}
    for radius in range(10, int(ahead) + 1, 10):
        axes.add_patch(
            Arc((0, 0), 2 * radius, 2 * radius, theta1=0, theta2=180, color=_TEXT, alpha=0.3, lw=0.8, zorder=3)
        )
        if radius < ahead:
            axes.text(
                0,
                radius,
                f"{radius} m",
                color=_TEXT,
                fontsize=11.5,
                ha="center",
                va="center",
                zorder=4,
                bbox=shade,
            )
    half = ahead * 0.02
    axes.add_patch(Polygon([(-half, -half), (half, -half), (0, half)], color="#5ad1ff", zorder=5, clip_on=False))
    axes.set_xlim(-aside, aside)
    axes.set_ylim(-behind, ahead)
    axes.set_aspect("equal", adjustable="box")
    axes.set_title(f"Cloud from above, {len(points):,} points", loc="left", color=_TEXT, fontsize=13, pad=7)
    axes.set_xlabel("x, metres to the right", color=_FAINT, fontsize=12)
    axes.set_ylabel("z, metres ahead", color=_FAINT, fontsize=12)
    axes.tick_params(colors=_TEXT, labelsize=12)
    for spine in axes.spines.values():
        spine.set_color("#303645")
