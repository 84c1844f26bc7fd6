"""Frames through the device: pinned memory, one stream, two slots, one CUDA graph per slot and shape.

Not run on a GPU yet. On a CPU the same steps run one after the other, without stream, graph or pinned memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.errors import EngineLost
from cloudypoints_ros.geometry import Cloud
from cloudypoints_ros.gpu.blocks import Input, Output, Shape, input_block, output_block
from cloudypoints_ros.gpu.way import TensorEngine, Way
from cloudypoints_ros.model_card import ModelCard

Array = npt.NDArray[Any]

_SLOTS = 2
_SHAPES = 4  # more than this many at a time are not kept: each holds device memory
_NUMBERS = 1 << 31


@dataclass(frozen=True)
class View:
    """One image of a frame: its bytes, uint8 (H, W * bytes per pixel), the camera of the region, what its depth is
    multiplied by, and where there shall be none, bool of the depth's size, which must not be written to any more."""

    rows: Array
    camera: Camera
    scale: float = 1.0
    blank: Array | None = None


@dataclass(frozen=True)
class Answer:
    """What came back for one image. ``depth`` is float32 metres or uint16 millimetres (H, W), or None.

    ``too_far`` counts finite depths beyond 16UC1, ``known`` those that are not NaN. The arrays are views of pinned
    memory, which the second start of the same shape after this one writes again.
    """

    depth: Array | None
    cloud: Cloud | None
    too_far: int
    known: int


@dataclass
class _Slot:
    """The blocks of one frame in flight; on a CPU those of host and device are the same."""

    host_in: Input
    device_in: Input
    device_out: Output
    host_out: Output
    event: Any = None
    graph: Any = None


@dataclass
class _Kept:
    """What one shape has."""

    way: Way
    slots: list[_Slot]
    cameras: tuple[Camera, ...] = ()
    masks: tuple[Array | None, ...] = ()
    turn: int = 0


@dataclass(frozen=True)
class Pending:
    """A frame in flight, for :meth:`Frames.finish`."""

    shape: Shape
    number: int
    slot: _Slot = field(repr=False)


