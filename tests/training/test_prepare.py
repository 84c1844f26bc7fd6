from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from cityscapes_tree import write_tree

from cloudypoints_ros.camera import load_camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.sources import read_image, read_truth
from cloudypoints_training.cli import main
from cloudypoints_training.prepare import Settings, fold_of, key_of, prepare

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
    gone = written.unseen & ~sky
    gone[:, : round(0.05 * width)] = True
    gone[-height // 8 :] = True  # the ego vehicle's label
    gone[:2] = True  # out of the region of interest
    np.testing.assert_array_equal(np.isnan(depth), gone)
    np.testing.assert_array_equal(np.isposinf(depth), sky & ~gone)
    known = np.isfinite(depth)
    bf = written.rig.baseline_m * written.rig.camera.fx
    assert np.abs(bf / depth[known] - bf / written.depth[known]).max() <= 0.5 / 256 + 1e-4
    np.testing.assert_array_equal(cv2.imread(str(folder / "sky.png"), 0) == 255, sky & ~gone)
    np.testing.assert_array_equal(read_image(folder / "image.png"), written.image[..., ::-1])
    assert load_camera(folder / "camera.json") == written.rig.camera


def test_without_labels_the_hood_is_the_lowest_quarter_and_sky_is_unknown(tmp_path: Path) -> None:
    (written,) = write_tree(tmp_path / "in", CITY, kinds=NO_LABELS)
    prepare(tmp_path / "in", tmp_path / "out", Settings(strip=0))
    folder = tmp_path / "out" / key_of(written.frame)
    depth = read_truth(folder / "depth.png")
    assert np.isnan(depth[-32:]).all() and np.isfinite(depth[-33]).any()
    assert np.isnan(depth[np.isinf(written.depth)]).all()
    assert not (folder / "sky.png").exists()
    known = np.isfinite(depth)
    bf = written.rig.baseline_m * written.rig.camera.fx
    step = depth[known] ** 2 / bf * 0.5 / 256 + 0.5 / 256  # half of the disparity's, half of the PNG's
    assert (np.abs(depth[known] - written.depth[known]) < 1.05 * step).all()


def test_crop_and_size_give_the_camera_of_the_result(tmp_path: Path) -> None:
    (written,) = write_tree(tmp_path / "in", CITY)
    prepare(tmp_path / "in", tmp_path / "out", Settings(crop=(40, 20, 200, 96), size=(100, 48), depth="npy"))
    folder = tmp_path / "out" / key_of(written.frame)
    camera, depth = load_camera(folder / "camera.json"), np.load(folder / "depth.npy")
    assert depth.shape == (48, 100) and read_image(folder / "image.png").shape == (48, 100, 3)
    assert camera.fx == pytest.approx(written.rig.camera.fx / 2)
    # The road 1.22 m below the camera fulfils the new camera's equation to within the row the depth was taken from.
    v, u = np.nonzero(np.isfinite(depth) & (np.arange(48)[:, None] > 40))
    above, below = ((v + shift - camera.cy) / camera.fy * depth[v, u] for shift in (-0.75, 0.75))
    road = (above < 1.22) & (below > 1.22)
    upright = depth[v, u] == depth[v - 1, u]  # the boxes
    assert (~upright).sum() > 250 and road[~upright].mean() > 0.97
    # Taken from single pixels: every depth is one that the whole picture has.
    prepare(tmp_path / "in", tmp_path / "whole", Settings(depth="npy"))
    assert set(depth[np.isfinite(depth)]) <= set(
        np.load(tmp_path / "whole" / key_of(written.frame) / "depth.npy").ravel()
    )


def test_the_manifest_has_hashes_folds_and_the_licence(tmp_path: Path) -> None:
    written = write_tree(tmp_path / "in", {"train": {"aachen": 1, "bremen": 1}, "val": {"frankfurt": 1}})
    outcome = prepare(tmp_path / "in", tmp_path / "out", Settings(folds=3), jobs=2)
    assert (outcome.made, outcome.kept, outcome.broken) == (3, 0, {})
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
    cities = ("aachen", "bochum", "bremen", "cologne", "darmstadt", "dusseldorf", "erfurt", "hamburg", "hanover")
    assert {fold_of(city, 3) for city in cities} == {0, 1, 2}


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


def test_other_settings_are_refused(tmp_path: Path) -> None:
    write_tree(tmp_path / "in", CITY)
    prepare(tmp_path / "in", tmp_path / "out", Settings())
    with pytest.raises(CloudyPointsError, match=r"out was prepared with size None but now \[128, 64\]; repeat"):
        prepare(tmp_path / "in", tmp_path / "out", Settings(size=(128, 64)))


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
    write_tree(tmp_path / "in", {"train": {"aachen": 40}}, size=(512, 256))
    prepare(tmp_path / "in", tmp_path / "whole", Settings())
    words = command(str(tmp_path / "in"), "-o", str(tmp_path / "out"))
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    journal = tmp_path / "out/manifest.jsonl"
    deadline = time.monotonic() + 60
    while not (journal.exists() and journal.read_text().count("\n") > 5) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(how)
    _, said = process.communicate(timeout=30)
    assert process.returncode == code and "Traceback" not in said
    begun = len(journal.read_text().splitlines()) - 1
    assert 5 <= begun < 40 and not (tmp_path / "out/manifest.json").exists()
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    kept = int(done.stdout.split(" frames made, ")[1].split()[0])
    assert begun - 1 <= kept < 40
    left = {name for name in contents(tmp_path / "out") if ".part" in name}
    assert contents(tmp_path / "out").keys() - left == contents(tmp_path / "whole").keys()
    whole = contents(tmp_path / "whole")
    assert all(contents(tmp_path / "out")[name] == whole[name] for name in whole)


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
    assert "cannot be written (No space left on device); make room" in done.stderr.splitlines()[-1]
    assert 2 <= len(done.stdout.split("code 2")[1].split()) < 12


def test_a_tree_without_disparity_is_a_sentence(tmp_path: Path) -> None:
    write_tree(tmp_path / "in", CITY, kinds=("leftImg8bit", "camera"))
    with pytest.raises(
        CloudyPointsError, match=r"No frame under .* has a disparity; unpack disparity_trainvaltest.zip"
    ):
        prepare(tmp_path / "in", tmp_path / "out", Settings())
