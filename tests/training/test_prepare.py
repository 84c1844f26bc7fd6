from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from cityscapes_tree import write_tree

from cloudypoints_ros.camera import load_camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.sources import read_image, read_truth
from cloudypoints_training.cityscapes import fold_of, read_rig
from cloudypoints_training.cli import main
from cloudypoints_training.conversion import Settings, kitti
from cloudypoints_training.manifest import opened
from cloudypoints_training.prepare import key_of, prepare

CITY = {"train": {"aachen": 1}}
NO_LABELS = ("leftImg8bit", "disparity", "camera")


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "cloudypoints_training.cli", "prepare", *words]


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_depth_is_metres_where_stereo_saw_and_nothing_elsewhere(tmp_path: Path) -> None:
    (written,) = write_tree(tmp_path / "in", CITY)
    assert (
        main(["prepare", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--depth", "npy", "--strip", "0.05"]) == 0
    )
    folder = tmp_path / "out/train/aachen/aachen_000000_000019"
    depth = np.load(folder / "depth.npy")
    height, width = depth.shape
    sky = np.isinf(written.depth)
    gone = written.unseen.copy()
    gone[:, : round(0.05 * width)] = True
    gone &= ~sky  # which the labels know wherever it is
    gone[-height // 8 :] = True  # the ego vehicle's label
    gone[:2] = gone[height * 3 // 4 :, -4:] = True  # out of the region of interest, and the border of rectification
    np.testing.assert_array_equal(np.isnan(depth), gone)
    np.testing.assert_array_equal(np.isposinf(depth), sky & ~gone)
    known = np.isfinite(depth)
    bf = written.rig.baseline_m * written.rig.camera.fx
    assert np.abs(bf / depth[known] - bf / written.depth[known]).max() <= 0.5 / 256 + 1e-4
    np.testing.assert_array_equal(cv2.imread(str(folder / "sky.png"), 0) == 255, sky & ~gone)
    assert (folder / "image.png").read_bytes() == written.frame.require("leftImg8bit").read_bytes()
    assert load_camera(folder / "camera.json") == written.rig.camera


def test_without_labels_the_hood_is_the_lowest_quarter_and_sky_is_unknown(tmp_path: Path) -> None:
    (written,) = write_tree(tmp_path / "in", CITY, kinds=NO_LABELS)
    prepare(tmp_path / "in", tmp_path / "out", Settings(strip=0))
    folder = tmp_path / "out" / key_of(written.frame)
    depth = read_truth(folder / "depth.png")
    assert np.isnan(depth[-32:]).all() and np.isfinite(depth[-33]).any()
    assert np.isnan(depth[:, [0, -1]]).all() and np.isfinite(depth[:, -2]).any()  # what rectification may leave
    assert np.isnan(depth[np.isinf(written.depth)]).all()
    assert not (folder / "sky.png").exists()
    known = np.isfinite(depth)
    bf = written.rig.baseline_m * written.rig.camera.fx
    step = depth[known] ** 2 / bf * 0.5 / 256 + 0.5 / 256  # half of the disparity's, half of the PNG's
    assert (np.abs(depth[known] - written.depth[known]) < 1.05 * step).all()


def test_a_png_holds_up_to_256_metres() -> None:
    depth = np.array([[0.5, 255.99, 256.5, 1e9, np.inf, np.nan]], np.float32)
    assert kitti(depth).tolist() == [[128, 65533, 0, 0, 0, 0]]


def test_a_match_outside_the_right_image_is_no_measurement(tmp_path: Path) -> None:
    (written,) = write_tree(tmp_path / "in", CITY, kinds=NO_LABELS)
    path = written.frame.require("disparity")
    raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    raw[40, 20:40] = 30 * 256 + 1  # 30 pixels, which only columns from 30 on can have
    raw[41, 50:60] = 1
    cv2.imwrite(str(path), raw)
    prepare(tmp_path / "in", tmp_path / "out", Settings(strip=0))
    folder = tmp_path / "out" / key_of(written.frame)
    depth = read_truth(folder / "depth.png")
    assert np.isnan(depth[40, 20:30]).all()
    bf = written.rig.baseline_m * written.rig.camera.fx
    np.testing.assert_allclose(depth[40, 30:40], bf / 30, atol=0.5 / 256)
    sky = cv2.imread(str(folder / "sky.png"), cv2.IMREAD_UNCHANGED)
    assert (sky[41, 50:60] == 255).all() and (sky > 0).sum() == 10 and np.isnan(depth[41, 50:60]).all()


def test_every_frame_is_converted_with_its_own_rig(tmp_path: Path) -> None:
    first, second = write_tree(tmp_path / "in", {"train": {"aachen": 2}}, kinds=NO_LABELS)
    camera = second.frame.require("camera")
    camera.write_text(camera.read_text().replace(str(second.rig.baseline_m), "0.3"))
    shutil.copy(first.frame.require("disparity"), second.frame.require("disparity"))
    prepare(tmp_path / "in", tmp_path / "out", Settings(depth="npy"))
    one, other = (np.load(tmp_path / "out" / key_of(w.frame) / "depth.npy") for w in (first, second))
    known = np.isfinite(one)
    assert read_rig(camera, (256, 128)).baseline_m == 0.3 and known.mean() > 0.2
    np.testing.assert_allclose(other[known], one[known] * (0.3 / first.rig.baseline_m), rtol=1e-6)


@pytest.mark.parametrize("image", ["png", "jpg"])
def test_crop_and_size_give_the_camera_of_the_result(tmp_path: Path, image: str) -> None:
    (written,) = write_tree(tmp_path / "in", CITY)
    words = [str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--crop", "40", "20", "200", "96", "--size", "100"]
    assert main(["prepare", *words, "48", "--depth", "npy", "--image", image]) == 0
    folder = tmp_path / "out" / key_of(written.frame)
    camera, depth, sky = (
        load_camera(folder / "camera.json"),
        np.load(folder / "depth.npy"),
        cv2.imread(str(folder / "sky.png"), cv2.IMREAD_UNCHANGED),
    )
    picture = read_image(folder / f"image.{image}")
    assert depth.shape == sky.shape == (48, 100) and picture.shape == (48, 100, 3)
    expected = cv2.resize(written.image[20:116, 40:240], (100, 48), interpolation=cv2.INTER_AREA)[..., ::-1]
    assert np.abs(picture.astype(float) - expected).mean() < (0.01 if image == "png" else 8)
    assert camera == written.rig.camera.cropped(40, 20, 200, 96).resized(100, 48)
    np.testing.assert_array_equal(sky == 255, np.isposinf(depth))
    # The road 1.22 m below the camera fulfils the equation of the new camera, where all that a pixel covers is road.
    rig, below = written.rig, np.arange(128)[:, None] - written.rig.camera.cy
    road = np.isclose(1.22 * rig.camera.fy / written.depth, below, rtol=1e-4) & ~written.unseen
    pixels = road[20:116, 40:240].reshape(48, 2, 100, 2).all((1, 3)) & np.isfinite(depth)
    assert pixels.sum() > 1000
    truth = 1.22 * camera.fy / (np.nonzero(pixels)[0] - camera.cy)
    bf = rig.baseline_m * rig.camera.fx
    assert np.abs(bf / depth[pixels] - bf / truth).max() < 0.5 / 256 + 1e-3


def test_the_manifest_has_hashes_folds_and_the_licence(tmp_path: Path) -> None:
    written = write_tree(tmp_path / "in", {"train": {"aachen": 1, "bremen": 1}, "val": {"frankfurt": 1}})
    outcome = prepare(tmp_path / "in", tmp_path / "out", Settings(), jobs=2, folds=3)
    assert (outcome.made, outcome.kept, outcome.without, outcome.broken) == (3, 0, 0, {})
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert "non-commercial" in manifest["notice"] and set(manifest["frames"]) == {key_of(w.frame) for w in written}
    for w in written:
        record = manifest["frames"][key_of(w.frame)]
        for name, digest in record["outputs"].items():
            file = tmp_path / "out" / key_of(w.frame) / name
            assert hashlib.sha256(file.read_bytes()).hexdigest() == digest
        path = w.frame.require("disparity")
        assert record["inputs"]["disparity"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert record.get("fold") == (fold_of(w.frame.city, 3) if w.frame.split == "train" else None)
    assert not (tmp_path / "out/manifest.jsonl").exists()
    # Other folds need no frame made again.
    assert prepare(tmp_path / "in", tmp_path / "out", Settings(), folds=0).kept == 3
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert not any("fold" in record for record in manifest["frames"].values())


def test_a_broken_frame_is_named_and_the_rest_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = write_tree(tmp_path / "in", {"train": {"aachen": 3}})
    path = written[1].frame.require("disparity")
    good = path.read_bytes()
    path.write_bytes(good[:100])
    words = ["prepare", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    assert main(words) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "1 of the frames could not be prepared (train/aachen/aachen_000001_000019)" in said
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert len(manifest["frames"]) == 2 and "unreadable" in manifest["broken"][key_of(written[1].frame)]
    path.write_bytes(good)
    assert main(words) == 0
    assert "1 frames made, 2 were there" in capsys.readouterr().out
    assert json.loads((tmp_path / "out/manifest.json").read_text())["broken"] == {}


@pytest.mark.parametrize(
    ("kind", "spoil", "said"),
    [
        ("leftImg8bit", lambda path: path.write_bytes(path.read_bytes()[:500]), "leftImg8bit.png cannot be read"),
        ("camera", lambda path: path.unlink(), "has no camera file; unpack"),
        ("camera", lambda path: path.write_text("{}"), "KeyError: 'intrinsic'"),
        ("labelIds", lambda path: cv2.imwrite(str(path), np.zeros((9, 9), np.uint8)), r"shape \(9, 9\); expected"),
        ("disparity", lambda path: cv2.imwrite(str(path), np.ones((9, 7), np.uint16)), "is 7x9 but its image is 256x"),
    ],
)
def test_what_is_broken_is_said(tmp_path: Path, kind: str, spoil: Callable[[Path], object], said: str) -> None:
    written = write_tree(tmp_path / "in", {"train": {"aachen": 2}})
    spoil(written[0].frame.require(kind))
    outcome = prepare(tmp_path / "in", tmp_path / "out", Settings())
    assert outcome.made == 1 and outcome.broken.keys() == {key_of(written[0].frame)}
    assert re.search(said, outcome.broken[key_of(written[0].frame)])
    assert not (tmp_path / "out" / key_of(written[0].frame)).exists()


def test_frames_without_disparity_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = write_tree(tmp_path / "in", {"train": {"aachen": 3}})
    written[0].frame.require("disparity").unlink()
    assert main(["prepare", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--limit", "1"]) == 0
    assert "1 frames made, 0 were there, 1 have no disparity" in capsys.readouterr().out
    assert (tmp_path / "out" / key_of(written[1].frame)).is_dir()


def test_other_settings_are_refused(tmp_path: Path) -> None:
    write_tree(tmp_path / "in", CITY)
    prepare(tmp_path / "in", tmp_path / "out", Settings())
    with pytest.raises(CloudyPointsError, match=r"out was prepared with size None but now \[128, 64\]; repeat"):
        prepare(tmp_path / "in", tmp_path / "out", Settings(size=(128, 64)))
    (tmp_path / "out/manifest.json").write_text('{"settings": ')
    with pytest.raises(
        CloudyPointsError, match=r"manifest\.json is no manifest .* delete it to prepare every frame anew"
    ):
        prepare(tmp_path / "in", tmp_path / "out", Settings())


def test_what_a_killed_run_noted_is_in_the_manifest_before_another_begins(tmp_path: Path) -> None:
    record = {"known": 0.5, "inputs": {}, "outputs": {}}
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"frame": "train/ulm/ulm_1", **record}) + '\n{"frame": "tr')
    with opened(tmp_path, Settings(), 3):
        kept = json.loads((tmp_path / "manifest.json").read_text())["frames"]
        assert kept == {"train/ulm/ulm_1": {**record, "fold": fold_of("ulm", 3)}}
        assert (tmp_path / "manifest.jsonl").read_text() == ""  # no new line continues the torn one


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path) -> None:
    write_tree(tmp_path / "in", CITY)
    with opened(tmp_path / "out", Settings(), 0), pytest.raises(CloudyPointsError, match="Another run is writing to"):
        prepare(tmp_path / "in", tmp_path / "out", Settings())
    assert prepare(tmp_path / "in", tmp_path / "out", Settings()).made == 1


def test_an_output_that_was_damaged_is_made_again(tmp_path: Path) -> None:
    written = write_tree(tmp_path / "in", {"train": {"aachen": 2}})
    prepare(tmp_path / "in", tmp_path / "out", Settings())
    whole = contents(tmp_path / "out")
    depth = tmp_path / "out" / key_of(written[1].frame) / "depth.png"
    depth.write_bytes(depth.read_bytes()[:-5] + b"12345")
    outcome = prepare(tmp_path / "in", tmp_path / "out", Settings())
    assert (outcome.made, outcome.kept) == (1, 1) and contents(tmp_path / "out") == whole


def test_a_changed_input_is_prepared_again(tmp_path: Path) -> None:
    (written,) = write_tree(tmp_path / "in", CITY)
    prepare(tmp_path / "in", tmp_path / "out", Settings())
    camera = written.frame.require("camera")
    camera.write_text(camera.read_text().replace(str(written.rig.baseline_m), str(2 * written.rig.baseline_m)))
    before = read_truth(tmp_path / "out" / key_of(written.frame) / "depth.png")
    assert prepare(tmp_path / "in", tmp_path / "out", Settings()).made == 1
    after = read_truth(tmp_path / "out" / key_of(written.frame) / "depth.png")
    near = before < 125  # what is twice as far still fits the PNG
    np.testing.assert_allclose(after[near], 2 * before[near], atol=1.6 / 256)


@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_a_run_that_was_cut_off_is_completed_by_the_same_command(
    tmp_path: Path, how: signal.Signals, code: int
) -> None:
    written = write_tree(tmp_path / "in", {"train": {"aachen": 40}}, size=(512, 256))
    prepare(tmp_path / "in", tmp_path / "whole", Settings(image="jpg"), jobs=2)
    words = command(str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--image", "jpg", "--jobs", "2")
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    journal = tmp_path / "out/manifest.jsonl"
    deadline = time.monotonic() + 60
    while not (journal.exists() and journal.read_text().count("\n") >= 5) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(how)
    _, said = process.communicate(timeout=30)
    assert process.returncode == code and "Traceback" not in said
    begun = [json.loads(line)["frame"] for line in journal.read_text().splitlines()]
    assert 5 <= len(begun) < 40
    # What a kill may leave at the worst moment: a torn line and a torn file.
    with journal.open("a") as file:
        file.write('{"frame": "train/aa')
    last = key_of(written[-1].frame)
    (tmp_path / "out" / last).mkdir(parents=True, exist_ok=True)
    (tmp_path / "out" / last / ".depth.png.7.part.png").write_bytes(b"half")
    before = {key: (tmp_path / "out" / key / "depth.png").stat().st_mtime_ns for key in begun}
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"{40 - len(begun)} frames made, {len(begun)} were there" in done.stdout
    assert before == {key: (tmp_path / "out" / key / "depth.png").stat().st_mtime_ns for key in begun}
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_full_disk_is_a_sentence_and_what_is_finished_stays(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    mount = f"mount -t tmpfs -o size=300k none {tmp_path}/small"
    user = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*user, mount], capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    write_tree(tmp_path / "in", {"train": {"aachen": 12}}, size=(256, 128))
    out = tmp_path / "small/out"
    script = (
        f"{mount} && {' '.join(command(str(tmp_path / 'in'), '-o', str(out)))}; echo code $?; ls {out}/train/aachen"
    )
    done = subprocess.run([*user, script], capture_output=True, text=True, timeout=60, env=os.environ)
    assert "code 2" in done.stdout and "Traceback" not in done.stderr
    assert "cannot be written (No space left on device); check that" in done.stderr.splitlines()[-1]
    assert 2 <= len(done.stdout.split("code 2")[1].split()) < 12


def test_a_tree_without_disparity_is_a_sentence(tmp_path: Path) -> None:
    write_tree(tmp_path / "in", CITY, kinds=("leftImg8bit", "camera"))
    with pytest.raises(
        CloudyPointsError, match=r"No frame under .* has a disparity; unpack disparity_trainvaltest.zip"
    ):
        prepare(tmp_path / "in", tmp_path / "out", Settings())
