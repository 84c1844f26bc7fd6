"""What a check found, and how it is written for people and for machines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@dataclass(frozen=True)
class Finding:
    """One line: ``check`` names it, ``mark`` is OK, WARNING or PROBLEM, ``remedy`` is there unless it is ok.

    ``data`` holds the numbers behind the sentence, for ``--json``.
    """

    check: str
    mark: str
    found: str
    remedy: str = ""
    data: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        sentence = f"{self.found}; {self.remedy}" if self.remedy else self.found
        return f"{self.mark:8} {self.check:14} {sentence}."


def exit_code(findings: Iterable[Finding]) -> int:
    """1 when something is a problem, else 0."""
    return int(any(finding.mark == PROBLEM for finding in findings))


def summary(findings: Sequence[Finding]) -> str:
    """The last line: how many problems and warnings."""
    marks = Counter(finding.mark for finding in findings)
    counts = [f"{marks[mark]} {mark}{'s' if marks[mark] > 1 else ''}" for mark in (PROBLEM, WARNING) if marks[mark]]
    return (" and ".join(counts) or "nothing wrong") + f" in {len(findings)} checks"


def to_json(findings: Sequence[Finding]) -> str:
    """{"problems": n, "warnings": n, "findings": [{check, mark, found, remedy, data}]}"""
    marks = Counter(finding.mark for finding in findings)
    record = {"problems": marks[PROBLEM], "warnings": marks[WARNING], "findings": [asdict(f) for f in findings]}
    return json.dumps(record, indent=1)
