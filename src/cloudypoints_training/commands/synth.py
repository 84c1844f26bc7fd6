"""`cloudypoints-train synth`: draw street scenes with their exact depth."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cloudypoints_ros.camera import save_camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.files import replacing, write_png
from cloudypoints_training.arguments import natural, positive

CLIP_RATE_HZ = 17.0  # of Cityscapes sequences


def add(commands: Any) -> None:
    p = commands.add_parser("synth", help="draw scenes: a contact sheet, a folder, or a clip")
    p.add_argument("out", type=Path, help="a .jpg or .png for a contact sheet, else a folder")
    p.add_argument("--count", type=positive, default=24)
    p.add_argument("--seed", type=natural, default=0)
    p.add_argument("--clip", action="store_true", help="COUNT frames of one drive, in order, with poses.txt")
    p.add_argument(
        "--truth-every", type=positive, default=1, metavar="N", help="keep the depth of every N-th clip frame"
    )
    p.add_argument("--quality", type=int, default=95, help="of the JPEG images, 1 to 100")
    p.add_argument("--style", help="one style (default: a random training style each)")
    p.add_argument("--draw-on", choices=("cpu", "gpu"), default="cpu", help="gpu: NVIDIA; not for --clip")
    p.add_argument("--size", type=positive, nargs=2, default=(640, 320), metavar=("W", "H"))
    p.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    from tqdm import tqdm  # type: ignore[import-untyped]

    from cloudypoints_training.scenes import HELD_OUT_STYLES, STYLES, draw_each, drive, optical_pose

    if arguments.style not in (None, *STYLES, *HELD_OUT_STYLES):
        raise CloudyPointsError(
            f"There is no style '{arguments.style}'; choose one of {', '.join((*STYLES, *HELD_OUT_STYLES))}."
        )
    if arguments.clip and arguments.draw_on == "gpu":
        raise CloudyPointsError("A clip is drawn on the CPU only; leave --draw-on gpu away.")
    out, seed, (width, height) = arguments.out, arguments.seed, arguments.size
    if arguments.clip:
        views = []
        frames = drive(seed, arguments.count, CLIP_RATE_HZ, width, height)
        with tqdm(frames, total=arguments.count, unit="frame") as shown:
            for i, (scene, view) in enumerate(shown):
                views.append(view)
                write_image(out / "image" / f"{i:03}.jpg", scene.image, arguments.quality)
                if i % arguments.truth_every == 0:
                    write_depth(out / "depth" / f"{i:03}.png", scene.depth)
                save_camera(scene.camera, out / "camera.json", CLIP_RATE_HZ)
        write_poses(out / "poses.txt", [optical_pose(view, views[0]) for view in views])
        return
    seeds, device = range(seed, seed + arguments.count), {"cpu": "cpu", "gpu": "cuda"}[arguments.draw_on]
    drawn = draw_each(seeds, width, height, arguments.style, device)
    with tqdm(drawn, total=arguments.count, unit="scene") as scenes:
        if out.suffix in (".jpg", ".png"):
            write_image(out, contact_sheet([(s.image, s.depth) for s in scenes]))
            return
        for i, scene in enumerate(scenes):
            folder = out / f"{arguments.style or 'street'}_{seed + i:06}"
            write_image(folder / "image.jpg", scene.image, arguments.quality)
            write_depth(folder / "depth.png", scene.depth)
            write_png(np.where(np.isposinf(scene.depth), 255, 0).astype(np.uint8), folder / "sky.png")
            save_camera(scene.camera, folder / "camera.json")


def write_image(path: Path, rgb: Any, quality: int = 95) -> None:
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == ".jpg" else []
    done, encoded = cv2.imencode(path.suffix, np.ascontiguousarray(rgb[..., ::-1]), flags)
    if not done:
        raise CloudyPointsError(
            f"{path} cannot hold {rgb.shape[1]}x{rgb.shape[0]} pixels; draw fewer or smaller scenes, or write a folder."
        )
    with replacing(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def write_poses(path: Path, poses: Sequence[Any]) -> None:
    """KITTI odometry: a line per frame, 3x4 row by row, camera to the optical frame of the first camera, metres."""
    with replacing(path) as temporary:
        np.savetxt(temporary, np.reshape(poses, (len(poses), 12)), fmt="%.9e")


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
