"""What is generated from the code is current, and the README's words exist."""

from __future__ import annotations

import re
from pathlib import Path

from cloudypoints_ros.cli import COMMANDS
from cloudypoints_ros.documentation import generated

CHECKOUT = Path(__file__).parents[1]


def test_generated_files_are_current() -> None:
    for path, text in generated(CHECKOUT).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale: run make docs"


def test_every_command_the_readme_names_exists() -> None:
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:bin/|`)cloudypoints ([a-z]+)", readme))
    assert named and named <= set(COMMANDS)


def test_every_file_the_readme_names_exists() -> None:
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", readme):
        if "://" not in target:
            assert (CHECKOUT / target).exists(), target
