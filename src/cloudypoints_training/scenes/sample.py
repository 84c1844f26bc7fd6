"""A scene, a camera in it, and the picture it takes: depth +inf is sky, NaN the ego vehicle's own hood."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from cloudypoints_training.sample import Sample
from cloudypoints_training.scenes.edges import blend_corners, rough_corners
from cloudypoints_training.scenes.render import cast
from cloudypoints_training.scenes.scene import Scene, View
from cloudypoints_training.scenes.sensor import expose
from cloudypoints_training.scenes.shading import shade
from cloudypoints_training.scenes.shadows import cast_shadow_map
from cloudypoints_training.scenes.shot import Seen, Shot, compose
from cloudypoints_training.scenes.styles import HELD_OUT_STYLES, STYLES, build_scene, pick_style
from cloudypoints_training.scenes.surfaces import NOISE_MAPS

__all__ = [
    "HELD_OUT_STYLES",
    "STYLES",
    "GpuDraw",
    "Sample",
    "draw",
    "draw_each",
    "draw_many",
    "plan",
    "take",
    "take_picture",
]


def draw(seed: int, width: int, height: int, style: str | None = None) -> Sample:
    """Draws the sample that belongs to these arguments.

    `style` is one of STYLES or HELD_OUT_STYLES; None lets the seed choose among STYLES.
    """
    return take(plan(seed, width, height, style))


def draw_many(
    seeds: Iterable[int], width: int, height: int, style: str | None = None, device: str = "cpu", workers: int = 0
) -> list[Sample]:
    """`draw` for each seed; see `draw_each`."""
    return list(draw_each(seeds, width, height, style, device, workers))


def draw_each(
    seeds: Iterable[int], width: int, height: int, style: str | None = None, device: str = "cpu", workers: int = 0
) -> Iterator[Sample]:
    """`draw` for each seed, in order.

    `device`: "cpu", or "cuda" to render on an NVIDIA GPU what the CPU has planned. `workers` processes draw, or plan
    for the GPU, a few scenes ahead; with 0 this process does it all.
    """
    from torch.utils.data import DataLoader

    if device not in ("cpu", "cuda"):
        raise ValueError(f"device is {device!r}; expected cpu or cuda")
    finish: Callable[[Any], Sample] = _as_it_is if device == "cpu" else _gpu_renderer()
    start = partial(draw if device == "cpu" else plan, width=width, height=height, style=style)
    jobs = DataLoader(
        _Jobs(tuple(seeds), start),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="spawn" if workers else None,
    )
    yield from map(finish, jobs)


@dataclass(frozen=True)
class _Jobs:
    """What a DataLoader's workers do for each seed."""

    seeds: tuple[int, ...]
    start: Callable[[int], Any]

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: int) -> Any:
        return self.start(self.seeds[index])


def _as_it_is(sample: Sample) -> Sample:
    return sample


def _gpu_renderer() -> Callable[[Shot], Sample]:
    from cloudypoints_training.scenes.gpu_device import find_device

    device = find_device()
    from cloudypoints_training.scenes import gpu

    return partial(gpu.take, device=device)


@dataclass(frozen=True)
class GpuDraw:
    """`draw` with an NVIDIA GPU, in whichever process it is called."""

    def __call__(self, seed: int, width: int, height: int, style: str | None = None) -> Sample:
        return self.draw_many([seed], width, height, style)[0]

    def draw_many(self, seeds: Iterable[int], width: int, height: int, style: str | None = None) -> list[Sample]:
        return draw_many(seeds, width, height, style, device="cuda")


def plan(seed: int, width: int, height: int, style: str | None = None) -> Shot:
    """The shot of `draw` before any ray is cast: for a renderer in another process or on a GPU."""
    known = STYLES + HELD_OUT_STYLES
    if style is not None and style not in known:
        raise ValueError(f"style is {style!r}; expected one of {', '.join(known)}")
    rng = np.random.default_rng([seed, 77])
    chosen = pick_style(rng) if style is None else style
    scene, view = build_scene(rng, chosen, width, height)
    smooth = bool(rng.random() < 0.5)
    shot = compose(scene, view, np.random.default_rng([seed, 78]), smooth=smooth)
    return replace(shot, name=f"{chosen}_{seed:06}", source=chosen)


def take_picture(
    scene: Scene, view: View, rng: np.random.Generator, smooth: bool = True, plain: bool = False
) -> Sample:
    """Renders a scene from a view. `smooth` takes a second ray per pixel for the colour of edges."""
    return take(compose(scene, view, rng, smooth, plain))


def take(shot: Shot) -> Sample:
    """Renders a shot on the CPU."""
    width, height = shot.camera.width, shot.camera.height
    near, far = (_shadow_map(shot, k) for k in range(2))

    def look(seen: Seen, lens: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        window = (0, depth.shape[1], 0, depth.shape[0])
        owner = np.empty(depth.shape, np.int32)
        colour = np.empty((*depth.shape, 3), np.float32)
        cast(shot.rows, *seen, shot.ground, shot.eye, shot.axes, lens, NOISE_MAPS, window, depth, owner)
        shade(
            shot.rows, shot.ground, shot.eye, shot.axes, lens, depth, owner, shot.light, shot.shadows.frame, near, far,
            shot.soil, shot.lamps, NOISE_MAPS, window, colour,
        )  # fmt: skip
        return owner, colour

    depth = np.zeros((height, width))
    owner, colour = look(shot.centres, shot.lens, depth)
    if shot.corners is not None:
        # A second grid through the pixels' corners, looked at along edges only: an edge pixel becomes half
        # its centre, half its four corners. Depth stays that of the centre.
        corner_depth = np.empty((height + 1, width + 1))
        rough_corners(owner, colour, (0, width + 1, 0, height + 1), corner_depth)
        _, corner = look(shot.corners, shot.corner_lens, corner_depth)
        blend_corners(colour, corner, corner_depth, (0, width, 0, height))
    truth = depth.astype(np.float32)
    if shot.hood is not None:
        mask = shot.hood.mask(width, height)
        shot.hood.paint(colour, mask)
        truth[mask] = np.nan
    return Sample(expose(colour, shot.exposure), truth, shot.camera, shot.name, shot.source)


def _shadow_map(shot: Shot, k: int) -> np.ndarray:
    """The near (0) or far (1) shadow map, (size, size) float32."""
    size, frame = shot.shadows.sizes[k], shot.shadows.frame
    height_map = np.empty((size, size), np.float32)
    cast_shadow_map(
        shot.rows, *shot.shadows.seen[k], frame[k], frame[4, k], shot.light[0:3], frame[2], frame[3], NOISE_MAPS,
        (0, size, 0, size), height_map,
    )  # fmt: skip
    return height_map