class Frames:
    """Starts frames on a device and collects what became of them, in the order in which they were started.

    ``engine`` runs the network on the device. One thread calls; :meth:`finish` may be called by another.
    """

    def __init__(self, card: ModelCard, engine: TensorEngine, device: torch.device, graphs: bool = True) -> None:
        self.card, self.engine, self.device = card, engine, device
        self.cuda = device.type == "cuda"
        self.graphs = graphs and self.cuda and getattr(engine, "capturable", True)
        self.stream = torch.cuda.Stream(device) if self.cuda else None
        self._kept: OrderedDict[Shape, _Kept] = OrderedDict()
        self._number = 0

    def start(self, shape: Shape, views: Sequence[View]) -> Pending:
        """Copy in, and queue all the rest; the first frame of a shape also allocates, warms up and captures.

        Raises EngineLost when the device fails.
        """
        try:
            with torch.inference_mode(), torch.cuda.stream(self.stream) if self.stream else nullcontext():
                return self._start(shape, views)
        except EngineLost:
            self._kept.clear()  # what was queued is worth nothing
            raise
        except RuntimeError as error:  # torch.OutOfMemoryError and CUDA's own errors are kinds of it
            self._kept.clear()
            raise _lost(error) from error

    def finish(self, pending: Pending) -> list[Answer]:
        """Wait for a frame; an answer for each of its images. Raises EngineLost when the device fails."""
        slot, shape = pending.slot, pending.shape
        try:
            if slot.event is not None:
                slot.event.synchronize()
        except RuntimeError as error:
            raise _lost(error) from error
        came = slot.host_out.number.tolist()
        if came != [pending.number] * shape.count:
            raise EngineLost(f"The GPU gave back frame {came[0]}, expected {pending.number}; use another engine.")
        return [_read(shape, slot.host_out, i) for i in range(shape.count)]

    def _start(self, shape: Shape, views: Sequence[View]) -> Pending:
        kept = self._of(shape)
        slot = kept.slots[kept.turn]
        kept.turn = (kept.turn + 1) % len(kept.slots)
        if slot.event is not None:
            slot.event.synchronize()  # the device may still be reading this slot's input
        self._number = (self._number + 1) % _NUMBERS
        _fill(slot.host_in, views, self._number, kept.way)
        cameras, masks = tuple(v.camera for v in views), tuple(v.blank for v in views)
        if cameras != kept.cameras:
            kept.way.point_at(cameras)
            kept.cameras = cameras
        if any(new is not old for new, old in zip(masks, kept.masks, strict=True)):
            kept.way.blank(masks)
            kept.masks = masks
        if self.graphs and slot.graph is None:
            slot.graph = self._captured(kept.way, slot)
        if slot.graph is not None:
            slot.graph.replay()
        else:
            self._steps(kept.way, slot)
        if slot.event is not None:
            slot.event.record(self.stream)
        return Pending(shape, self._number, slot)

    def _steps(self, way: Way, slot: _Slot) -> None:
        if self.cuda:
            slot.device_in.block.copy_(slot.host_in.block, non_blocking=True)
        colours = way.prepare(slot.device_in)
        outputs = way.infer(self.stream)
        way.answer(slot.device_in, colours, outputs, slot.device_out)
        if self.cuda:
            slot.host_out.block.copy_(slot.device_out.block, non_blocking=True)

    def _captured(self, way: Way, slot: _Slot) -> Any:
        """All steps as one graph, after a run of them that makes every table and lets the engine settle."""
        assert self.stream is not None
        self._steps(way, slot)
        self.stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Other threads, such as one that builds an engine, may call CUDA meanwhile.
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            self._steps(way, slot)
        return graph

    def _of(self, shape: Shape) -> _Kept:
        if shape not in self._kept:
            while len(self._kept) >= _SHAPES:
                self._kept.popitem(last=False)
            slots = [self._slot(shape) for _ in range(_SLOTS)]
            way = Way(self.card, self.engine, shape, self.device)
            self._kept[shape] = _Kept(way, slots, masks=(None,) * shape.count)
        self._kept.move_to_end(shape)
        return self._kept[shape]

    def _slot(self, shape: Shape) -> _Slot:
        device_in, device_out = input_block(shape, self.device), output_block(shape, self.device)
        if not self.cuda:
            return _Slot(device_in, device_in, device_out, device_out)
        host = torch.device("cpu")
        return _Slot(
            input_block(shape, host, pinned=True), device_in, device_out, output_block(shape, host, pinned=True),
            torch.cuda.Event(),
        )  # fmt: skip


def _fill(block: Input, views: Sequence[View], number: int, way: Way) -> None:
    block.number.fill_(number)
    factors, rows = block.factors.numpy(), block.rows.numpy()
    for i, view in enumerate(views):
        factors[i] = way.network_factor(view.camera), view.scale
        np.copyto(rows[i], view.rows)


def _read(shape: Shape, out: Output, i: int) -> Answer:
    count, too_far, known = out.counts[i].tolist()
    depth = None
    if shape.depth:
        depth = out.depth[i].numpy()
        depth = depth.view(np.uint16) if shape.depth == "16UC1" else depth
    cloud = None
    if shape.cloud:
        options, (rows, columns) = shape.cloud, shape.grid
        data = out.points[i, :count].numpy().reshape(-1).view(np.uint8)
        width, height = (columns, rows) if options.organised else (count, 1)
        cloud = Cloud(data, width, height, options.fields, not options.organised)
    return Answer(depth, cloud, too_far, known)


def _lost(error: RuntimeError) -> EngineLost:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return EngineLost(f"The GPU failed ({reason}); free its memory or restart the program, or use a CPU engine.")
