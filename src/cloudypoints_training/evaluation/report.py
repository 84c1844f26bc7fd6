"""The record of an evaluation as Markdown that also reads well in a terminal."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from cloudypoints_training.evaluation.corruptions import SEVERITIES
from cloudypoints_training.evaluation.figures import FIGURES, Figure
from cloudypoints_training.evaluation.floors import FLOORS
from cloudypoints_training.evaluation.road import CAMERA_HEIGHT_M

Record = dict[str, Any]

# Columns of the table of sources.
_SHORT = {"abs_rel": "AbsRel", "rmse": "RMSE", "delta1": "d1"}


def markdown(record: Record) -> str:
    """All tables, the number of images and the floors beside every figure."""
    parts = [_heading(record), _sources(record), _figures(record), _groups(record)]
    parts += [part(record) for key, part in _OPTIONAL.items() if record[key]]
    return "\n\n".join(parts) + "\n"


def _heading(record: Record) -> str:
    protocol = record["protocol"]
    total = record["mean_over_sources"]
    lines = [
        f"# {record['model']} on {record['data']}",
        "",
        f"{total['images']} images of {len(record['sources'])} sources. Protocol {protocol['name']}: truth from "
        f"{protocol['near_m']:g} to {protocol['far_m']:g} m, {protocol['words']}; predictions clipped to it, so "
        f"predicted sky counts as {protocol['far_m']:g} m. Quoted by convention: {protocol['headline']}.",
    ]
    if record["without_truth"]:
        lines.append(f"Left out, without truth that counts: {', '.join(record['without_truth'])}.")
    return "\n".join(lines)


def _sources(record: Record) -> str:
    header = ["source", "N"]
    header += [f"{kind} {label}" for kind in ("raw", "scaled") for label in _SHORT.values()]
    header += ["none", "constant raw", "scaled", "row mean raw", "scaled", "flat road raw", "scaled"]
    rows = {**record["sources"], "mean over sources": record["mean_over_sources"]}
    table = [_source_row(name, row) for name, row in rows.items()]
    table.append(_source_row("mean over images", record["mean_over_images"]))
    notes = (
        "none: share of truth without an answer. The floors' columns are AbsRel. constant: the best for all pixels of "
        "that row of the table, raw; row mean: the mean depth of each image row over the other images; flat road: "
        f"{CAMERA_HEIGHT_M:g} m under a level camera, 80 m above the horizon."
    )
    return _table(header, table) + "\n\n" + notes


def _source_row(name: str, row: Record) -> list[str]:
    cells = [name, str(row["images"])]
    cells += [_number(row[kind][key]) for kind in ("raw", "scaled") for key in _SHORT]
    best = row.get("best_constant") or {kind: row["floors"]["constant"][kind]["abs_rel"] for kind in ("raw", "scaled")}
    cells += [f"{row['missing']:.1%}", _number(best["raw"]), _number(best["scaled"])]
    for floor in ("row_mean", "flat_road"):
        cells += [_number(row["floors"][floor][kind]["abs_rel"]) for kind in ("raw", "scaled")]
    return cells


def _figures(record: Record) -> str:
    total = record["mean_over_sources"]
    constant = total["best_constant"]["metres"]
    header = ["mean over sources", "better", "N", "model", "95 %"]
    header += [f"{words} ({constant:g} m)" if name == "constant" else words for name, words in FLOORS.items()]
    table = []
    for key, figure in FIGURES.items():
        value = _get(total, key)
        if value is None:
            continue
        interval = _get(total.get("intervals", {}), key)
        between = " to ".join(_number(v, figure.digits) for v in interval) if interval and None not in interval else ""
        cells = [
            _label(figure),
            figure.better,
            str(_get(total["counted"], key)),
            _number(value, figure.digits),
            between,
        ]
        cells += [_number(_get(total["floors"][name], key), figure.digits) for name in FLOORS]
        table.append(cells)
    fitted = sum(image["road_fitted"] for image in record["images"])
    notes = (
        "Objects nearer than 10 m: true points from 1 to 10 m that stand more than 0.3 m above the road, which was "
        f"fitted to the truth in {fitted} of {total['images']} images and assumed level, {CAMERA_HEIGHT_M:g} m under "
        "the camera, in the rest. Points: clouds of the same pixels, at most 10,000. Boundary F1: only where the truth "
        "is dense."
    )
    if record["bootstrap_rounds"]:
        notes += (
            f" 95 %: bootstrap over the images of each source, {record['bootstrap_rounds']} draws; too narrow where a "
            "source has few images or neighbouring frames."
        )
    near = [
        [name, str(row["counted"]["near"]["abs_rel"]), str(row["near_pixels"])]
        + [_number(v) for v in (row["near"]["abs_rel"], row["near"]["ratio"])]
        + [_number(row["floors"][floor]["near"]["abs_rel"]) for floor in FLOORS]
        for name, row in record["sources"].items()
    ]
    header_near = ["objects nearer than 10 m", "N", "pixels", "raw AbsRel", "predicted / true", *FLOORS.values()]
    return "\n\n".join((_table(header, table), notes, _table(header_near, near)))


def _groups(record: Record) -> str:
    distance, row = record["by_distance"], record["by_row"]
    edges = distance["edges_m"]
    bins = [f"{a:g} to {b:g} m" for a, b in itertools.pairwise(edges)]
    bands = [f"{100 * i // row['bands']} to {100 * (i + 1) // row['bands']} %" for i in range(row["bands"])]
    return _group_table("true distance", bins, distance) + "\n\n" + _group_table("image rows from the top", bands, row)


def _group_table(title: str, names: Sequence[str], group: Record) -> str:
    header = [title, "N", "pixels", "raw AbsRel", "predicted / true", *FLOORS.values()]
    table = [
        [name, str(group["images"][i]), str(group["pixels"][i]), _number(group["abs_rel"][i])]
        + [_number(group["ratio"][i])]
        + [_number(group["floors"][floor][i]) for floor in FLOORS]
        for i, name in enumerate(names)
    ]
    return _table(header, table)


def _calibration(record: Record) -> str:
    known = record["calibration"]
    header = [f"Laplace interval (N {known['images']})", *(f"{level:.0%}" for level in known["levels"])]
    return _table(header, [["true depths inside", *(f"{share:.1%}" for share in known["coverage"])]])


def _corruptions(record: Record) -> str:
    spoilt = record["corruptions"]
    floor = _number(record["mean_over_sources"]["best_constant"]["raw"])
    images = str(record["mean_over_sources"]["images"])
    header = ["corruption, raw AbsRel", "N", *(f"severity {s}" for s in SEVERITIES), "best constant"]
    table = [["none", images, *[_number(spoilt["clean_abs_rel"])] * len(SEVERITIES), floor]]
    for name, errors in spoilt["abs_rel"].items():
        table.append([name, images, *(_number(errors[str(s)]) for s in SEVERITIES), floor])
    return (
        _table(header, table)
        + f"\n\nMean corruption error {_number(spoilt['mean_corruption_error'])}, "
        + f"{spoilt['relative_to_clean']:.2f} times the clean one."
    )


_OPTIONAL = {"calibration": _calibration, "corruptions": _corruptions}


def _label(figure: Figure) -> str:
    return f"{figure.label} [{figure.unit}]" if figure.unit else figure.label


def _get(record: Record, key: str) -> Any:
    for part in key.split("/"):
        record = record.get(part, {})
    return None if record == {} else record


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up: words to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = (c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        return f"| {' | '.join(cells)} |"

    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join((line(header), rule, *map(line, rows)))
