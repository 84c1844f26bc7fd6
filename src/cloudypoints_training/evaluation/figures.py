"""The figures there are: how they are called, what they are measured in, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    label: str
    unit: str = ""
    better: str = "lower"
    digits: int = 3


_METRICS = {
    "abs_rel": Figure("AbsRel"),
    "sq_rel": Figure("SqRel", "m"),
    "rmse": Figure("RMSE", "m", digits=2),
    "rmse_log": Figure("RMSElog"),
    "silog": Figure("SILog", "x100", digits=1),
    "delta1": Figure("delta < 1.25", better="higher"),
    "delta2": Figure("delta < 1.25^2", better="higher"),
    "delta3": Figure("delta < 1.25^3", better="higher"),
}


def _kind(kind: str, words: str) -> dict[str, Figure]:
    return {f"{kind}/{name}": Figure(f"{words} {f.label}", f.unit, f.better, f.digits) for name, f in _METRICS.items()}


FIGURES: dict[str, Figure] = {
    **_kind("raw", "raw"),
    **_kind("scaled", "median-scaled"),
    "points/f_0.1m": Figure("points F-score at 0.1 m", better="higher"),
    "points/f_0.5m": Figure("points F-score at 0.5 m", better="higher"),
    "points/chamfer_m": Figure("points Chamfer", "m", digits=2),
    "boundary/f1": Figure("boundary F1", better="higher"),
    "near/abs_rel": Figure("objects nearer than 10 m: raw AbsRel"),
    "near/ratio": Figure("objects nearer than 10 m: predicted / true", better="1"),
    "calibration/ause": Figure("AUSE (sparsification of AbsRel)"),
    "calibration/aurg": Figure("AURG (gain over no order)", better="higher"),
    "missing": Figure("without an answer"),
}
