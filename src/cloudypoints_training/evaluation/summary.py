"""An evaluation as one record: means, intervals, floors, groups. JSON in all its parts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from cloudypoints_training.evaluation.calibration import LEVELS, REMOVED
from cloudypoints_training.evaluation.evaluate import Evaluation
from cloudypoints_training.evaluation.figures import FIGURES
from cloudypoints_training.evaluation.floors import FLOORS
from cloudypoints_training.evaluation.means import bootstrap, over_images, over_sources
from cloudypoints_training.evaluation.score import BANDS, EDGES_M, ImageScore, MapScore

Array = npt.NDArray[Any]
Record = dict[str, Any]
Scored = Callable[[ImageScore], MapScore]


def summary(evaluation: Evaluation, model: str, data: str, rounds: int = 1000) -> Record:
    """Everything that is reported. Lengths in metres, shares 0 to 1, None where a figure is undefined.

    `mean_over_sources` is the mean over sources of the mean over a source's images; `mean_over_images` lets every image
    weigh the same. `intervals` are bootstrapped 95 % intervals of `rounds` draws (none for 0).
    """
    images = evaluation.images
    sources = [image.source for image in images]
    values = _values(images, _model)
    over = {
        "mean_over_sources": _mean_of(images, lambda v: over_sources(v, sources)),
        "mean_over_images": _mean_of(images, over_images),
    }
    over["mean_over_sources"]["best_constant"] = _constant(evaluation)
    if rounds:
        low, high = bootstrap(values, sources, rounds)
        over["mean_over_sources"]["intervals"] = _nested(list(map(list, zip(low, high, strict=True))))
    return _plain(
        {
            "model": model,
            "data": data,
            "protocol": asdict(evaluation.protocol),
            "bootstrap_rounds": rounds,
            **over,
            "sources": {source: _source(evaluation, source) for source in sorted(set(sources))},
            "without_truth": evaluation.survey.without_truth,
            "by_distance": {"edges_m": EDGES_M, **_groups(images, sources, "distance")},
            "by_row": {"bands": BANDS, **_groups(images, sources, "rows")},
            "calibration": _calibration(images, sources),
            "corruptions": _corruptions(evaluation, sources),
            "images": [_image(image) for image in images],
        }
    )


def _model(image: ImageScore) -> MapScore:
    return image.model


def _floor(name: str) -> Scored:
    return lambda image: image.floors[name]


def _values(images: Sequence[ImageScore], scored: Scored) -> Array:
    """(images, FIGURES) float64, NaN where undefined."""
    return np.array([[scored(i).figures.get(key, math.nan) for key in FIGURES] for i in images])


def _mean_of(images: Sequence[ImageScore], mean: Callable[[Array], Array]) -> Record:
    """Means of the model's figures, of how many images each is, and of the floors' figures."""
    values = _values(images, _model)
    return {
        "images": len(images),
        "near_pixels": sum(image.near_pixels for image in images),
        **_nested(mean(values)),
        "counted": _nested([int(n) for n in (~np.isnan(values)).sum(0)]),
        "floors": {name: _nested(mean(_values(images, _floor(name)))) for name in FLOORS},
    }


def _source(evaluation: Evaluation, source: str) -> Record:
    own = [image for image in evaluation.images if image.source == source]
    return {**_mean_of(own, over_images), "best_constant": _constant(evaluation, source)}


def _constant(evaluation: Evaluation, source: str | None = None) -> Record:
    """AbsRel of the best constant of one source alone, or of the mean over sources."""
    surveyed = evaluation.survey
    errors = surveyed.best_constant() if source is None else surveyed.best_constant_of(source)
    return {"metres": errors.best_m, "raw": errors.raw.min(), "scaled": errors.scaled}


def _groups(images: Sequence[ImageScore], sources: Sequence[str], which: str) -> Record:
    def mean(scored: Scored, name: str) -> Array:
        return over_sources(np.array([getattr(getattr(scored(image), which), name) for image in images]), sources)

    counts = np.array([getattr(image.model, which).n for image in images])
    return {
        "pixels": counts.sum(0),
        "images": (counts > 0).sum(0),
        "abs_rel": mean(_model, "abs_rel"),
        "ratio": mean(_model, "ratio"),
        "floors": {name: mean(_floor(name), "abs_rel") for name in FLOORS},
    }


def _calibration(images: Sequence[ImageScore], sources: Sequence[str]) -> Record | None:
    """Means over sources of coverage and of the sparsification curves; None where the model predicts no variance."""
    known = [(i.calibration, s) for i, s in zip(images, sources, strict=True) if i.calibration is not None]
    if not known:
        return None
    labels = [source for _, source in known]

    def mean(name: str) -> Array:
        return over_sources(np.array([getattr(c, name) for c, _ in known]), labels)

    return {
        "images": len(known),
        "levels": LEVELS,
        "coverage": mean("coverage"),
        "removed": REMOVED,
        "curve": mean("curve"),
        "oracle": mean("oracle"),
    }


def _corruptions(evaluation: Evaluation, sources: Sequence[str]) -> Record | None:
    """Raw AbsRel per corruption and severity, and its mean over all of them (mean corruption error)."""
    if not evaluation.corruptions:
        return None
    errors = {
        pair: float(over_sources(np.array([m.abs_rel for m in metrics]), sources))
        for pair, metrics in evaluation.corruptions.items()
    }
    names = dict.fromkeys(name for name, _ in errors)
    clean = float(over_sources(np.array([i.model.figures["raw/abs_rel"] for i in evaluation.images]), sources))
    mean = float(np.mean(list(errors.values())))
    return {
        "clean_abs_rel": clean,
        "abs_rel": {name: {str(s): e for (n, s), e in errors.items() if n == name} for name in names},
        "mean_corruption_error": mean,
        "relative_to_clean": mean / clean,
    }


def _image(image: ImageScore) -> Record:
    return {
        "name": image.name,
        "source": image.source,
        "pixels": image.pixels,
        "near_pixels": image.near_pixels,
        "road_fitted": image.road_fitted,
        **_nested([image.model.figures.get(key, math.nan) for key in FIGURES]),
        "floors": {
            name: {kind: image.floors[name].figures[f"{kind}/abs_rel"] for kind in ("raw", "scaled")} for name in FLOORS
        },
    }


def _nested(values: Sequence[Any] | Array) -> Record:
    """FIGURES with their values, "raw/abs_rel" as ["raw"]["abs_rel"]."""
    record: Record = {}
    for key, value in zip(FIGURES, values, strict=True):
        group, _, name = key.rpartition("/")
        (record.setdefault(group, {}) if group else record)[name] = value
    return record


def _plain(value: Any) -> Any:
    """Numbers of Python and None for what JSON cannot say."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value
