"""`cloudypoints-train export`: a checkpoint to ONNX with its card."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.arguments import positive

if TYPE_CHECKING:
    import numpy as np

    from cloudypoints_training.evaluation.validation import Scene
    from cloudypoints_training.models import DepthModel

Size = tuple[int, int]  # height, width


def add(commands: Any) -> None:
    p = commands.add_parser(
        "export",
        help="checkpoint to ONNX with its card",
        description="Write an ONNX file and its card, after ONNX Runtime has given PyTorch's numbers. Without a "
        "choice the graph computes in float32, for every engine.",
    )
    p.add_argument("checkpoint", type=Path, help="checkpoint.safetensors")
    p.add_argument("model", type=Path, help="NAME.onnx to write; NAME.card.json comes beside it")
    p.add_argument("--fixed", type=size, metavar="HxW", help="takes this size only; else any, where the network can")
    kinds = p.add_mutually_exclusive_group()
    for precision, words in {
        "half": "compute in float16, typed: for TensorRT; slow on a CPU",
        "small": "store weights in float16 and compute in float32: half the file for ONNX Runtime",
        "int8": "8-bit integers: for CPUs with VNNI; refused if scores on drawn scenes move by 2 %% or more",
    }.items():
        kinds.add_argument(f"--{precision}", dest="precision", action="store_const", const=precision, help=words)
    p.add_argument("--calibration", type=positive, default=24, metavar="N", help="drawn scenes that set int8's ranges")
    p.add_argument("--validation-scenes", type=positive, default=16, metavar="N", help="of each kind that judge int8")
    p.add_argument("--threads", type=positive, default=2, help="for int8's scores")
    p.set_defaults(run=run, precision="float32")


def size(text: str) -> Size:
    """An argument such as 320x640: height and width."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"'{text}' was given; expected height and width such as 320x640")
    return int(parts[0]), int(parts[1])


def run(arguments: argparse.Namespace) -> None:
    from cloudypoints_training.checkpoint import load_averaged
    from cloudypoints_training.provenance import licence

    if arguments.model.suffix != ".onnx":
        raise CloudyPointsError(f"The model to write is {arguments.model}; give a name that ends in .onnx.")
    if not arguments.checkpoint.is_file():
        raise CloudyPointsError(f"There is no checkpoint {arguments.checkpoint}; train one with fit.")
    model, record = load_averaged(arguments.checkpoint)
    given: dict[str, Any] = {
        "model": model,
        "path": arguments.model,
        "name": arguments.model.stem,
        "provenance": provenance(record, arguments),
        "licence": licence(model.licence, record.get("data")),
    }
    if arguments.precision == "int8":
        write_int8(arguments, given)
    else:
        write(arguments, given)


def write(arguments: argparse.Namespace, given: dict[str, Any]) -> None:
    import onnx

    from cloudypoints_training.export import export
    from cloudypoints_training.tensorrt import obstacles

    done = export(**given, precision=arguments.precision, fixed=arguments.fixed)
    print(done)
    found = obstacles(onnx.load(arguments.model)) if arguments.precision != "small" else []
    if found:
        print(f"TensorRT will not take it: {', '.join(found)}")


def write_int8(arguments: argparse.Namespace, given: dict[str, Any]) -> None:
    from cloudypoints_training.export import taken_size
    from cloudypoints_training.quantise import export_int8

    model: DepthModel = given["model"]
    fixed = taken_size(model, arguments.fixed)
    images = calibration_images(model, fixed, arguments.calibration)
    scenes = validation_scenes(fixed, arguments.validation_scenes)
    done, change = export_int8(**given, images=images, scenes=scenes, fixed=fixed, threads=arguments.threads)
    print(f"{done}\n{change}")


def calibration_images(model: DepthModel, fixed: Size | None, count: int) -> list[np.ndarray]:
    """Scenes of training seeds as network input."""
    import torch
    from tqdm import tqdm  # type: ignore[import-untyped]

    from cloudypoints_training.export import SIZES, multiples
    from cloudypoints_training.scenes import draw

    height, width = fixed or multiples(SIZES[1], model.input.multiple)
    images = (draw(seed, width, height).image for seed in tqdm(range(count), "calibration", unit="scene"))
    return [model.normalise(torch.from_numpy(image)[None]).contiguous().numpy() for image in images]


def validation_scenes(fixed: Size | None, count: int) -> dict[str, list[Scene]]:
    """Scenes of unseen seeds, of the seen styles and of each held-out one."""
    from cloudypoints_training.evaluation.validation import Scene, draw_scenes
    from cloudypoints_training.scenes import HELD_OUT_STYLES, draw
    from cloudypoints_training.stream import VALIDATION_SEED

    kinds = {"seen": None, **{style: style for style in HELD_OUT_STYLES}}
    if fixed is None:
        return {name: draw_scenes(draw, style, count) for name, style in kinds.items()}
    height, width = fixed

    def scene(seed: int, style: str | None) -> Scene:
        drawn = draw(seed, width, height, style)
        return Scene(drawn.image, drawn.depth, drawn.camera.fx)

    return {name: [scene(VALIDATION_SEED + i, style) for i in range(count)] for name, style in kinds.items()}


def provenance(record: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """What the card says of where the weights come from."""
    from cloudypoints_training.provenance import provenance

    return provenance(record, arguments.checkpoint.with_name("log.jsonl"))
