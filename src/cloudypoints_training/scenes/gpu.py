"""The GPU's renderer: the same shots, the same pictures.

A scene is planned on the CPU (sample.plan: a shot, as a rule in worker processes); its shadow maps, depth, colour,
edges and exposure are then computed on the device that gpu_device.find_device gives.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cloudypoints_training.sample import Sample
from cloudypoints_training.scenes import gpu_kernels as kernels
from cloudypoints_training.scenes.gpu_arrays import array, upload
from cloudypoints_training.scenes.gpu_sensor import expose
from cloudypoints_training.scenes.scene import Hood
from cloudypoints_training.scenes.shot import Seen, Shot
from cloudypoints_training.scenes.surfaces import NOISE_MAPS


def take(shot: Shot, device: torch.device) -> Sample:
    """Renders a shot. Depth is that of sample.take; colour differs where float32 sums are taken in another order."""
    image, depth = take_on_device(shot, device)
    return Sample(image.cpu().numpy(), depth.cpu().numpy(), shot.camera, shot.name, shot.source)


def take_on_device(shot: Shot, device: torch.device) -> tuple[Tensor, Tensor]:
    """The image (H, W, 3) uint8 RGB and the depth (H, W) float32 of a shot, left on the device.

    Kernels and tensors share the default stream, so call it outside of `torch.cuda.stream`.
    """
    width, height = shot.camera.width, shot.camera.height
    rows, ground, eye, axes, light, lamps, soil, frame = (
        array(upload(a, device))
        for a in (shot.rows, shot.ground, shot.eye, shot.axes, shot.light, shot.lamps, shot.soil, shot.shadows.frame)
    )
    maps = _noise_maps(device)
    near, far = (array(torch.empty((size, size), dtype=torch.float32, device=device)) for size in shot.shadows.sizes)
    for k, shadow_map in enumerate((near, far)):
        which, lines = (array(upload(a, device)) for a in shot.shadows.seen[k])
        launch = kernels.over(shadow_map.shape[1], shadow_map.shape[0])
        kernels.cast_shadow_map[launch](rows, which, lines, frame, k, light, maps, shadow_map)

    def look(seen: Seen, lens: np.ndarray, depth: Tensor) -> tuple[Tensor, Tensor]:
        which, lines, on_lens = (array(upload(a, device)) for a in (*seen, lens))
        owner = torch.empty(depth.shape, dtype=torch.int32, device=device)
        colour = torch.empty((*depth.shape, 3), dtype=torch.float32, device=device)
        launch = kernels.over(depth.shape[1], depth.shape[0])
        kernels.cast[launch](rows, which, lines, ground, eye, axes, on_lens, maps, array(depth), array(owner))
        kernels.shade[launch](
            rows, ground, eye, axes, on_lens, array(depth), array(owner), light, frame, near, far, soil, lamps, maps,
            array(colour),
        )  # fmt: skip
        return owner, colour

    depth = torch.zeros((height, width), dtype=torch.float64, device=device)
    owner, colour = look(shot.centres, shot.lens, depth)
    if shot.corners is not None:
        corner_depth = torch.empty((height + 1, width + 1), dtype=torch.float64, device=device)
        kernels.rough_corners[kernels.over(width + 1, height + 1)](array(owner), array(colour), array(corner_depth))
        _, corner = look(shot.corners, shot.corner_lens, corner_depth)
        kernels.blend_corners[kernels.over(width, height)](array(colour), array(corner), array(corner_depth))
    truth = depth.float()
    if shot.hood is not None:
        mask = upload(shot.hood.mask(width, height), device)
        colour = _with_hood(colour, shot.hood, mask)
        truth[mask] = torch.nan
    return expose(colour, shot.exposure), truth


@cache
def _noise_maps(device: torch.device) -> Any:
    return array(upload(NOISE_MAPS, device))


def _with_hood(colour: Tensor, hood: Hood, mask: Tensor) -> Tensor:
    """Hood.paint on tensors: linear colour (H, W, 3), the hood's part of it covered."""
    height = colour.shape[0]
    v = torch.linspace(0, 1, height, device=colour.device)[:, None, None]
    sheen = torch.exp((hood.top - v) / 0.05) * colour[: height // 3].mean()
    shape = 0.25 * sheen + torch.tensor(hood.tone, device=colour.device) * colour.mean()
    return torch.where(mask[..., None], shape, colour)
