"""``cloudypoints predict`` as people type it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_models import expected_depth, write_model

from cloudypoints_ros.camera import Camera, save_camera

CAMERA = Camera(96, 64, 80.0, 80.0, 47.5, 31.5)


def cloudypoints(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cloudypoints_ros.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two scenes in folders of their own; a depth file that is not an image."""
    for i, name in enumerate(("a", "deep/b")):
        folder = tmp_path / "tree" / name
        folder.mkdir(parents=True)
        image = np.zeros((64, 96, 3), np.uint8)
        image[..., 2] = 40 + 100 * i  # red
        image[:16, :, 0] = 255  # blue: sky
        cv2.imwrite(str(folder / "image.png"), image)
        cv2.imwrite(str(folder / "depth.png"), np.zeros((64, 96), np.uint16))
        save_camera(CAMERA, folder / "camera.json")
    return tmp_path / "tree"


def test_a_tree_is_mirrored_in_every_format(tree: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    formats = [word for name in ("npy", "png", "color", "ply") for word in ("--format", name)]
    done = cloudypoints("predict", tree, "-o", tmp_path / "out", "--model", model, *formats)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 images" in done.stdout
    written = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert written == sorted(f"{d}/image{s}" for d in ("a", "deep/b") for s in (".npy", ".png", "_color.png", ".ply"))
    depth = np.load(tmp_path / "out" / "deep/b/image.npy")
    metres = float(expected_depth(np.array(140)))
    assert depth.shape == (64, 96) and np.isposinf(depth[:16]).all()
    np.testing.assert_allclose(depth[17:], metres, rtol=1e-4)
    png = cv2.imread(str(tmp_path / "out" / "deep/b/image.png"), cv2.IMREAD_UNCHANGED)
    assert png.dtype == np.uint16 and (png[:16] == 0).all() and abs(int(png[40, 40]) - metres * 1000) <= 2
    assert cv2.imread(str(tmp_path / "out" / "a/image_color.png")).shape == (64, 96, 3)
    finite = np.isfinite(depth).sum()
    assert f"element vertex {finite}\n".encode() in (tmp_path / "out" / "deep/b/image.ply").read_bytes()


@pytest.mark.parametrize("options", [["--fx", 80, "--fy", 80, "--cx", 47.5, "--cy", 31.5], ["--hfov", 61.9275]])
def test_intrinsics_from_the_command_line(tree: Path, tmp_path: Path, options: list) -> None:
    (tree / "a" / "camera.json").unlink()
    model = write_model(tmp_path / "model", canonical_focal_px=40.0)
    image = tree / "a" / "image.png"
    done = cloudypoints("predict", image, "-o", tmp_path, "--format", "npy", "--model", model, *options)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "image.npy")[17:], 2 * expected_depth(np.array(40)), rtol=1e-3)


def test_one_bad_image_costs_only_itself(tree: Path, tmp_path: Path) -> None:
    (tree / "a" / "image.png").write_bytes(b"not a picture")
    done = cloudypoints("predict", tree, "-o", tmp_path / "out", "--model", write_model(tmp_path / "model"))
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "1 of 2 images failed" in done.stderr and "a/image.png cannot be read" in done.stderr
    assert (tmp_path / "out" / "deep/b/image.npy").is_file()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["absent"], "does not exist"),
        (["{tree}/a/image.png", "--fx", "80", "--hfov", "60"], "give it one way"),
        (["{tree}", "--model", "absent.onnx"], "There is no model file absent.onnx"),
        (["{tree}", "--stride", "0"], "stride is 0"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence_and_exit_2(tree: Path, arguments: list[str], sentence: str) -> None:
    done = cloudypoints("predict", *(a.format(tree=tree) for a in arguments), "-o", tree / "out")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert sentence in done.stderr


def test_without_a_camera_the_remedy_is_named(tree: Path) -> None:
    (tree / "a" / "camera.json").unlink()
    done = cloudypoints("predict", tree / "a", "-o", tree / "out")
    assert done.returncode == 2
    assert "No camera file was found" in done.stderr and "--hfov" in done.stderr


def test_an_output_that_cannot_be_written(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    model = write_model(tmp_path / "model")
    done = cloudypoints("predict", tree, "-o", tmp_path / "file", "--model", model)
    assert done.returncode == 2 and "cannot be written" in done.stderr and "Traceback" not in done.stderr


def test_two_images_never_share_an_output(tree: Path, tmp_path: Path) -> None:
    done = cloudypoints("predict", tree / "a", tree / "deep/b", "-o", tmp_path / "out")
    assert done.returncode == 2 and "would replace" in done.stderr and not (tmp_path / "out").exists()


def test_results_beside_their_images_are_not_predicted_again(tree: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    for output in (tree, tree / "out"):
        for _ in range(2):
            done = cloudypoints("predict", tree, "-o", output, "--model", model, "--format", "npy", "--format", "color")
            assert done.returncode == 0, done.stderr
            assert "2 of 2 images" in done.stdout


def test_an_image_is_never_replaced_by_its_depth(tree: Path, tmp_path: Path) -> None:
    image = tree / "a" / "image.png"
    before = image.read_bytes()
    for output in (tree / "a", tree / "a" / ".." / "a"):
        done = cloudypoints("predict", image, "-o", output, "--format", "png")
        assert done.returncode == 2 and "would replace it" in done.stderr
    assert image.read_bytes() == before


def test_two_images_of_one_stem_never_share_a_result(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        cv2.imwrite(str(tmp_path / name), np.zeros((64, 96, 3), np.uint8))
    done = cloudypoints("predict", tmp_path, "-o", tmp_path / "out", "--hfov", 60)
    assert done.returncode == 2 and "would replace" in done.stderr
