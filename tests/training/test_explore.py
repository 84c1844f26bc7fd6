from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from cityscapes_tree import Written, write_tree

from cloudypoints_ros.camera import Camera, save_camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.commands import explore as command
from cloudypoints_training.exploration.explore import _looks, explore
from cloudypoints_training.exploration.looks import bin_edges, counted, look_at_frame
from cloudypoints_training.exploration.record import quantile
from cloudypoints_training.exploration.trees import Entry, find, sampled

CITIES = {"train": {"aachen": 3, "bremen": 2}, "val": {"frankfurt": 2}}
STRIP = 16  # 0.0625 of 256 columns


def run(*words: object) -> None:
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    arguments = parser.parse_args(["explore", *map(str, words)])
    arguments.run(arguments)


class Page(HTMLParser):
    """The text, the pictures and the tags' attributes of a report."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text, self.tags, self.pictures = "", [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "src":
                head, _, data = str(value).partition(";base64,")
                assert head in ("data:image/png", "data:image/jpeg")  # nothing beside the file is needed
                content = np.frombuffer(base64.b64decode(data), np.uint8)
                self.pictures.append(cv2.imdecode(content, cv2.IMREAD_COLOR))


def kept_of(written: Written) -> Any:
    """Where a frame of the tree has metres for training: what its labels do not take away."""
    labels = cv2.imread(str(written.frame.require("labelIds")), cv2.IMREAD_UNCHANGED)
    kept = np.isfinite(written.depth) & ~written.unseen & ~np.isin(labels, (1, 2, 3))
    kept[:, :STRIP] = False
    return kept


def of(written: list[Written], city: str) -> list[Written]:
    return [each for each in written if each.frame.city == city]


def test_the_figures_are_those_of_the_tree(tmp_path: Path) -> None:
    written = write_tree(tmp_path / "in", CITIES)
    first = written[0].frame.require("disparity")
    raw = cv2.imread(str(first), cv2.IMREAD_UNCHANGED)
    raw[10, 50:90] = 1  # infinitely far, in the sky
    cv2.imwrite(str(first), raw)
    record = explore(tmp_path / "in", tmp_path / "out", jobs=2)

    assert json.loads((tmp_path / "out/explore.json").read_text()) == record
    assert record["frames"] == {"found": 7, "read": 7, "limit": None, "seed": 0}
    frames = {split: {city: count["frames"] for city, count in c.items()} for split, c in record["counts"].items()}
    assert frames == CITIES and list(record["counts"]) == ["train", "val"]
    assert all(c["disparity"] == c["camera"] == c["frames"] for s in record["counts"].values() for c in s.values())
    assert record["sizes"] == [{"width": 256, "height": 128, "frames": 7}]
    assert record["broken"] == [] and record["strays"] == {}

    validity = record["validity"]["splits"]
    aachen = [~each.unseen for each in of(written, "aachen")]
    aachen[0][10, 50:90] = True
    assert validity["train"]["aachen"]["measured"] == pytest.approx(np.mean(aachen), abs=1e-9)
    assert validity["train"]["aachen"]["infinite"] == pytest.approx(40 / (3 * 128 * 256))
    shares = [np.mean(seen) for seen in aachen]
    assert validity["train"]["aachen"]["measured_by_frame"] == pytest.approx(
        [min(shares), np.median(shares), max(shares)]
    )
    for city, split in (("aachen", "train"), ("frankfurt", "val")):
        kept = np.mean([kept_of(each) for each in of(written, city)])
        assert validity[split][city]["kept"] == pytest.approx(kept, abs=2e-4) and 0.2 < kept < 0.6

    # the disparity's half step moves a depth by less than a bin, so neighbouring bins may exchange some
    depths = np.concatenate([each.depth[kept_of(each)] for each in of(written, "frankfurt")])
    known = record["depth"]["splits"]["val"]["frankfurt"]
    below = np.cumsum(known["pixels"]) / sum(known["pixels"])
    expected = np.cumsum(np.histogram(depths, record["depth"]["edges_m"])[0]) / len(depths)
    assert np.abs(below - expected).max() < 0.03 and sum(known["pixels"]) == pytest.approx(len(depths), abs=10)
    for share, metres in known["quantiles_m"].items():
        assert metres == pytest.approx(np.quantile(depths, float(share)), rel=0.06)


def test_equal_rigs_are_one_and_the_spread_is_told(tmp_path: Path) -> None:
    written = write_tree(tmp_path / "in", CITIES)
    record = explore(tmp_path / "in", tmp_path / "out")
    by_cities = {tuple(rig["sources"]): rig for rig in record["rigs"]}
    assert set(by_cities) == {("aachen",), ("bremen",), ("frankfurt",)} and record["rigs"][0]["sources"] == ["aachen"]
    for city, frames in (("aachen", 3), ("bremen", 2), ("frankfurt", 2)):
        rig, true = by_cities[(city,)], of(written, city)[0].rig
        assert rig["frames"] == frames
        camera = true.camera
        found = [rig[key] for key in ("fx", "fy", "cx", "cy", "baseline_m", "bf")]
        expected = [camera.fx, camera.fy, camera.cx, camera.cy, true.baseline_m, true.baseline_m * camera.fx]
        assert found == pytest.approx(expected, rel=1e-12)
        assert rig["height_m"] == [1.22, 1.22] and rig["pitch_deg"] == pytest.approx([1.7189, 1.7189], abs=1e-4)
    products = [each.rig.baseline_m * each.rig.camera.fx for each in written]
    spread = (max(products) / min(products) - 1) * 100
    assert record["bf_spread_percent"] == pytest.approx(spread) and spread > 1
    assert f"differs by {spread:.1f} % between the 3 calibrations" in Page(tmp_path / "out/explore.html").text


def test_the_map_shows_the_hood_and_the_strip_at_the_left(tmp_path: Path) -> None:
    kinds = ("leftImg8bit", "disparity", "camera")  # without labels the lowest quarter is the hood
    written = write_tree(tmp_path / "in", CITIES, kinds=kinds)
    for each in written:
        path = each.frame.require("disparity")
        raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        raw[112:] = 0
        cv2.imwrite(str(path), raw)
        each.unseen[112:] = True
    (shares,) = explore(tmp_path / "in", tmp_path / "out")["maps"]
    assert (shares["width"], shares["height"], shares["frames"]) == (256, 128, 7)
    measured, kept = np.array(shares["measured"]), np.array(shares["kept"])
    mean = np.mean([~each.unseen for each in written], 0)
    np.testing.assert_allclose(measured, mean.reshape(16, 8, 32, 8).mean((1, 3)), atol=1e-5)
    assert (measured[14:] == 0).all() and (kept[12:] == 0).all() and (kept[11, 3:-1] > 0.9).all()
    assert (kept[:, :2] == 0).all() and measured[11, 0] < measured[11, 3:-1].min()


def test_nothing_depends_on_how_many_are_read_at_a_time(tmp_path: Path) -> None:
    write_tree(tmp_path / "in", CITIES)
    explore(tmp_path / "in", tmp_path / "one", jobs=1)
    explore(tmp_path / "in", tmp_path / "three", jobs=3)
    for name in ("explore.json", "explore.html"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "three" / name).read_bytes()


def test_few_frames_are_held_at_a_time() -> None:
    begun: list[int] = []
    entries = [Entry("train", "x", str(i), frozenset(), partial(begun.append, i)) for i in range(100)]  # type: ignore[arg-type]
    looks = _looks(entries, jobs=2)
    next(looks)
    next(looks)
    time.sleep(0.2)  # those that were handed out have begun
    assert len(begun) <= 2 + 2 * 2
    assert len(list(looks)) == 98 and sorted(begun) == list(range(100))


def test_a_limit_draws_evenly_and_the_same_again(tmp_path: Path) -> None:
    write_tree(tmp_path / "in", {"train": {"aachen": 10, "bremen": 10}, "test": {"ulm": 10}}, kinds=("leftImg8bit",))
    record = explore(tmp_path / "in", tmp_path / "out", limit=6, seed=1)
    assert record["frames"] == {"found": 30, "read": 6, "limit": 6, "seed": 1}
    drawn = [name.split("/")[1] for name in record["samples"]]
    assert drawn == ["aachen"] * 2 + ["bremen"] * 2 + ["ulm"] * 2  # a fifth of the frames from each fifth
    assert record["counts"]["test"]["ulm"]["frames"] == 10  # all are counted
    assert explore(tmp_path / "in", tmp_path / "out", limit=6, seed=1) == record
    assert explore(tmp_path / "in", tmp_path / "out", limit=6, seed=2)["samples"] != record["samples"]
    assert "6 of 30 frames were read, drawn evenly with seed 2" in Page(tmp_path / "out/explore.html").text
    entries = find(tmp_path / "in").entries
    for limit in (7, 29, 30, 31):
        chosen = sampled(entries, limit, 0)
        assert len({entry.name for entry in chosen}) == len(chosen) == min(limit, 30)
        assert chosen == [entry for entry in entries if entry in chosen]


def test_a_report_of_images_alone(tmp_path: Path) -> None:
    write_tree(tmp_path / "in", {"train": {"aachen": 2}}, kinds=("leftImg8bit",))
    record = explore(tmp_path / "in", tmp_path / "out")
    assert record["validity"]["all"] is record["depth"]["all"] is record["bf_spread_percent"] is None
    assert record["rigs"] == record["maps"] == record["broken"] == [] and len(record["samples"]) == 2
    page = Page(tmp_path / "out/explore.html")
    assert "There is no truth" in page.text and "No frame has a file of rightImg8bit, disparity, camera" in page.text
    assert len(page.pictures) == 2  # counts and samples


def test_disparity_without_cameras_is_counted_but_has_no_metres(tmp_path: Path) -> None:
    written = write_tree(tmp_path / "in", CITIES, kinds=("leftImg8bit", "disparity"))
    for each in of(written, "bremen"):
        each.frame.require("disparity").unlink()
    record = explore(tmp_path / "in", tmp_path / "out", split="train")
    measured = np.mean([~each.unseen for each in of(written, "aachen")])
    assert record["validity"]["all"]["measured"] == pytest.approx(measured)
    assert record["depth"]["all"] is None and record["rigs"] == [] and list(record["counts"]) == ["train"]
    assert "Missing of some frames: disparity (2 of 5)" in Page(tmp_path / "out/explore.html").text


def test_broken_files_are_named_and_the_rest_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = write_tree(tmp_path / "in", {"train": {"aachen": 6}})
    image, disparity, camera, labels, small = (
        each.frame.require(kind)
        for each, kind in zip(written, ("leftImg8bit", "disparity", "camera", "labelIds", "disparity"), strict=False)
    )
    for path in (image, disparity, labels):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    camera.write_text('{"intrinsic": {"fx": 0}}')
    cv2.imwrite(str(small), np.ones((64, 128), np.uint16))
    (tmp_path / "in/disparity/train/aachen/aachen_000099_000019_disparity.png").write_bytes(b"")
    run(tmp_path / "in", "-o", tmp_path / "out", "--jobs", 2)
    said = capsys.readouterr()
    record = json.loads((tmp_path / "out/explore.json").read_text())
    page = Page(tmp_path / "out/explore.html")
    paths = [str(path) for path in (image, disparity, camera, labels, small)]
    assert [entry["frame"] for entry in record["broken"]] == [f"train/aachen/{w.frame.name}" for w in written[:5]]
    for path, entry in zip(paths, record["broken"], strict=True):
        assert path in entry["why"] and path in said.err and entry["why"] in page.text
    assert "5 frames of the 6 read have a broken file" in said.out
    assert "is 128x64 but its image is 256x128" in record["broken"][4]["why"]
    assert record["strays"] == {"disparity": ["train/aachen/aachen_000099_000019"]}
    # what is whole of a broken frame counts
    assert record["sizes"] == [{"width": 256, "height": 128, "frames": 5}]
    assert record["validity"]["all"]["frames"] == 4 and record["rigs"][0]["frames"] == 5
    assert sum(record["depth"]["all"]["pixels"]) > 0


def test_one_file_is_all_there_is_to_a_report(tmp_path: Path) -> None:
    root = tmp_path / "a<script>&b"
    written = write_tree(root, CITIES)
    written[1].frame.require("leftImg8bit").write_bytes(b"")
    run(root, "-o", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["explore.html", "explore.json"]
    page = Page(tmp_path / "out/explore.html")
    assert "script" not in page.tags and "link" not in page.tags and f"What is in {root}" in page.text
    assert len(page.pictures) == 6  # counts, validity, map, depth, and samples of two splits
    for picture in page.pictures:
        assert picture is not None and min(picture.shape[:2]) > 100 and picture.std() > 10
    blue = np.abs(page.pictures[-1].astype(int) - (230, 180, 150)).max(2) < 12  # the pictures' sky, BGR
    assert 0.05 < blue.mean() < 0.6
    assert f"The image {root}" in page.text and "All 7 frames were read" in page.text and "non-commercial" in page.text


def test_a_sample_is_the_image_and_its_masked_depth(tmp_path: Path) -> None:
    (written,) = write_tree(tmp_path, {"train": {"aachen": 1}})
    look = look_at_frame(written.frame)
    np.testing.assert_array_equal(look.thumbnail, written.image)  # it is small enough to stay as it is
    kept = kept_of(written)
    assert look.depth is not None and (np.isfinite(look.depth) != kept).mean() < 1e-3
    both = np.isfinite(look.depth) & kept
    np.testing.assert_allclose(look.depth[both], written.depth[both], rtol=0.02)
    assert look.colour is not None
    np.testing.assert_allclose(look.colour[0], written.image[::8, ::8].reshape(-1, 3).mean(0) / 255, rtol=1e-6)


def test_depths_are_counted_in_bins_whose_quantiles_are_near(tmp_path: Path) -> None:
    depth = np.random.default_rng(0).lognormal(2.5, 0.8, (200, 300)).astype(np.float32)
    depth[:20] = np.nan
    depth[20:40] = np.inf
    depth[40, :3] = 0.01, 5000, 0.5  # nearer and farther than the bins
    known = depth[np.isfinite(depth)]
    expected = np.histogram(np.clip(known, 1.0001, 999), bin_edges())[0]
    found = counted(depth)
    assert found.sum() == len(known) and np.abs(found - expected).sum() <= 4  # float32 at the edges
    for share in (0.05, 0.5, 0.95):
        assert quantile(found, share) == pytest.approx(np.quantile(known, share), rel=0.02)
    assert quantile(np.zeros_like(found), 0.5) is None


def test_other_layouts_are_explored_too(tmp_path: Path) -> None:
    truth = np.full((60, 80), 7.0, np.float32)
    truth[:30] = np.inf
    truth[:, :8] = np.nan
    for name in ("park_000001", "park_000002", "mall_000001"):
        folder = tmp_path / "in" / name
        folder.mkdir(parents=True)
        cv2.imwrite(str(folder / "image.png"), np.full((60, 80, 3), 51, np.uint8))
        np.save(folder / "depth.npy", truth)
        save_camera(Camera(80, 60, 70, 70, 40, 30), folder / "camera.json")
    np.save(tmp_path / "in/park_000002/depth.npy", truth[:10])
    record = explore(tmp_path / "in", tmp_path / "out")
    assert record["layout"] == "pairs"
    assert {source: count["frames"] for source, count in record["counts"]["all"].items()} == {"mall": 1, "park": 2}
    (broken,) = record["broken"]
    assert broken["frame"] == "all/park/park_000002" and "is 80x10 but image.png is 80x60" in broken["why"]
    known = record["validity"]["all"]
    assert [known[key] for key in ("measured", "infinite", "kept")] == pytest.approx([0.9, 0.45, 0.45])
    assert record["depth"]["all"]["quantiles_m"]["0.5"] == pytest.approx(7, rel=0.04)
    assert record["rigs"][0]["baseline_m"] is None and record["rigs"][0]["hfov_deg"] == pytest.approx(59.49, abs=0.01)
    assert record["colour"] == {"mean": pytest.approx([0.2] * 3), "std": pytest.approx([0] * 3, abs=1e-6)}
    assert "45.0 % of the pixels have a depth in metres" in Page(tmp_path / "out/explore.html").text


def test_what_cannot_be_explored_is_refused_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tree(tmp_path / "in", {"train": {"aachen": 1}})
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for words, expected in {
        (tmp_path / "nowhere", "-o", tmp_path / "out"): "There is no folder",
        (tmp_path / "empty", "-o", tmp_path / "out"): "has no layout that is known",
        (tmp_path / "in", "-o", tmp_path / "out", "--split", "tests"): "There is no split 'tests'",
        (tmp_path / "in", "-o", tmp_path / "out", "--kind", "street"): "no kind of data set called 'street'",
        (tmp_path / "in", "-o", tmp_path / "file/out"): "cannot be written",
    }.items():
        with pytest.raises(CloudyPointsError, match=expected):
            run(*words)
        assert "frame/s" not in capsys.readouterr().err  # it is said before anything is read
    assert not (tmp_path / "out").exists()


def test_an_interrupted_run_leaves_the_earlier_report(tmp_path: Path) -> None:
    (written,) = write_tree(tmp_path / "in", {"train": {"aachen": 1}})
    explore(tmp_path / "in", tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    for kind in ("leftImg8bit", "disparity", "camera"):
        path = written.frame.require(kind)
        for number in range(1, 2000):
            os.link(path, path.with_name(path.name.replace("_000000_", f"_{number:06}_")))
    code = (
        "import argparse, sys; from cloudypoints_training.commands import explore; p = argparse.ArgumentParser(); "
        "explore.add(p.add_subparsers()); a = p.parse_args(sys.argv[1:]); a.run(a)"
    )
    words = ["explore", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--jobs", "2"]
    with subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        shown = b""
        while b"%" not in shown or b"  0%" in shown[-60:]:  # until some frames are done
            shown += (more := process.stderr.read1())  # type: ignore[attr-defined]
            assert more, shown.decode()
        process.send_signal(signal.SIGINT)
        process.stderr.read()
        assert process.wait(30) in (-signal.SIGINT, 130)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
