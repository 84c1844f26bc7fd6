"""The demo's conductor: starts camera, node and recorder, shows progress, and puts the results in place.

It speaks no ROS itself; the three processes do.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import os
import queue
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cloudypoints_ros.demo.options import NODE_PARAMETERS, Options, options_of
from cloudypoints_ros.demo.report import Summary, print_report
from cloudypoints_ros.demo.topics import DEPTH_TOPIC, IMAGE_TOPIC, INFO_TOPIC
from cloudypoints_ros.errors import CloudyPointsError, missing_package
from cloudypoints_ros.processes.child import Child, Events, delayed, environment, undisturbed
from cloudypoints_ros.sources import CLIP

if TYPE_CHECKING:
    from rich.progress import Progress

# An engine may have to compile, numba too, and a small board is slow.
_START_S = 300.0
# Of the three processes and the picture, so that a missing one is named before anything starts.
_NEEDED = ("rclpy", "rosbags", "matplotlib")


def main(args: argparse.Namespace) -> int:
    """Run the demo; 0, or 130 after a Ctrl-C that left no results. CloudyPointsError for what can be mended."""
    from rich.console import Console

    console = Console()
    # `docker stop` and systemd say SIGTERM; it means the same as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        summary = run(options_of(args))
    except KeyboardInterrupt:
        console.print("Stopped; nothing was written.")
        return 130
    print_report(summary, console)
    return 0


def run(options: Options) -> Summary:
    """Stream, record, and put ``demo/`` and ``demo.png`` into ``options.out``, replacing earlier ones.

    Ctrl-C while frames flow ends the stream early and keeps what came; a second one, or one before the first
    frame, raises KeyboardInterrupt with nothing written.
    """
    for module in _NEEDED:
        if importlib.util.find_spec(module) is None:
            raise CloudyPointsError(missing_package(ModuleNotFoundError(f"No module named '{module}'", name=module)))
    bag = options.out / "demo"
    if bag.exists() and not (bag / "metadata.yaml").is_file():
        raise CloudyPointsError(f"{bag} exists and is not a bag, so it is not replaced; move it or give another -o.")
    with _work_folder(options.out) as folder:
        return _Session(options, folder).run()


class _Session:
    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._events: Events = queue.Queue()
        self._children: list[Child] = []
        self._seen: dict[str, dict[str, Any]] = {}

    def run(self) -> Summary:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        says = TextColumn("{task.fields[says]}")
        columns = (TextColumn("{task.description:12}"), BarColumn(bar_width=20), TimeElapsedColumn(), says)
        with Progress(*columns, console=Console(stderr=True)) as progress:
            try:
                self._stream(progress)
                self._write(progress)
            finally:
                # Never leave with a process running, whatever happened or whoever is impatient.
                with undisturbed():
                    for child in reversed(self._children):
                        child.stop()
            with _writing(self._options.out):
                return self._put_in_place(progress)

    # ---- phases

    def _stream(self, progress: Progress) -> None:
        options, folder = self._options, self._folder
        variables = environment(folder)
        parameters = [f"{name}:={value}" for name, value in NODE_PARAMETERS.items()]
        parameters.append(f"stats_file:={folder.absolute() / 'node.json'}")
        if options.model is not None:
            parameters.append(f"model:={Path(options.model).absolute()}")
        parameters += options.node_parameters
        self._node = self._start(
            "node",
            ["cloudypoints_ros.node", "--ros-args", "-r", f"image_raw:={IMAGE_TOPIC}"]
            + ["-r", f"camera_info:={INFO_TOPIC}"]
            + [word for parameter in parameters for word in ("-p", parameter)],
            variables,
            talks=False,
        )
        journal = str(folder / "journal.json")
        self._recorder = self._start(
            "recorder",
            ["cloudypoints_ros.demo.recorder", "--folder", str(folder), "--journal", journal],
            variables,
        )
        self._camera = self._start(
            "camera",
            ["cloudypoints_ros.demo.camera_publisher", "--source", options.source, "--journal", journal]
            + ["--rate", repr(options.rate_hz), *options.camera_arguments]
            + (["--frames", str(options.frames)] if options.frames else ["--endless"]),
            variables,
        )

        task = progress.add_task("Starting", total=None, says="camera, node, recorder")
        start = time.monotonic()
        while "start" not in self._seen:
            self._listen()
            if time.monotonic() - start > _START_S:
                raise CloudyPointsError(
                    f"Camera, node and recorder did not find each other within {_START_S:.0f} s (the node's last "
                    f"words: {self._node.last_words() or 'none'}); close what keeps this machine busy and run it again."
                )
        progress.update(task, total=1, completed=1)

        task = progress.add_task("Streaming", total=options.frames or None, says="")
        try:
            self._follow(progress, task, "done")
        except KeyboardInterrupt:
            progress.update(task, description="Stopping")
            self._camera.order("stop")
            self._follow(progress, task, "done")
        done = self._seen["done"]
        progress.update(task, total=max(done["count"], 1), completed=done["count"])
        if not done["count"]:
            raise KeyboardInterrupt
        self._recorder.order("drain", last_stamp=done["last_stamp"], count=done["count"])
        self._follow(progress, task, "drained")
        self._camera.expected_to_end = True
        self._camera.order("stop")
        code = self._node.stop()
        if code != 0:
            raise self._death(self._node, code)

    def _write(self, progress: Progress) -> None:
        task = progress.add_task("Writing", total=None, says=str(self._options.out / "demo"))
        self._recorder.order("write")
        self._recorder.expected_to_end = True
        while "written" not in self._seen:
            self._listen()
            writing = self._seen.get("writing")
            if writing is not None:
                progress.update(task, total=writing["total"], completed=writing["done"])
            if self._recorder.poll() is not None and self._events.empty() and "written" not in self._seen:
                self._listen()  # what it said last may still be on its way
                if "written" not in self._seen:
                    raise self._death(self._recorder, self._recorder.poll() or 0)

    def _put_in_place(self, progress: Progress) -> Summary:
        options = self._options
        if not (self._folder / "node.json").is_file():
            raise _cannot_write(options.out, "the node could not leave its statistics there")
        recorded = json.loads((self._folder / "recorder.json").read_text(encoding="utf-8"))
        node = json.loads((self._folder / "node.json").read_text(encoding="utf-8"))
        camera = node["cameras"][""]
        journal = json.loads((self._folder / "journal.json").read_text(encoding="utf-8"))
        bag = options.out / "demo"
        picture: Path | None = options.out / "demo.png"
        bag_bytes = sum(file.stat().st_size for file in (self._folder / "demo_0").iterdir())
        summary = Summary(
            source=Path(options.source).name if options.source != str(CLIP) else "the bundled clip",
            rate_hz=journal["rate_hz"],
            frames_in=len(journal["frames"]),
            published=recorded["counts"][DEPTH_TOPIC],
            delays_ms=recorded["delays_ms"],
            stages_ms=camera["stages_ms"],
            node_counts=camera["counts"],
            truth=recorded["truth"],
            bag=bag,
            bag_bytes=bag_bytes,
            picture=picture,
        )
        if (self._folder / "frame.npz").is_file():
            task = progress.add_task("Drawing", total=1, says=str(self._options.out / "demo.png"))
            self._draw(summary, recorded["shown"])
            progress.update(task, completed=1)
        else:
            (options.out / "demo.png").unlink(missing_ok=True)  # an earlier run's would lie beside this bag
            summary = dataclasses.replace(summary, picture=None)
        _replace_folder(self._folder / "demo_0", bag, self._folder)
        return summary

    def _draw(self, summary: Summary, shown: int) -> None:
        from cloudypoints_ros.picture import save_picture, unpack_xyzrgb

        with np.load(self._folder / "frame.npz") as frame:
            points, colours = unpack_xyzrgb(frame["points"])
            facts = [f"frame {shown + 1} of {summary.frames_in}"]
            if summary.delays_ms[DEPTH_TOPIC]["n"]:
                facts.append(f"stamp to depth received p50 {summary.delays_ms[DEPTH_TOPIC]['p50']:.0f} ms")
            if summary.truth is not None:
                truth = summary.truth
                facts.append(f"AbsRel {truth['abs_rel']:.3f} over {truth['frames']:.0f} frames")
                facts.append(f"the best constant depth {truth['constant']:.3f}")
            save_picture(
                self._options.out / "demo.png",
                frame["image"],
                frame["depth"],
                points,
                colours,
                order="bgr",
                title=f"CloudyPoints: {summary.source}",
                subtitle="   |   ".join(facts),
            )

    # ---- children

    def _start(self, name: str, arguments: list[str], variables: dict[str, str], talks: bool = True) -> Child:
        # A child that is not in the list yet would not be stopped, so Ctrl-C waits a moment.
        with _writing(self._options.out), delayed():
            child = Child(name, arguments, self._folder, variables, self._events, talks)
            self._children.append(child)
        return child

    def _follow(self, progress: Progress, task: Any, until: str) -> None:
        """Show the stream's progress until this event; a child that dies meanwhile is named."""
        while until not in self._seen:
            self._listen()
            sent = self._seen.get("frame", {}).get("count", 0)
            delay = self._seen.get("progress", {}).get("p50")
            back = max(self._seen.get(event, {}).get("depths", 0) for event in ("progress", "drained"))
            says = f"{sent} frames, {back} depth maps" + ("" if delay is None else f", {delay:.0f} ms")
            progress.update(task, completed=sent, says=says)

    def _listen(self) -> None:
        """Take what the children said, waiting a moment for it, and look whether they live."""
        with contextlib.suppress(queue.Empty):
            _, event = self._events.get(timeout=0.1)
            while True:
                self._heed(event)
                self._seen[event["event"]] = event
                _, event = self._events.get_nowait()
        for child in self._children:
            code = child.poll()
            if code is not None and not child.expected_to_end:
                self._last_events(child)
                raise self._death(child, code)

    def _last_events(self, child: Child) -> None:
        """Its own explanation may still be in the pipe."""
        deadline = time.monotonic() + 0.5  # the others may go on talking
        with contextlib.suppress(queue.Empty):
            while (left := deadline - time.monotonic()) > 0:
                name, event = self._events.get(timeout=left)
                if name == child.name:
                    self._heed(event)

    def _heed(self, event: dict[str, Any]) -> None:
        """Raise what a child could not do."""
        if event["event"] == "error":
            raise CloudyPointsError(event["message"])
        if event["event"] == "disk":
            raise _cannot_write(self._options.out, event["reason"])

    def _death(self, child: Child, code: int) -> CloudyPointsError:
        words = child.last_words()
        prefix, _, sentence = words.partition(": ")
        if code == 2 and prefix == "depth_node":
            return CloudyPointsError(sentence)  # the node's own sentence has its remedy
        how = f"was killed by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"ended with code {code}"
        if not words:
            return CloudyPointsError(f"The demo's {child.name} process {how} without a word; run the demo again.")
        kept = self._options.out / f"demo_{child.name}.log"
        try:
            shutil.copyfile(child.log, kept)
        except OSError as error:
            with contextlib.suppress(OSError):
                kept.unlink(missing_ok=True)
            return _cannot_write(self._options.out, error.strerror or str(error))
        return CloudyPointsError(
            f"The demo's {child.name} process {how} and said '{words}'; its log is {kept}, run the demo again."
        )


def _cannot_write(out: Path, reason: str) -> CloudyPointsError:
    return CloudyPointsError(f"{out} cannot be written ({reason}); free disk space or give another -o.")


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    """What the system refuses in here is said in one sentence."""
    try:
        yield
    except OSError as error:
        raise _cannot_write(out, error.strerror or str(error)) from error


@contextlib.contextmanager
def _work_folder(out: Path) -> Iterator[Path]:
    """A folder inside ``out`` (so that renaming is atomic), gone afterwards; those of dead demos go too."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for stale in out.glob(".demo-*.partial"):
            if not Path(f"/proc/{stale.name.split('-')[1].split('.')[0]}").exists():
                shutil.rmtree(stale, ignore_errors=True)
        folder = out / f".demo-{os.getpid()}.partial"
        folder.mkdir()
    except OSError as error:
        raise CloudyPointsError(f"The output folder {out} cannot be written ({error}); give another -o.") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _replace_folder(new: Path, target: Path, attic: Path) -> None:
    """Rename ``new`` to ``target``; an earlier one is moved into ``attic`` first, which is deleted later."""
    if target.exists():
        target.rename(attic / "earlier")
    new.rename(target)
