"""Any depth network of `transformers` as a `DepthModel`: Depth Anything V2, DPT (MiDaS), GLPN, ZoeDepth.

Their answers become the log of metres for a camera of the canonical focal length by one learned factor, and for those
that answer relative inverse depth also a learned shift; `align` sets both from samples, so that training starts in
metres.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.models.base import DepthModel, InputSpec, Output

NEAREST_M, FARTHEST_M = 0.05, 500.0  # canonical; an inverse depth is kept above 1 / FARTHEST_M
SKY_SLOPE = 10.0  # of the sky logit: e^10 in odds for each factor e in depth


@dataclass(frozen=True)
class Architecture:
    """`metric`: whether it answers metres, else relative inverse depth. `multiple`: of its input's sides, at least."""

    metric: Callable[[Any], bool]
    multiple: Callable[[Any], int]


def _dpt_patch(config: Any) -> int:
    return _side(config.backbone_config.patch_size if _has_plain_backbone(config) else config.patch_size)


def _has_plain_backbone(config: Any) -> bool:
    return config.backbone_config is not None and not config.is_hybrid


def _side(size: Any) -> int:
    return int(size if isinstance(size, int) else size[0])


# By `model_type`. DPT on a backbone of its own is the DINOv2 series, which learned metres; the others are MiDaS.
ARCHITECTURES = {
    "depth_anything": Architecture(lambda c: c.depth_estimation_type == "metric", lambda c: _side(c.patch_size)),
    "dpt": Architecture(_has_plain_backbone, lambda c: 2 * _dpt_patch(c)),
    "glpn": Architecture(lambda c: True, lambda c: 32),
    "zoedepth": Architecture(lambda c: True, lambda c: 2 * _side(c.backbone_config.patch_size)),
}
Pair = tuple[Tensor, Tensor]  # network input 1 x 3 x H x W and canonical metres H x W

ENCODERS = ("backbone", "dpt", "glpn")  # the modules that are encoders, by their names in those networks


