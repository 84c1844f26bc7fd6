"""Folders as huggingface.co has them, of the real classes of `transformers` with few and random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForDepthEstimation,
    DepthAnythingConfig,
    Dinov2Config,
    DPTConfig,
    GLPNConfig,
    PreTrainedConfig,
    ZoeDepthConfig,
)

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALVES = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
NECK = {"neck_hidden_sizes": [4, 8, 8, 8], "fusion_hidden_size": 8}
VIT = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32}


def dinov2() -> PreTrainedConfig:
    return Dinov2Config(
        image_size=28,
        patch_size=14,
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
    )


def depth_anything(kind: str = "metric") -> PreTrainedConfig:
    return DepthAnythingConfig(
        backbone_config=dinov2(),
        reassemble_hidden_size=16,
        head_hidden_size=4,
        depth_estimation_type=kind,
        max_depth=80,
        **NECK,
    )


def dpt() -> PreTrainedConfig:
    return DPTConfig(image_size=32, patch_size=16, backbone_out_indices=[0, 1, 2, 3], **VIT, **NECK)


def dpt_dinov2() -> PreTrainedConfig:
    return DPTConfig(backbone_config=dinov2(), hidden_size=16, backbone_out_indices=None, **NECK)


def dpt_hybrid() -> PreTrainedConfig:
    bit = AutoConfig.for_model(
        "bit",
        global_padding="same",
        layer_type="bottleneck",
        depths=[1, 1, 1],
        out_features=["stage1", "stage2", "stage3"],
        embedding_dynamic_padding=True,
        hidden_sizes=[16, 32, 64],
        embedding_size=8,
        num_groups=2,
    )
    return DPTConfig(
        is_hybrid=True,
        backbone_config=bit,
        image_size=32,
        patch_size=16,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[16, 32, 8, 8],
        fusion_hidden_size=8,
        backbone_featmap_shape=[1, 64, 2, 2],
        **VIT,
    )


def glpn() -> PreTrainedConfig:
    return GLPNConfig(
        hidden_sizes=[8] * 4, depths=[1] * 4, num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=8, max_depth=80
    )


def zoedepth(heads: int = 1) -> PreTrainedConfig:
    beit = AutoConfig.for_model(
        "beit",
        image_size=32,
        patch_size=16,
        use_relative_position_bias=True,
        reshape_hidden_states=False,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        **VIT,
    )
    bins = [{"n_bins": 8, "min_depth": 0.001, "max_depth": far, "name": f"to{far:g}"} for far in (80.0, 10.0)]
    return ZoeDepthConfig(
        backbone_config=beit,
        num_relative_features=4,
        bottleneck_features=8,
        num_attractors=[4, 2, 2, 1],
        bin_embedding_dim=8,
        bin_configurations=bins[:heads],
        num_patch_transformer_layers=1,
        patch_transformer_hidden_size=8,
        patch_transformer_intermediate_size=8,
        patch_transformer_num_attention_heads=2,
        **NECK,
    )


# Configuration, preprocessor_config.json, multiple of the input's sides, whether it answers metres.
NETWORKS: dict[str, tuple[PreTrainedConfig, dict[str, Any], int, bool]] = {
    "depth_anything_metric": (depth_anything(), {**IMAGENET, "ensure_multiple_of": 14}, 14, True),
    "depth_anything_relative": (depth_anything("relative"), {**IMAGENET, "ensure_multiple_of": 14}, 14, False),
    "dpt": (dpt(), {**HALVES, "ensure_multiple_of": 1}, 32, False),
    "dpt_hybrid": (dpt_hybrid(), {**HALVES, "rescale_factor": 1 / 255}, 32, False),
    "dpt_dinov2": (dpt_dinov2(), {**IMAGENET, "rescale_factor": 0.00392156862745098}, 28, True),
    "glpn": (glpn(), {"size_divisor": 32, "do_rescale": True}, 32, True),
    "zoedepth": (zoedepth(), {**HALVES, "ensure_multiple_of": 32}, 32, True),
}


def network(config: PreTrainedConfig, seed: int = 0) -> torch.nn.Module:
    """Random weights large enough that the answer depends on the picture and is positive."""
    torch.manual_seed(seed)
    model = AutoModelForDepthEstimation.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.15 * torch.randn_like(parameter)
        if config.model_type in ("dpt", "depth_anything"):
            last = [m for m in model.head.modules() if isinstance(m, torch.nn.Conv2d)][-1]
            last.bias.fill_(1.0)
    return model.eval()


def write_folder(folder: Path, name: str, readme: str | None = "---\nlicense: apache-2.0\n---\nA network.\n") -> Path:
    """A network as `save_pretrained` writes it."""
    config, processor, _, _ = NETWORKS[name]
    network(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    if readme:
        (folder / "README.md").write_text(readme)
    return folder
