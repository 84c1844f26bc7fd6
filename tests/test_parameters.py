"""The table of parameters: its rows, the files made from it, and what it refuses. Effects: tests/ros/test_node.py."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cloudypoints_ros import parameters

ROOT = Path(__file__).parents[1]


def test_yaml_file_is_current() -> None:
    current = (ROOT / "config" / "depth.yaml").read_text(encoding="utf-8")
    assert current == parameters.yaml_text(), "run `make docs`"


def test_yaml_holds_every_default() -> None:
    nested = yaml.safe_load(parameters.yaml_text())["/**"]["ros__parameters"]
    flat = {}
    for key, value in nested.items():
        flat.update({f"{key}.{leaf}": v for leaf, v in value.items()} if isinstance(value, dict) else {key: value})
    assert flat == parameters.defaults()
    assert {k: type(v) for k, v in flat.items()} == {k: type(v) for k, v in parameters.defaults().items()}


def test_tables_name_every_row() -> None:
    table, topics = parameters.markdown_table(), parameters.topics_markdown()
    for row in parameters.PARAMETERS:
        assert f"| `{row.name}` | {row.type_name} |" in table and row.description in table
    for topic in parameters.TOPICS:
        assert f"| {topic.direction} | `{topic.name}` | `{topic.type_name}` |" in topics
    assert len({row.name for row in parameters.PARAMETERS}) == len(parameters.PARAMETERS)


def test_tables_need_no_ros() -> None:
    code = (
        "import sys; from cloudypoints_ros import parameters as p; p.markdown_table(); p.yaml_text();"
        "sys.exit(any(m.split('.')[0] in ('rclpy', 'rcl_interfaces', 'sensor_msgs') for m in sys.modules))"
    )
    environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": ""}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_defaults_are_possible() -> None:
    assert parameters.problem(parameters.defaults()) is None


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"points.stride": 0}, "points.stride is 0; expected 1 to 64 pixels."),
        ({"points.stride": 65}, "points.stride is 65; expected 1 to 64 pixels."),
        ({"points.stride": 2.0}, "points.stride is 2.0; expected the type int."),
        ({"points.stride": True}, "points.stride is True; expected the type int."),
        (
            {"color.max_range": 60},
            "color.max_range is 60; expected the type double such as 80.0, with its decimal point.",
        ),
        ({"color.max_range": float("nan")}, "color.max_range is nan; expected 1 to 1000 metres."),
        ({"points.fields": "xyzi"}, "points.fields is 'xyzi'; expected one of xyz, xyzrgb, xyzirc."),
        ({"depth_encoding": "mono8"}, "depth_encoding is 'mono8'; expected one of 32FC1, 16UC1."),
        (
            {"points.min_range": 200.0},
            "points.min_range is 200.0 and points.max_range 200.0; expected min_range below max_range.",
        ),
    ],
)
def test_refusals_give_a_reason(change: dict[str, parameters.Value], text: str) -> None:
    assert parameters.problem({**parameters.defaults(), **change}) == text


def test_unknown_names_are_left_to_ros() -> None:
    assert parameters.problem({**parameters.defaults(), "use_sim_time": True}) is None


def test_every_parameter_is_read_by_the_node() -> None:
    """A parameter that is declared and never read has no effect."""
    source = (ROOT / "src" / "cloudypoints_ros" / "node.py").read_text(encoding="utf-8")
    strings = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
    assert {row.name for row in parameters.PARAMETERS} <= strings


@pytest.mark.ros
def test_descriptors() -> None:
    pytest.importorskip("rcl_interfaces", reason="ROS 2 is not installed")
    rows = {row.name: parameters.descriptor(row) for row in parameters.PARAMETERS}
    stride = rows["points.stride"]
    assert (stride.type, stride.integer_range[0].from_value, stride.integer_range[0].to_value) == (2, 1, 64)
    far = rows["points.max_range"].floating_point_range[0]
    assert (far.from_value, far.to_value) == (0.1, 1000.0) and "[metres]" in rows["points.max_range"].description
    assert "32FC1, 16UC1" in rows["depth_encoding"].additional_constraints
    assert rows["model"].read_only and not rows["rectified"].read_only
