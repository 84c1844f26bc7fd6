"""The report as one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from cloudypoints_training.exploration.findings import findings
from cloudypoints_training.exploration.pictures import MOST_BARS
from cloudypoints_training.exploration.record import QUANTILES

Record = dict[str, Any]

MOST_ROWS = 200  # of a table; explore.json has all

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2733; background: #f4f6f8; margin: 0; }
main { max-width: 1120px; margin: 0 auto; padding: 24px 16px 48px; }
section { background: white; border: 1px solid #dfe3e8; border-radius: 8px; padding: 4px 20px 16px; margin: 16px 0; }
h1 { font-size: 26px; margin: 8px 0; overflow-wrap: anywhere; } h2 { font-size: 18px; margin: 12px 0 6px; }
p, figcaption, footer { color: #55606e; margin: 6px 0; } figure { margin: 12px 0; } img { max-width: 100%; }
dl { display: flex; flex-wrap: wrap; gap: 12px; margin: 16px 0; }
dl div { background: white; border: 1px solid #dfe3e8; border-radius: 8px; padding: 8px 16px; min-width: 110px; }
dt { color: #55606e; font-size: 13px; } dd { margin: 0; font-size: 22px; font-weight: 600; }
ul { margin: 6px 0; padding-left: 22px; } summary { cursor: pointer; color: #1f5fa8; margin: 8px 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
th { text-align: right; color: #55606e; font-weight: 600; border-bottom: 2px solid #dfe3e8; }
td { text-align: right; border-bottom: 1px solid #eef1f4; } th, td { padding: 4px 7px; vertical-align: top; }
th.word, td.word { text-align: left; } th, td:not(.word) { white-space: nowrap; } li { overflow-wrap: anywhere; }
"""


def page(record: Record, pictures: Record) -> str:
    """HTML of a record; `pictures` are PNG or JPEG bytes by name: counts, validity, depth, maps {caption: ...} and
    sheets {split: ...}."""
    frames = record["frames"]
    title = f"What is in {record['root']}"
    sections = (_frames, _images, _calibration, _validity, _maps, _depth, _samples, _broken)
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>Layout: {escape(record['layout'])}. {_how_many(frames)}</p>",
        _tiles(record),
        _section("Worth knowing", _list(findings(record))),
        *(part for section in sections if (part := section(record, pictures))),
        "<footer>The pictures are parts of the data set and under its licence; Cityscapes is for non-commercial use "
        "and must not be redistributed. All figures are in explore.json.</footer>",
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    top = f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head><body><main>'
    return "\n".join((top, *parts, "</main></body></html>\n"))


def _how_many(frames: Record) -> str:
    if frames["read"] == frames["found"]:
        return f"All {frames['found']:,} frames were read."
    return (
        f"{frames['read']:,} of {frames['found']:,} frames were read, drawn evenly with seed {frames['seed']}; all "
        "figures but the counts are of those."
    )


def _tiles(record: Record) -> str:
    valid, depth = record["validity"]["all"], record["depth"]["all"]
    figures = {
        "frames": f"{record['frames']['found']:,}",
        "splits": str(len(record["counts"])),
        _source_word(record, several=True): f"{len({s for sources in record['counts'].values() for s in sources}):,}",
        "calibrations": f"{len(record['rigs']):,}",
        "pixels measured": _percent(valid and valid["measured"]),
        "median depth": "-" if depth is None else f"{depth['quantiles_m']['0.5']:.1f} m",
        "broken": str(len({entry["frame"] for entry in record["broken"]})),
    }
    tiles = (f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in figures.items())
    return f"<dl>{''.join(tiles)}</dl>"


def _frames(record: Record, pictures: Record) -> str:
    header = ["split", _source_word(record), "frames", *record["kinds"]]
    rows = []
    for split, sources in record["counts"].items():
        rows += [[split, source, *(f"{n:,}" for n in count.values())] for source, count in sources.items()]
        if len(sources) > 1:
            sums = [sum(count[key] for count in sources.values()) for key in ("frames", *record["kinds"])]
            rows.append([split, "together", *(f"{n:,}" for n in sums)])
    table = _folded("Files by source", _table(header, rows, words=2))
    many = max(map(len, record["counts"].values())) > MOST_BARS
    text = f"<p>Pictures show {MOST_BARS} {_source_word(record, several=True)} of a split at most.</p>" if many else ""
    return _section("Frames", _picture(pictures["counts"]), text, table)


def _images(record: Record, pictures: Record) -> str:
    sizes = [[f"{s['width']} x {s['height']}", f"{s['frames']:,}"] for s in record["sizes"]]
    if not sizes:
        return ""
    colour = record["colour"]
    rows = [[name, *(f"{value:.3f}" for value in colour[name])] for name in ("mean", "std")]
    return _section(
        "Images",
        _table(["size", "frames"], sizes),
        "<p>Colour of the pixels, 0 to 1:</p>",
        _table(["", "red", "green", "blue"], rows),
    )


