"""The demo's conductor: starts camera, node and recorder, shows progress, and puts the results in place.

It speaks no ROS itself; the three processes do.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import math
import os
import queue
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from cloudypoints_ros.demo.channel import die_with_parent
from cloudypoints_ros.demo.report import Summary, print_report
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.sources import CameraChoice, Source, add_camera_arguments, open_source

if TYPE_CHECKING:
    from rich.progress import Progress

CLIP = Path(__file__).parents[1] / "clip"
CLIP_RATE_HZ = 17.0
STILL_S = 3.0
DEVICE_S = 10.0
POINTS_STRIDE = 4

# An engine may have to compile, numba too, and a small board is slow.
_START_S = 300.0
# How long a stopped process gets before the next stronger signal.
_GRACE_S = 8.0
_NEEDED = {"rclpy": "ros-jazzy-rclpy[fastrtps]", "rosbags": "rosbags", "matplotlib": "matplotlib", "rich": "rich"}


@dataclass(frozen=True)
class Options:
    """What to stream and where to put it. ``frames`` 0 means until Ctrl-C."""

    source: str
    camera_arguments: tuple[str, ...]
    rate_hz: float
    frames: int
    out: Path
    model: str | None = None
    node_parameters: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source", metavar="PATH", help="folder of images, image, video or camera (default: the synthetic street clip)"
    )
    parser.add_argument("--rate", type=float, metavar="HZ", help="frames per second (default: the source's own)")
    parser.add_argument("--duration", type=float, metavar="S", help="stop after so many seconds")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--repeat", type=int, metavar="N", help="show the source N times")
    again.add_argument("--loop", action="store_true", help="show the source again and again until Ctrl-C")
    parser.add_argument(
        "-o",
        "--output",
        dest="out",
        type=Path,
        default=Path("out"),
        metavar="OUT",
        help="folder that gets demo/ and demo.png (default: out)",
    )
    parser.add_argument("--model", metavar="ONNX", help="a model with its card (default: the embedded one)")
    parser.add_argument(
        "-p", "--param", action="append", default=[], metavar="NAME:=VALUE", help="a parameter of the node; repeatable"
    )
    add_camera_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Run the demo; 0, or 130 after a Ctrl-C that left no results. CloudyPointsError for what can be mended."""
    from rich.console import Console

    console = Console()
    try:
        summary = run(options_of(args))
    except KeyboardInterrupt:
        console.print("Stopped; nothing was written.")
        return 130
    print_report(summary, console)
    return 0


def options_of(args: argparse.Namespace) -> Options:
    """Check what was asked for; opens the source once, so that a broken one is named before anything starts."""
    for name, value in (("--duration", args.duration), ("--repeat", args.repeat)):
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise CloudyPointsError(f"{name} is {value}; expected more than 0.")
    rate = args.rate
    if args.source is None:
        if not CLIP.is_dir():
            raise CloudyPointsError(
                f"The bundled clip {CLIP} is missing; install the package again, or give --source PATH."
            )
        rate = rate or CLIP_RATE_HZ
    if args.model is not None and not Path(args.model).is_file():
        raise CloudyPointsError(f"The model {args.model} does not exist; give an existing .onnx file.")
    for parameter in args.param:
        if ":=" not in parameter:
            raise CloudyPointsError(f"The parameter '{parameter}' has no value; give it as NAME:=VALUE.")
    name = str(CLIP) if args.source is None else args.source
    source = open_source(name, CameraChoice.from_arguments(args), rate)
    return Options(
        source=name,
        camera_arguments=_camera_arguments(args),
        rate_hz=source.rate_hz,
        frames=_frame_count(source, args),
        out=args.out,
        model=args.model,
        node_parameters=tuple(args.param),
    )


def run(options: Options) -> Summary:
    """Stream, record, and put ``demo/`` and ``demo.png`` into ``options.out``, replacing earlier ones.

    Ctrl-C while frames flow ends the stream early and keeps what came; a second one, or one before the first
    frame, raises KeyboardInterrupt with nothing written.
    """
    for module, package in _NEEDED.items():
        if importlib.util.find_spec(module) is None:
            raise CloudyPointsError(
                f"The demo needs {module}, which is not installed; pip install '{package}', or everything with "
                "'cloudypoints_ros[standalone,demo,jazzy]'."
            )
    bag = options.out / "demo"
    if bag.exists() and not (bag / "metadata.yaml").is_file():
        raise CloudyPointsError(f"{bag} exists and is not a bag, so it is not replaced; move it or give another -o.")
    with _work_folder(options.out) as folder:
        return _Session(options, folder).run()