class HuggingFaceDepth(DepthModel):
    """A depth network of `transformers`.

    architecture: its configuration as JSON. input: the fields of `InputSpec`. source, licence: of its weights.
    sky_beyond_m: canonical depths beyond this are sky, and learn to be; none: the network knows no sky.
    """

    output_stride = 1
    free_size = False  # position embeddings are resized by Python, which a graph does not hold

    def __init__(
        self,
        architecture: Mapping[str, Any],
        input: Mapping[str, Any],
        source: str = "",
        licence: str = "unknown: the model says none",
        canonical_focal_px: float = 500.0,
        sky_beyond_m: float | None = None,
        network: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.config = {
            "kind": "huggingface",
            "architecture": dict(architecture),
            "input": {"mean": list(input["mean"]), "std": list(input["std"]), "multiple": input["multiple"]},
            "source": source,
            "licence": licence,
            "canonical_focal_px": canonical_focal_px,
            "sky_beyond_m": sky_beyond_m,
        }
        mean, std = (tuple(float(v) for v in input[name]) for name in ("mean", "std"))
        self.input = InputSpec(mean, std, int(input["multiple"]))  # type: ignore[arg-type]
        self.canonical_focal_px = canonical_focal_px
        self.licence = licence
        self.network = network or _build(architecture)
        kind = ARCHITECTURES[architecture["model_type"]]
        self.metric = kind.metric(self.network.config)
        self.log_factor = nn.Parameter(torch.zeros(()))
        self.shift = None if self.metric else nn.Parameter(torch.zeros(()))

    def forward(self, image: Tensor) -> Output:
        log_depth = self.to_log_depth(self.answer(image))
        beyond = self.config["sky_beyond_m"]
        sky = None if beyond is None else SKY_SLOPE * (log_depth - math.log(beyond))
        return Output(log_depth, sky, None)

    def answer(self, image: Tensor) -> Tensor:
        """What the network itself predicts, float32 N x 1 x H x W."""
        hooks = list(_any_size(self.network, *image.shape[2:]))
        try:
            depth: Tensor = self.network(pixel_values=image).predicted_depth[:, None].float()
        finally:
            for hook in hooks:
                hook.remove()
        if depth.shape[2:] != image.shape[2:]:
            depth = F.interpolate(depth, image.shape[2:], mode="bilinear")
        return depth

    def to_log_depth(self, answer: Tensor) -> Tensor:
        if self.shift is None:
            return torch.log(answer.clamp(min=1e-3)) + self.log_factor
        # Softplus keeps a gradient where the line would fall below the least inverse depth; far above it is the line.
        scaled = FARTHEST_M * (answer * torch.exp(self.log_factor) + self.shift)
        return math.log(FARTHEST_M) - torch.log(1 + F.softplus(scaled - 1))

    def pretrained(self) -> Iterator[str]:
        prefixes = tuple(f"network.{name}." for name in ENCODERS)
        return (name for name, _ in self.named_parameters() if name.startswith(prefixes))

    @torch.no_grad()
    def align(self, pairs: Iterable[Pair]) -> None:
        """Set factor and shift to what fits these best: network input 1 x 3 x H x W, canonical metres H x W.

        Depths that are not finite are left out. Metres by the median ratio, inverse depth by least squares of its
        relative error.
        """
        answers, depths = [], []
        for image, depth in pairs:
            known = torch.isfinite(depth) & (depth > NEAREST_M) & (depth < FARTHEST_M)
            answers.append(self.answer(image)[0, 0][known].double())
            depths.append(depth[known].double())
        answer, depth = torch.cat(answers), torch.cat(depths)
        if not len(depth):
            raise CloudyPointsError("No pixel to align with has a known depth; give samples with measured depth.")
        if self.shift is None:
            self.log_factor.fill_(torch.log(depth / answer.clamp(min=1e-3)).median())
            return
        columns = torch.stack([answer * depth, depth], 1)
        factor, shift = torch.linalg.lstsq(columns, torch.ones_like(depth)[:, None]).solution[:, 0]
        if not factor > 0:  # a network that has not learned to tell near from far
            factor, shift = 1 / (depth.median() * answer.median().clamp(min=1e-6)), torch.zeros(())
        self.log_factor.fill_(torch.log(factor))
        self.shift.fill_(shift)


def _any_size(network: nn.Module, height: int, width: int) -> Iterator[Any]:
    """Hooks that tell DPT the size of its patch grid: left alone it takes every picture for a square."""
    config: Any = network.config
    if config.model_type == "dpt" and not _has_plain_backbone(config):
        patch = _dpt_patch(config)
        neck, embeddings = (network.get_submodule(name) for name in ("neck", "dpt.embeddings"))
        yield neck.register_forward_pre_hook(partial(_with_grid, height // patch, width // patch))
        if config.is_hybrid:
            yield embeddings.register_forward_pre_hook(_with_resized_positions, with_kwargs=True)


def _with_grid(rows: int, columns: int, module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    return given[0], rows, columns


def _with_resized_positions(module: nn.Module, given: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return given, {**named, "interpolate_pos_encoding": True}


def load(name: str, canonical_focal_px: float = 500.0, sky_beyond_m: float | None = None) -> HuggingFaceDepth:
    """The network of that name on huggingface.co, or of a folder made by `save_pretrained`, with its weights."""
    transformers = _transformers()
    from transformers.image_processing_base import ImageProcessingMixin

    local = Path(name).is_dir()
    with _clear_errors(name, local):
        config = transformers.AutoConfig.from_pretrained(name)
    _require_known(config, name)
    with _clear_errors(name, local):
        spec = input_spec(ImageProcessingMixin.get_image_processor_dict(name)[0], config)
        network, found = transformers.AutoModelForDepthEstimation.from_pretrained(
            name, config=config, dtype=torch.float32, output_loading_info=True
        )
    # DPT never uses the first residual layer of its fusion, and published files lack it.
    missing = sorted(key for key in found["missing_keys"] if "fusion_stage.layers.0.residual_layer1" not in key)
    if missing:
        raise CloudyPointsError(
            f"{name} has no weights for {len(missing)} tensors of a depth network ({missing[0]} among them); "
            "give a model that was trained for depth estimation."
        )
    architecture = json.loads(config.to_json_string(use_diff=True))
    architecture.pop("_name_or_path", None)
    source = Path(name).resolve().name if local else name
    return HuggingFaceDepth(
        architecture, asdict(spec), source, licence(name, local), canonical_focal_px, sky_beyond_m, network
    ).eval()


def scene_pairs(model: DepthModel, count: int = 12, width: int = 640, height: int = 320) -> Iterator[Pair]:
    """Drawn scenes for `align`."""
    from cloudypoints_training.scenes import draw
    from cloudypoints_training.stream import letterbox

    red, green, blue = (round(level) for level in model.input.mean)
    for seed in range(count):
        sample = draw(seed, width, height)
        image, depth = letterbox(sample.image, sample.depth, model.input.multiple, (red, green, blue))
        canonical = torch.from_numpy(depth) * (model.canonical_focal_px / sample.camera.fx)
        yield model.normalise(torch.from_numpy(image)[None]), canonical


def input_spec(processor: Mapping[str, Any], config: Any) -> InputSpec:
    """From a preprocessor_config.json: `(pixel * rescale_factor - image_mean) / image_std`."""
    factor = float(processor.get("rescale_factor", 1 / 255)) if processor.get("do_rescale", True) else 1.0
    normalises = processor.get("do_normalize", "image_mean" in processor)
    mean, std = (_three(processor.get(key, 0.5)) if normalises else None for key in ("image_mean", "image_std"))
    multiple = math.lcm(
        ARCHITECTURES[config.model_type].multiple(config),
        *(int(processor.get(key) or 1) for key in ("ensure_multiple_of", "size_divisor")),
    )
    a, b, c = (v / factor for v in mean or (0.0, 0.0, 0.0))
    d, e, f = (v / factor for v in std or (1.0, 1.0, 1.0))
    return InputSpec((a, b, c), (d, e, f), multiple)


def licence(name: str, local: bool) -> str:
    """Of the weights, from the head of the model's README.md."""
    from huggingface_hub import hf_hub_download, metadata_load

    try:
        path = Path(name) / "README.md" if local else Path(hf_hub_download(name, "README.md"))
        data = metadata_load(path) or {}
    except Exception:  # no file, no network, no YAML: nobody says what the licence is
        data = {}
    return str(data.get("license_name") or data.get("license") or f"unknown: {Path(name).name} says none")


def _build(architecture: Mapping[str, Any]) -> nn.Module:
    transformers = _transformers()
    kind = architecture["model_type"]
    config = transformers.AutoConfig.for_model(**{**architecture, "model_type": kind})
    _require_known(config, kind)
    network: nn.Module = transformers.AutoModelForDepthEstimation.from_config(config)
    return network


def _require_known(config: Any, name: str) -> None:
    if config.model_type not in ARCHITECTURES:
        raise CloudyPointsError(
            f"{name} is a model of the kind {config.model_type}; expected a depth network of one of the kinds "
            f"{', '.join(ARCHITECTURES)}."
        )
    if config.model_type == "zoedepth" and len(config.bin_configurations) > 1:
        raise CloudyPointsError(
            f"{name} chooses between {len(config.bin_configurations)} heads by the picture, which cannot be exported; "
            "give a ZoeDepth of one head, such as Intel/zoedepth-kitti."
        )


def _three(value: Any) -> tuple[float, float, float]:
    a, b, c = [float(value)] * 3 if isinstance(value, int | float) else map(float, value)
    return a, b, c


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise CloudyPointsError(
            f"Networks of Hugging Face need the package transformers ({error}); install it with "
            "'pip install cloudypoints_training[huggingface]'."
        ) from error
    return transformers


@contextmanager
def _clear_errors(name: str, local: bool) -> Iterator[None]:
    """Say what to do about what `transformers` cannot load."""
    remedy = (
        "the folder must hold config.json, preprocessor_config.json and model.safetensors: save the model and its "
        "image processor there with save_pretrained"
        if local
        else "check the name, which needs huggingface.co to be reachable the first time, or give a local folder made "
        "by save_pretrained"
    )
    try:
        yield
    except CloudyPointsError:
        raise
    except Exception as error:  # transformers, huggingface_hub and safetensors raise many kinds, all meaning the same
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        raise CloudyPointsError(f"{name} cannot be loaded by transformers ({reason}); {remedy}.") from error
