"""What a person should know before they train on a data set, in sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Record = dict[str, Any]

TELLING_SPREAD_PERCENT = 0.5  # of baseline * fx: a wrong constant costs as much depth


def findings(record: Record) -> list[str]:
    """One sentence for each thing that stands out, the gravest first."""
    return [sentence for rule in _RULES if (sentence := rule(record))]


def _broken(record: Record) -> str | None:
    frames = {entry["frame"] for entry in record["broken"]}
    if not frames:
        return None
    return f"{_frames(len(frames))} of the {record['frames']['read']:,} read {_has(len(frames))} a broken file."


def _absent(record: Record) -> str | None:
    lacking, total = _lacking(record)
    absent = [kind for kind, count in lacking.items() if count == total]
    return f"No frame has a file of {', '.join(absent)}." if absent else None


def _missing(record: Record) -> str | None:
    lacking, total = _lacking(record)
    said = [f"{kind} ({count:,} of {total:,})" for kind, count in lacking.items() if 0 < count < total]
    return f"Missing of some frames: {', '.join(said)}." if said else None


def _lacking(record: Record) -> tuple[dict[str, int], int]:
    """How many frames lack each kind of file, and how many frames there are."""
    counts = [count for sources in record["counts"].values() for count in sources.values()]
    total = sum(count["frames"] for count in counts)
    return {kind: total - sum(count[kind] for count in counts) for kind in record["kinds"]}, total


def _strays(record: Record) -> str | None:
    said = [f"{len(found):,} of {kind} (such as {found[0]})" for kind, found in record["strays"].items()]
    return f"Files that belong to no left image: {', '.join(said)}." if said else None


def _sizes(record: Record) -> str | None:
    sizes = record["sizes"]
    return f"The images come in {len(sizes)} sizes." if len(sizes) > 1 else None


def _rigs(record: Record) -> str | None:
    spread = record["bf_spread_percent"]
    if spread is None or spread < TELLING_SPREAD_PERCENT:
        return None
    return (
        f"baseline * fx differs by {spread:.1f} % between the {len(record['rigs'])} calibrations: one constant for all "
        "would be as wrong in depth, so every frame needs its own camera file."
    )


def _holes(record: Record) -> str | None:
    known = record["validity"]["all"]
    if known is None:
        return "There is no truth: nothing here can be learnt from or scored."
    if record["layout"] != "cityscapes":
        return f"{100 * known['kept']:.1f} % of the pixels have a depth in metres."
    return (
        f"{100 * known['measured']:.0f} % of the pixels have a measurement; {100 * known['kept']:.0f} % are left as "
        "metres once masks have taken away what is no scene or was not seen by both cameras."
    )


def _depths(record: Record) -> str | None:
    known = record["depth"]["all"]
    if known is None:
        return None
    quantiles = known["quantiles_m"]
    return (
        f"Half of the depths lie below {quantiles['0.5']:.1f} m, nine tenths between {quantiles['0.05']:.1f} and "
        f"{quantiles['0.95']:.1f} m."
    )


_RULES: tuple[Callable[[Record], str | None], ...] = (
    _broken,
    _missing,
    _strays,
    _sizes,
    _rigs,
    _holes,
    _depths,
    _absent,
)


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count:,} frames"


def _has(count: int) -> str:
    return "has" if count == 1 else "have"