class _Child:
    """One process: its events come from its stdout, its log (stderr) goes to a file."""

    def __init__(
        self, name: str, arguments: list[str], folder: Path, environment: dict[str, str], events: _Events, talks: bool
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.expected_to_end = False
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else log,
                stderr=log,
                env=environment,
                text=True,
                # Ctrl-C in the terminal is the conductor's to hear; the kernel ends the child with the parent.
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        if self._process.stdout is not None:
            threading.Thread(target=self._listen, args=(self._process.stdout, events), daemon=True).start()

    def order(self, order: str, **fields: Any) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):  # a dead child is found by its exit code
            stdin.write(json.dumps({"order": order, **fields}) + "\n")
            stdin.flush()

    def poll(self) -> int | None:
        return self._process.poll()

    def stop(self) -> int:
        """SIGINT, then SIGTERM, then SIGKILL; the exit code."""
        self.expected_to_end = True
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is not None:
                break
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_S)
        return self._process.wait()

    def last_words(self) -> str:
        """The last line of its log; empty if it said nothing."""
        lines = [line.strip() for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines()]
        return next((line for line in reversed(lines) if line), "")

    def _listen(self, stdout: IO[str], events: _Events) -> None:
        for line in stdout:
            with contextlib.suppress(ValueError):  # a library's own print
                event = json.loads(line)
                if isinstance(event, dict) and "event" in event:
                    events.put((self.name, event))


_Events = queue.Queue[tuple[str, dict[str, Any]]]


