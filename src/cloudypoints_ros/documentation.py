"""``python -m cloudypoints_ros.documentation``: write what is generated from the code, in a checkout.

README.md carries blocks between ``<!-- NAME -->`` and ``<!-- end NAME -->``; config/depth.yaml is whole.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from cloudypoints_ros import parameters
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.files import replacing

BLOCKS = {"parameters": parameters.markdown_table, "topics": parameters.topics_markdown}


def generated(checkout: Path) -> dict[Path, str]:
    """The text that each generated file of this checkout should have."""
    readme = checkout / "README.md"
    text = readme.read_text(encoding="utf-8")
    for name, table in BLOCKS.items():
        parts = re.split(rf"(<!-- (?:end )?{name} -->\n)", text)
        if len(parts) != 5:
            raise CloudyPointsError(f"{readme} should have one block <!-- {name} --> ... <!-- end {name} -->; add it.")
        before, opening, _, closing, after = parts
        text = f"{before}{opening}{table().strip()}\n{closing}{after}"
    return {readme: text, checkout / "config" / "depth.yaml": parameters.yaml_text()}


def main() -> int:
    try:
        for path, text in generated(Path.cwd()).items():
            with replacing(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
            print(path)
    except (CloudyPointsError, OSError) as error:
        print(f"documentation: {error}; run it in the checkout.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
