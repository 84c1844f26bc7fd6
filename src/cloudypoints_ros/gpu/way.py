"""The way of a frame on the device, for one shape: every table is made once, every tensor has a fixed size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.gpu import pixels, points, postprocess, preprocess
from cloudypoints_ros.gpu.blocks import Input, Output, Shape
from cloudypoints_ros.model_card import ModelCard
from cloudypoints_ros.preprocess import network_camera, place, ray_angles


class TensorEngine(Protocol):
    """What runs the network: the ``enqueue`` of engines.CudaEngine; the stream is None on a CPU.

    ``batch``, where there is one, is how many images it takes at once; ``capturable`` False keeps it out of CUDA
    graphs.
    """

    name: str

    def enqueue(self, inputs: Mapping[str, Tensor], stream: Any) -> dict[str, Tensor]: ...


class Way:
    """prepare, infer and answer, in this order, once per frame; :meth:`point_at` before the first and at a change."""

    def __init__(self, card: ModelCard, engine: TensorEngine, shape: Shape, device: torch.device) -> None:
        self.card, self.shape = card, shape
        self._engine, self._device = engine, device
        _, _, width, height = shape.region
        self.placement = place(width, height, card.input.size, card.input.resize)
        p = self.placement
        self.image = torch.zeros(shape.count, 3, p.height, p.width, device=device)
        self._part = self.image[:, :, p.top : p.top + p.image_height, p.left : p.left + p.image_width]
        self._taps = preprocess.image_taps(width, height, p, device)
        self._whole = shape.depth_size == (width, height)
        self._picture_taps = tuple(
            preprocess.area_taps(length, target, device)
            for length, target in zip((height, width), reversed(shape.depth_size), strict=True)
        )
        rows, columns = shape.grid
        n = shape.count
        self._ray_x = torch.zeros((n, 1, columns) if shape.pinhole else (n, rows, columns), device=device)
        self._ray_y = torch.zeros((n, rows, 1) if shape.pinhole else (n, rows, columns), device=device)
        self._angles = torch.zeros(n, 2, p.height, p.width, device=device) if card.input.ray_angles else None
        self._blank = torch.zeros(n, shape.depth_size[1], shape.depth_size[0], dtype=torch.bool, device=device)
        self._neighbours: dict[tuple[int, int], tuple[postprocess.Neighbours, postprocess.Neighbours]] = {}

    def point_at(self, cameras: Sequence[Camera]) -> None:
        """Look through these cameras, of the region; nothing is allocated on the device."""
        for i, camera in enumerate(cameras):
            if self.shape.cloud:
                x, y = points.rays(camera.resized(*self.shape.depth_size), self.shape.cloud.stride)
                self._ray_x[i].copy_(x)
                self._ray_y[i].copy_(y)
            if self._angles is not None:
                self._angles[i].copy_(torch.from_numpy(ray_angles(camera, self.placement)[0]))

    def blank(self, masks: Sequence[Any]) -> None:
        """No depth where a mask, bool (H, W) of the depth's size or None, is set."""
        for target, mask in zip(self._blank, masks, strict=True):
            target.zero_() if mask is None else target.copy_(torch.as_tensor(mask))

    def network_factor(self, camera: Camera) -> float:
        """f_net / f_c: what a canonical model's depth is multiplied by."""
        f_c = self.card.output.canonical_focal_px
        return 1.0 if f_c is None else network_camera(camera, self.placement).fx / f_c

    def prepare(self, given: Input) -> Tensor:
        """Fill the network's input; returns the colours, uint8 (N, H, W, 3), of the region."""
        shape = self.shape
        x, y, width, height = shape.region
        colours = pixels.colours(given.rows, shape.encoding, shape.big_endian)[:, y : y + height, x : x + width]
        preprocess.network_image(colours, pixels.order(shape.encoding), self._taps, self.card.input, self._part)
        return colours

    def infer(self, stream: Any) -> dict[str, Tensor]:
        """The network's outputs for all images; by as many calls as the engine's batch asks for."""
        inputs = {self.card.input.tensor: self.image}
        if self.card.input.ray_angles and self._angles is not None:
            inputs[self.card.input.ray_angles] = self._angles
        n, batch = self.shape.count, getattr(self._engine, "batch", 1)
        if n <= batch:
            return self._engine.enqueue(inputs, stream)
        parts = []
        for i in range(0, n, batch):
            outputs = self._engine.enqueue({name: value[i : i + batch] for name, value in inputs.items()}, stream)
            # The next call writes into the same tensors.
            parts.append({name: value.clone() for name, value in outputs.items()})
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def answer(self, given: Input, colours: Tensor, outputs: Mapping[str, Tensor], out: Output) -> None:
        """Depth and points of the outputs, into the block."""
        shape = self.shape
        map_shape = outputs[self.card.output.tensor].shape[-2:]
        size = (int(map_shape[0]), int(map_shape[1]))
        if size not in self._neighbours:
            self._neighbours[size] = postprocess.neighbours(shape.depth_size, self.placement, size, self._device)
        factor, scale = given.factors.view(-1, 2, 1, 1).unbind(1)
        depth = postprocess.depth_map(outputs, self.card.output, factor, *self._neighbours[size])
        depth = depth.masked_fill_(self._blank, torch.nan).mul_(scale)
        out.number.copy_(given.number)
        out.counts.zero_()
        out.counts[:, 2] = (~depth.isnan()).flatten(1).sum(1)
        if shape.depth == "16UC1":
            whole, too_far = points.millimetres(depth)
            out.depth.copy_(whole)
            out.counts[:, 1] = too_far.flatten(1).sum(1)
        elif shape.depth:
            out.depth.copy_(depth)
        if shape.cloud:
            s = shape.cloud.stride
            extra = None
            if shape.cloud.fields != "xyz":
                extra = points.extra_words(self._picture(colours), pixels.order(shape.encoding), shape.cloud.fields)
            packed = points.pack(depth[:, ::s, ::s], self._ray_x, self._ray_y, extra, shape.cloud, out.points)
            out.counts[:, 0] = packed

    def _picture(self, colours: Tensor) -> Tensor:
        """One colour per point, uint8 (N, h, w, 3): the image at the depth's size, every n-th pixel of it."""
        assert self.shape.cloud is not None
        s = self.shape.cloud.stride
        if not self._whole:
            rows, columns = self._picture_taps
            colours = preprocess.resized(colours, rows, columns).round_().to(torch.uint8)
        return colours[:, ::s, ::s]
