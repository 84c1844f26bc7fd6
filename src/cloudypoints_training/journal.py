"""What a run tells: log.jsonl (a line each time), TensorBoard events, a progress bar, and curves.png at its end."""

from __future__ import annotations

import fcntl
import json
import math
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm  # type: ignore[import-untyped]

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.files import replacing

LOG = "log.jsonl"
CURVES = "curves.png"
# TensorBoard's folder of a figure; the terms of the loss are what is not listed.
FOLDERS = {"learning_rate": "optimizer", "norm": "optimizer", "images_per_s": "speed", "images": "speed"}
UNSEEN = ("step", "seconds", "size")


def open_log(out: Path) -> TextIO:
    """The run's log, open and locked: two runs in one folder would mix their checkpoints."""
    out.mkdir(parents=True, exist_ok=True)
    log = (out / LOG).open("a+", buffering=1)
    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        log.close()
        raise CloudyPointsError(
            f"Another run is writing to {out}; wait for it, stop it, or name another folder."
        ) from error
    for left in out.glob(".*.part.*"):  # by a run that was killed while it wrote
        left.unlink()
    return log


def forget_after(log: TextIO, step: int) -> None:
    """Cut off what a killed run logged beyond the checkpoint: the resumed run logs it again."""
    log.seek(0)
    kept = 0
    while line := log.readline():
        entry = parse(line)
        if entry is None or entry["step"] > step:
            break
        kept = log.tell()
    log.seek(0)
    log.truncate(kept)


def parse(line: str) -> dict[str, Any] | None:
    """An entry of the log; None where a kill tore the line."""
    try:
        entry: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        return None
    return entry


class Journal:
    """The log, the events and the progress bar of one run, from `first` to `steps`."""

    def __init__(self, out: Path, log: TextIO, first: int, steps: int) -> None:
        forget_after(log, first)
        self.out, self.log = out, log
        self.events = SummaryWriter(str(out / "tensorboard"), purge_step=first + 1)
        self.progress = tqdm(total=steps, initial=first, unit="step", smoothing=0.02, dynamic_ncols=True)

    def __enter__(self) -> Journal:
        self._told_of_threads = threading.excepthook
        threading.excepthook = self._of_thread
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.close()
        self.log.close()
        try:
            self.events.close()
        finally:
            threading.excepthook = self._told_of_threads

    def _of_thread(self, error: threading.ExceptHookArgs) -> None:
        """Silent about a full disk: what TensorBoard's thread cannot write, the next call of `events` raises."""
        if not isinstance(error.exc_value, OSError):
            self._told_of_threads(error)

    def advance(self) -> None:
        self.progress.update()

    def figures(self, step: int, entry: Mapping[str, Any]) -> None:
        """Loss, its terms and the other figures of a step."""
        self._write({"step": step, **entry})
        for name, value in entry.items():
            if name not in UNSEEN:
                self.events.add_scalar(f"{FOLDERS.get(name, 'loss')}/{name}", value, step)
        self.progress.set_postfix(loss=f"{entry['loss']:.3f}", images_per_s=f"{entry['images_per_s']:.1f}")

    def validation(self, step: int, scores: Mapping[str, float], pictures: Mapping[str, npt.NDArray[Any]]) -> None:
        """Scores, and pictures (uint8 H x W x 3 RGB), of the averaged model."""
        self._write({"step": step, "validation": scores})
        for name, score in scores.items():
            self.events.add_scalar(f"validation/{name}", score, step)
        for name, picture in pictures.items():
            self.events.add_image(f"validation/{name}", picture, step, dataformats="HWC")
        self.say(f"step {step}: " + ", ".join(f"{name} {score:.3f}" for name, score in scores.items()))

    def say(self, sentence: str) -> None:
        """A line above the progress bar."""
        self.progress.write(sentence)

    def flush(self) -> None:
        """What was told so far is on disk, as it must be beside a checkpoint."""
        self.events.flush()

    def _write(self, entry: Mapping[str, Any]) -> None:
        self.log.write(json.dumps({k: _short(v) for k, v in entry.items()}) + "\n")


def draw_curves(out: Path) -> None:
    """curves.png from log.jsonl: the loss and its terms, validation, speed and learning rate."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    lines = (out / LOG).read_text().splitlines()
    entries = [entry for entry in map(parse, lines) if entry]
    train = [entry for entry in entries if "loss" in entry]
    scores = [{"step": entry["step"], **entry["validation"]} for entry in entries if "validation" in entry]
    figure = Figure(figsize=(12, 8), layout="constrained")
    (loss, validation), (speed, rate) = figure.subplots(2, 2)
    terms = [n for n in (train[0] if train else {}) if n not in UNSEEN and n not in FOLDERS]
    for name in terms:
        _curve(loss, train, name, smooth=True)
    for name in scores[0] if scores else ():
        if name != "step":
            _curve(validation, scores, name)
    _curve(speed, train, "images_per_s")
    _curve(rate, train, "learning_rate")
    for axes, title in ((loss, "loss"), (validation, "validation"), (speed, "images/s"), (rate, "learning rate")):
        axes.set(title=title, xlabel="step")
        axes.grid(alpha=0.3)
    loss.set_yscale("symlog", linthresh=0.1)
    for axes in (loss, validation):
        if axes.lines:
            axes.legend(fontsize="small")
    with replacing(out / CURVES) as temporary:
        figure.savefig(temporary, dpi=100)


def _curve(axes: Any, entries: list[dict[str, Any]], name: str, smooth: bool = False) -> None:
    """One figure over the steps; smoothed, the mean of the last twentieth of what there is, its own scatter behind."""
    points = [(entry["step"], entry[name]) for entry in entries if name in entry]
    if not points:
        return
    steps, values = np.array(points).T
    if not smooth:
        axes.plot(steps, values, "." if len(values) == 1 else "-", label=name)
        return
    width = math.ceil(len(values) / 20)
    sums = np.cumsum(np.insert(values, 0, 0.0))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - width)
    (line,) = axes.plot(steps, (sums[ends] - sums[starts]) / (ends - starts), label=name)
    axes.plot(steps, values, color=line.get_color(), alpha=0.2, linewidth=0.5)


def _short(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value