class _Session:
    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._events: _Events = queue.Queue()
        self._children: list[_Child] = []
        self._seen: dict[str, dict[str, Any]] = {}
        self._sent = 0

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
                for child in reversed(self._children):
                    child.stop()
            return self._put_in_place(progress)

    # ---- phases

    def _stream(self, progress: Progress) -> None:
        options, folder = self._options, self._folder
        environment = _environment()
        parameters = [f"points.stride:={POINTS_STRIDE}", f"stats_file:={folder.absolute() / 'node.json'}"]
        if options.model is not None:
            parameters.append(f"model:={Path(options.model).absolute()}")
        parameters += options.node_parameters
        self._node = self._start(
            "node",
            ["cloudypoints_ros.node", "--ros-args", "-r", "image_raw:=/camera/image_raw"]
            + ["-r", "camera_info:=/camera/camera_info"]
            + [word for parameter in parameters for word in ("-p", parameter)],
            environment,
            talks=False,
        )
        journal = str(folder / "journal.json")
        self._recorder = self._start(
            "recorder",
            ["cloudypoints_ros.demo.recorder", "--folder", str(folder), "--journal", journal],
            environment,
        )
        self._camera = self._start(
            "camera",
            ["cloudypoints_ros.demo.camera_publisher", "--source", options.source, "--journal", journal]
            + ["--rate", repr(options.rate_hz), *options.camera_arguments]
            + (["--frames", str(options.frames)] if options.frames else ["--endless"]),
            environment,
        )

        task = progress.add_task("Starting", total=None, says="camera, node, recorder")
        start = time.monotonic()
        while "start" not in self._seen:
            self._listen()
            if time.monotonic() - start > _START_S:
                raise CloudyPointsError(
                    f"Camera, node and recorder did not find each other within {_START_S:.0f} s (the node's last "
                    f"words: {self._node.last_words() or 'none'}); try `cloudypoints doctor`."
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
        recorded = json.loads((self._folder / "recorder.json").read_text(encoding="utf-8"))
        node = json.loads((self._folder / "node.json").read_text(encoding="utf-8"))
        journal = json.loads((self._folder / "journal.json").read_text(encoding="utf-8"))
        from cloudypoints_ros.demo.recorder import DEPTH_TOPIC

        bag = options.out / "demo"
        picture: Path | None = options.out / "demo.png"
        bag_bytes = sum(file.stat().st_size for file in (self._folder / "demo_0").iterdir())
        summary = Summary(
            source=options.source if options.source != str(CLIP) else "the bundled clip",
            rate_hz=journal["rate_hz"],
            frames_in=len(journal["frames"]),
            published=recorded["counts"][DEPTH_TOPIC],
            delays_ms=recorded["delays_ms"],
            stages_ms=node["stages_ms"],
            node_counts=node["counts"],
            truth=recorded["truth"],
            bag=bag,
            bag_bytes=bag_bytes,
            picture=picture,
        )
        if (self._folder / "frame.npz").is_file():
            task = progress.add_task("Drawing", total=1, says=str(self._options.out / "demo.png"))
            self._draw(summary, recorded["shown"])
            progress.update(task, completed=1)
            (self._folder / "demo.png").replace(options.out / "demo.png")
        else:
            (options.out / "demo.png").unlink(missing_ok=True)  # an earlier run's would lie beside this bag
            summary = dataclasses.replace(summary, picture=None)
        _replace_folder(self._folder / "demo_0", bag, self._folder)
        return summary

    def _draw(self, summary: Summary, shown: int) -> None:
        from cloudypoints_ros.demo.recorder import DEPTH_TOPIC
        from cloudypoints_ros.picture import save_picture, unpack_xyzrgb

        with np.load(self._folder / "frame.npz") as frame:
            points, colours = unpack_xyzrgb(frame["points"])
            facts = [f"frame {shown + 1} of {summary.frames_in}"]
            if summary.delays_ms[DEPTH_TOPIC]["n"]:
                facts.append(f"stamp to depth received p50 {summary.delays_ms[DEPTH_TOPIC]['p50']:.0f} ms")
            if summary.truth is not None:
                truth = summary.truth
                facts.append(f"AbsRel {truth['abs_rel']:.3f} over {truth['frames']:.0f} measured frames")
            save_picture(
                self._folder / "demo.png",
                frame["image"],
                frame["depth"],
                points,
                colours,
                order="bgr",
                title=f"CloudyPoints: {Path(summary.source).name}",
                subtitle="   |   ".join(facts),
            )

    # ---- children

    def _start(self, name: str, arguments: list[str], environment: dict[str, str], talks: bool = True) -> _Child:
        child = _Child(name, arguments, self._folder, environment, self._events, talks)
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
                if event["event"] == "error":
                    raise CloudyPointsError(event["message"])
                self._seen[event["event"]] = event
                _, event = self._events.get_nowait()
        for child in self._children:
            code = child.poll()
            if code is not None and not child.expected_to_end:
                self._last_events(child)
                raise self._death(child, code)

    def _last_events(self, child: _Child) -> None:
        """Its own explanation may still be in the pipe."""
        with contextlib.suppress(queue.Empty):
            while True:
                name, event = self._events.get(timeout=0.3)
                if name == child.name and event["event"] == "error":
                    raise CloudyPointsError(event["message"])

    def _death(self, child: _Child, code: int) -> CloudyPointsError:
        words = child.last_words()
        prefix, _, sentence = words.partition(": ")
        if code == 2 and prefix == "depth_node":
            return CloudyPointsError(sentence)  # the node's own sentence has its remedy
        how = f"was killed by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"ended with code {code}"
        kept = self._options.out / f"demo_{child.name}.log"
        shutil.copyfile(child.log, kept)
        said = f" and said '{words}'" if words else ""
        return CloudyPointsError(f"The demo's {child.name} process {how}{said}; its log is {kept}, run the demo again.")


def _frame_count(source: Source, args: argparse.Namespace) -> int:
    """How many frames to stream; 0 means until Ctrl-C."""
    by_time = None if args.duration is None else max(1, int(args.duration * source.rate_hz + 0.5))
    if args.loop:
        return by_time or 0
    if args.repeat is not None:
        if source.count is None:
            raise CloudyPointsError(
                f"The length of {source.name} is not known, so --repeat means nothing; use --duration."
            )
        wanted = source.count * int(args.repeat)
    elif source.count is None:
        wanted = by_time or round(DEVICE_S * source.rate_hz)
    elif source.count == 1:
        wanted = by_time or max(1, round(STILL_S * source.rate_hz))
    else:
        wanted = source.count
    return wanted if by_time is None else min(wanted, by_time)


def _camera_arguments(args: argparse.Namespace) -> tuple[str, ...]:
    """The camera options again, for the process that publishes."""
    words: list[str] = [] if args.camera is None else ["--camera", str(args.camera)]
    for name in ("fx", "fy", "cx", "cy", "hfov"):
        value = getattr(args, name)
        if value is not None:
            words.append(f"--{name}={value!r}")
    return tuple(words)


def _environment() -> dict[str, str]:
    """The children's environment: a ROS domain of their own on this machine only, unless the user chose one.

    So the demo neither meets a robot nearby nor another demo.
    """
    environment = dict(os.environ)
    environment.setdefault("ROS_DOMAIN_ID", str(free_domain()))
    environment.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


def free_domain() -> int:
    """A ROS_DOMAIN_ID (1 to 101, safe on every Linux) whose discovery port nobody holds here."""
    candidates = random.sample(range(1, 102), 101)
    for domain in candidates:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", 7400 + 250 * domain))  # the RTPS port of discovery multicast
            except OSError:
                continue
        return domain
    return candidates[0]


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