def _calibration(record: Record, pictures: Record) -> str:
    rigs = record["rigs"]
    if not rigs:
        return ""
    usual, stereo = rigs[0]["bf"], record["bf_spread_percent"] is not None
    header = [_source_word(record, several=True), "frames", "size", "fx", "fy", "cx", "cy", "view"]
    header += ["baseline", "baseline * fx", "to the first", "height [m]", "pitch [deg]"] if stereo else []
    rows = []
    for rig in rigs:
        row = [_few(rig["sources"]), f"{rig['frames']:,}", f"{rig['width']} x {rig['height']}"]
        row += [f"{rig[key]:.2f}" for key in ("fx", "fy", "cx", "cy")] + [f"{rig['hfov_deg']:.1f}\u00b0"]
        if stereo:
            row += [f"{rig['baseline_m']:.6f} m", f"{rig['bf']:.2f} px m", f"{(rig['bf'] / usual - 1) * 100:+.2f} %"]
            row += [_between(rig["height_m"]), _between(rig["pitch_deg"])]
        rows.append(row)
    text = "One row for each calibration, the most frequent first; lengths without a unit are pixels."
    if stereo:
        spread = f"{record['bf_spread_percent']:.2f} %"
        text += f" Depth is baseline * fx / disparity; the largest baseline * fx is {spread} above the least."
    return _section("Calibration", f"<p>{text}</p>", _table(header, rows))


def _validity(record: Record, pictures: Record) -> str:
    if record["validity"]["all"] is None:
        return ""
    header = ["split", _source_word(record), "frames", "measured", "least", "median", "most"]
    header += ["infinitely far", "outside the right image", "kept"]
    rows = []
    for split, sources in record["validity"]["splits"].items():
        for source, known in sources.items():
            if known is not None:
                shares = [known["measured"], *known["measured_by_frame"]]
                shares += [known[key] for key in ("infinite", "unseen", "kept")]
                rows.append([split, source, f"{known['frames']:,}", *map(_percent, shares)])
    least = ", ".join(f"{entry['name']} ({_percent(entry['measured'])})" for entry in record["least_measured"])
    text = "Shares of all pixels. Least, median and most: of the frames. Kept: metres that training sees, after the "
    text += "masks for hood, border, sky, and the strip at the left that only the left camera sees."
    if record["layout"] != "cityscapes":
        text = "Shares of all pixels. Least, median and most: of the frames."
    return _section(
        "Validity",
        f"<p>{text} Least measured: {escape(least)}.</p>",
        _picture(pictures["validity"]),
        _folded("Figures by source", _table(header, rows, words=2)),
    )


def _maps(record: Record, pictures: Record) -> str:
    if not pictures["maps"]:
        return ""
    text = "How often each place of the image has a value."
    if record["layout"] == "cityscapes":
        text += " Dashed: the hood's rows and the strip at the left, which are masked where a frame has no labels."
    return _section("Where there is truth", f"<p>{text}</p>", *(_picture(p, c) for c, p in pictures["maps"].items()))


def _depth(record: Record, pictures: Record) -> str:
    if pictures["depth"] is None:
        return ""
    header = ["split", _source_word(record), "pixels", *(f"{share:.0%} below [m]" for share in QUANTILES)]
    rows = []
    for split, sources in record["depth"]["splits"].items():
        for source, known in sources.items():
            if known is not None:
                metres = (f"{value:.1f}" for value in known["quantiles_m"].values())
                rows.append([split, source, f"{sum(known['pixels']):,}", *metres])
    text = "<p>Of the kept pixels. The first and last bin hold what is nearer or farther.</p>"
    return _section(
        "Depth", text, _picture(pictures["depth"]), _folded("Figures by source", _table(header, rows, words=2))
    )


def _samples(record: Record, pictures: Record) -> str:
    sheets = [_picture(picture, split) for split, picture in pictures["sheets"].items() if picture is not None]
    text = "<p>Each image above its depth, as training sees it.</p>" if record["depth"]["all"] else ""
    return _section("Samples", text, *sheets) if sheets else ""


def _broken(record: Record, pictures: Record) -> str:
    broken = record["broken"]
    more = f"<p>{len(broken) - MOST_ROWS:,} more are in explore.json.</p>" if len(broken) > MOST_ROWS else ""
    sentences = (f"{entry['frame']}: {entry['why']}" for entry in broken[:MOST_ROWS])
    return _section("Broken files", _list(sentences), more) if broken else ""


def _source_word(record: Record, several: bool = False) -> str:
    city = record["layout"] in ("cityscapes", "prepared")
    return ("cities" if several else "city") if city else ("sources" if several else "source")


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def _list(sentences: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>"


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def _picture(content: bytes | None, caption: str = "") -> str:
    if content is None:
        return ""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    data = base64.b64encode(content).decode("ascii")
    return f'<figure>{words}<img alt="{escape(caption)}" src="data:image/{kind};base64,{data}"></figure>'


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """The first `words` columns are text, the others numbers."""

    def line(cells: Sequence[str], tag: str) -> str:
        marked = (' class="word"' if i < words else "" for i in range(len(cells)))
        return f"<tr>{''.join(f'<{tag}{m}>{t}</{tag}>' for m, t in zip(marked, map(escape, cells), strict=True))}</tr>"

    more = len(rows) - MOST_ROWS
    rest = f"<p>{more:,} more rows are in explore.json.</p>" if more > 0 else ""
    body = "".join(line(row, "td") for row in rows[:MOST_ROWS])
    return f'<div class="wide"><table>{line(header, "th")}{body}</table></div>{rest}'


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _between(span: Sequence[float]) -> str:
    least, most = (f"{value:.2f}" for value in span)
    return least if least == most else f"{least} to {most}"


def _few(names: Sequence[str], most: int = 3) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
