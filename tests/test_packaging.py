"""The package in both homes: pip, and a colcon workspace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


def run(command: list[str], cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A colcon workspace with a copy of the tracked files."""
    folder = tmp_path_factory.mktemp("workspace")
    files = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], CHECKOUT).split("\0")
    for name in filter(None, files):
        if (CHECKOUT / name).is_file():
            target = folder / "src" / "cloudypoints_ros" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, target)
    return folder


def test_package_xml_and_setup_py_agree() -> None:
    root = ElementTree.parse(CHECKOUT / "package.xml").getroot()
    assert root.get("format") == "3" and root.findtext("export/build_type") == "ament_python"
    setup = run([sys.executable, "setup.py", "--name", "--version"], CHECKOUT).split()
    assert setup[-2:] == [root.findtext("name"), root.findtext("version")]
    from cloudypoints_ros import __version__

    assert __version__ == root.findtext("version")


@pytest.mark.slow
def test_colcon_builds_it_as_an_ament_python_package(workspace: Path) -> None:
    colcon = str(Path(sys.executable).with_name("colcon"))
    assert "(ros.ament_python)" in run([colcon, "list"], workspace)
    run([colcon, "build", "--event-handlers", "console_direct+"], workspace)
    prefix = workspace / "install" / "cloudypoints_ros"
    assert os.access(prefix / "lib/cloudypoints_ros/depth_node", os.X_OK)
    assert (prefix / "share/ament_index/resource_index/packages/cloudypoints_ros").is_file()
    assert (prefix / "share/cloudypoints_ros/package.xml").is_file()
    assert (prefix / "share/cloudypoints_ros/config/depth.yaml").is_file()
    installed = [str(p.relative_to(prefix)) for p in prefix.rglob("*")]
    assert not [name for name in installed if "cloudypoints_training" in name]
    for needed in ("models/cloudypoints_street.onnx", "models/cloudypoints_street.card.json", "fastdds_profile.xml"):
        assert [name for name in installed if name.endswith(f"cloudypoints_ros/{needed}")]
    found = run(
        [sys.executable, "-c", "from ament_index_python import get_package_prefix as p; print(p('cloudypoints_ros'))"],
        workspace,
        AMENT_PREFIX_PATH=str(prefix),
    )
    assert found.strip() == str(prefix)
