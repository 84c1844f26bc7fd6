"""The model: its card, and whether and how fast it runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median

from cloudypoints_ros.doctor.child import ask, attempt, tell
from cloudypoints_ros.doctor.finding import OK, PROBLEM, WARNING, Finding
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_files import load_card, resolve

FRAMES = 5
IMAGE_SIZE = (1280, 720)  # width, height of the frames that are timed


def model(path: Path | None) -> Iterator[Finding]:
    """The card, read here; then a child loads the model and times it."""
    which = "the embedded model" if path is None else str(path)
    try:
        path = resolve(path)
        card = load_card(path)
    except CloudyPointsError as error:
        found, _, remedy = str(error).rstrip(".").partition("; ")
        yield Finding("model", PROBLEM, found, remedy or "install the package again")
        return
    trained_by = str(card.provenance.get("trained_by") or card.provenance.get("source") or "nobody named")
    size = path.stat().st_size
    found = f"{which}, {card.name}, {size / 1e6:.1f} MB, licence {card.licence or 'not named'}, from {trained_by}"
    data = {"path": str(path), "name": card.name, "bytes": size, "licence": card.licence}
    yield Finding("model", OK, f"{found}, {card.output.unit} depth", data=data)

    answer = ask("cloudypoints_ros.doctor.model", str(path), timeout_s=300.0)
    told = answer.told
    problem = told.get("error") or answer.failure
    if problem:
        missing = told.get("missing")
        remedy = f"install {missing} as said above" if missing else "give a model and libraries that fit"
        if "no locator available" in problem:
            remedy = "set NUMBA_CACHE_DIR to a folder that can be written"
        found, _, own = str(problem).rstrip(".").partition("; ")
        yield Finding("inference", PROBLEM, f"the model does not run ({found})", own or remedy, told)
        return
    yield Finding("engine", OK, f"auto takes {told['choice']}", data={"choice": told["choice"]})
    width, height = IMAGE_SIZE
    found = (
        f"{told['frame_ms']:.0f} ms for a {width}x{height} image, {told['infer_ms']:.0f} of them in the network "
        f"({told['engine']}), Numba's loops on {told['pool']}"
    )
    if told["pool"] == "workqueue":
        # Its threads end the process when two threads of it run compiled loops at once.
        remedy = "pip install tbb (x86-64) or apt install libtbb12, Numba's workqueue allows only one thread at a time"
        yield Finding("inference", WARNING, found, remedy, told)
    else:
        yield Finding("inference", OK, found, data=told)


def main(arguments: list[str]) -> None:
    """The child: tell the milliseconds of a warm frame, median of FRAMES."""
    attempt(lambda: _time(Path(arguments[0])))


def _time(path: Path) -> None:
    import numba
    import numpy as np

    from cloudypoints_ros.camera import camera_from_hfov
    from cloudypoints_ros.engines import AUTO
    from cloudypoints_ros.pipeline import Pipeline

    try:
        pipeline = Pipeline.open(path, AUTO)
        width, height = IMAGE_SIZE
        image = np.full((height, width, 3), 127, np.uint8)
        camera = camera_from_hfov(width, height, 90.0)
        pipeline.depth(image, camera)  # compiles, or loads what was compiled
        frames = [pipeline.depth(image, camera).times_ms for _ in range(FRAMES)]
    except CloudyPointsError as error:
        tell(error=str(error))
        return
    tell(
        frame_ms=median(sum(times.values()) for times in frames),
        infer_ms=median(times["infer"] for times in frames),
        engine=pipeline.engine.name,
        choice=str(pipeline.choice),
        pool=numba.threading_layer(),
    )
