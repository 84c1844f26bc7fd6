"""The networks of the bench, and PyTorch as an engine for the GPU frame."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from measuring import Bench
from torch import Tensor, nn

from cloudypoints_ros.model_card import InputSize, ModelCard, ModelInput, ModelOutput, card_path
from cloudypoints_ros.model_files import DEFAULT_MODEL, load_card

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Case:
    """A network at one input size (height, width), and the (width, height) of the camera before it."""

    name: str
    size: tuple[int, int]
    camera: tuple[int, int]
    make: Callable[[], nn.Module]  # always the same one
    card: ModelCard
    onnx: Path | None = None  # None where it has to be exported first
    note: str = ""

    def module(self) -> nn.Module:
        """A module of its own, in float32 on the CPU."""
        return copy.deepcopy(self.make()).eval()


@dataclass(frozen=True)
class Variant:
    """How PyTorch runs a network."""

    name: str
    dtype: torch.dtype
    compiled: bool = False
    graph: bool = False


VARIANTS = (
    Variant("torch eager, float32", torch.float32),
    Variant("torch eager, float16", torch.float16),
    Variant("torch with a CUDA graph, float16", torch.float16, graph=True),
    Variant("torch.compile with a CUDA graph, float16", torch.float16, compiled=True, graph=True),
)
FASTEST = VARIANTS[-1]


class Sized(nn.Module):
    """A network of `transformers`: image in, its depth by name out."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"depth": self.model(pixel_values=image).predicted_depth[:, None]}


class TorchEngine:
    """A module as an engine: tensors of the device in, float32 tensors of the device out."""

    precision, batch = "", 64

    def __init__(self, module: nn.Module, variant: Variant, bench: Bench) -> None:
        self.name, self._dtype = variant.name, variant.dtype
        ready = module.to(bench.device, variant.dtype).eval()
        # Channels last: convolutions on Tensor Cores want it; a transformer does not mind.
        for parameter in ready.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        # The compiler of a dry run checks the graph and generates nothing.
        backend = "eager" if bench.dry else "inductor"
        self._run: Any = torch.compile(ready, dynamic=False, backend=backend) if variant.compiled else ready

    def enqueue(self, inputs: Mapping[str, Tensor], stream: Any) -> dict[str, Tensor]:
        (image,) = inputs.values()
        with torch.inference_mode():
            outputs = self._run(image.to(self._dtype, memory_format=torch.channels_last))
            return {name: value.float() for name, value in outputs.items()}


def cases(bench: Bench) -> list[Case]:
    embedded = load_card(DEFAULT_MODEL)
    height, width = bench.pick((320, 640), (64, 128))
    size = replace(embedded.input.size, opt=(height, width))
    card = replace(embedded, input=replace(embedded.input, size=size))
    found = [Case("embedded", (height, width), bench.pick((2048, 1024), (250, 130)), _embedded, card, DEFAULT_MODEL)]
    network = partial(vit_s, bench.pick((3, 6, 9, 12), (1, 2, 3, 4)))
    shapes = bench.pick((((518, 518), (1024, 1024)), ((518, 1036), (2048, 1024))), (((70, 140), (200, 100)),))
    for size, camera in shapes:
        card = vit_card(size)
        found.append(Case("ViT-S", size, camera, network, card, note="random weights, as Depth Anything V2 Small"))
    return found


@cache
def _embedded() -> nn.Module:
    from onnx_in_torch import OnnxModule

    return OnnxModule(DEFAULT_MODEL)


@cache
def vit_s(read_after: tuple[int, ...]) -> nn.Module:
    """The architecture of Depth Anything V2 Small, 24.8 M parameters, with random weights.

    ``read_after`` says which layers the decoder reads; the last is the last there is.
    """
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation

    torch.manual_seed(0)
    config = DepthAnythingConfig(depth_estimation_type="metric", max_depth=80)
    config.backbone_config.num_hidden_layers = read_after[-1]
    config.backbone_config.stage_names = ["stem", *(f"stage{i + 1}" for i in range(read_after[-1]))]
    config.backbone_config.out_indices = list(read_after)
    return Sized(DepthAnythingForDepthEstimation(config))


def vit_card(size: tuple[int, int]) -> ModelCard:
    fixed = InputSize(size, size, size)
    taken = ModelInput("image", fixed, "letterbox", "rgb", 1 / 255, IMAGENET_MEAN, IMAGENET_STD)
    return ModelCard("vit_s_random", taken, ModelOutput("depth", "depth", "metre", (0.1, 80.0)), "none")


def operations(case: Case) -> float:
    """Floating-point operations of one image, two for a multiplication with its addition, as PyTorch counts them."""
    from torch.utils.flop_counter import FlopCounterMode

    module = case.module()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, 3, *case.size))
    return float(counter.get_total_flops())


class InOrder(nn.Module):
    """A module's outputs as a tuple, as an exporter wants them."""

    def __init__(self, module: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.module, self.names = module, names

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        outputs = self.module(image)
        return tuple(outputs[name] for name in self.names)


def onnx_file(case: Case, folder: Path, half: bool) -> tuple[Path, ModelCard]:
    """The case as an ONNX file of its size alone, in float32 or typed float16, with its card."""
    import onnx

    from cloudypoints_training.onnx_graph import to_onnx
    from cloudypoints_training.precision import half as as_half

    fixed = InputSize(case.size, case.size, case.size)
    card = replace(case.card, input=replace(case.card.input, size=fixed))
    module = case.module()
    with torch.inference_mode():
        names = tuple(module(torch.zeros(1, 3, *case.size)))
    graph = to_onnx(InOrder(module, names), names, case.size)
    path = folder / f"{case.card.name}_{case.size[0]}x{case.size[1]}_{'float16' if half else 'float32'}.onnx"
    onnx.save(as_half(graph) if half else graph, str(path))
    card_path(path).write_text(card.to_json(), encoding="utf-8")
    return path, card


def scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="cloudypoints_bench_")
