"""The table of parameters: its rows, the files made from it, and what it refuses. Effects: tests/ros/test_node.py."""

from __future__ import annotations

import re
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
    flat = {name: parameters.plain(name, value) for name, value in flat.items()}
    assert flat == parameters.defaults()
    assert {k: type(v) for k, v in flat.items()} == {k: type(v) for k, v in parameters.defaults().items()}


def test_tables_name_every_row() -> None:
    table, topics = parameters.markdown_table(), parameters.topics_markdown()
    for row in parameters.PARAMETERS:
        assert re.search(rf"\| `{re.escape(row.name)}`[^|]*\| {re.escape(row.type_name)} \|", table)
        assert row.description in table
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
        ({"depth.encoding": "mono8"}, "depth.encoding is 'mono8'; expected one of 32FC1, 16UC1."),
        (
            {"points.min_range": 200.0},
            "points.min_range is 200.0 and points.max_range 200.0; expected min_range below max_range.",
        ),
        (
            {"points.voxel_size": 0.1, "points.organised": True},
            "points.voxel_size is 0.1 and points.organised true; expected one of them: cubes have no image grid.",
        ),
        (
            {"points.max_height": 2.0},
            "points.min_height or points.max_height is set but mount.height is 0; set mount.height to the camera's "
            "metres above the road first.",
        ),
        (
            {"scale.source": "camera_height", "cameras": ("a", "b"), "a.mount.height": 1.5},
            "scale.source is camera_height but mount.height is 0; set mount.height or b.mount.height to the camera's "
            "metres above the road first.",
        ),
        (
            {"roi": (0, 0, 10)},
            "roi is [0, 0, 10]; expected x, y, width, height in pixels, or four zeros for the whole image.",
        ),
        (
            {"roi": (0, 0, 10, 0)},
            "roi is [0, 0, 10, 0]; expected x, y, width, height in pixels, or four zeros for the whole image.",
        ),
        ({"roi": "all"}, "roi is 'all'; expected the type int[] such as [0, 0, 0, 0]."),
        (
            {"cameras": ("front", "/front")},
            "cameras is ['front', '/front']; expected different names, such as [front, rear], or one empty name.",
        ),
        (
            {"cameras": ("2nd",)},
            "cameras has the name '2nd'; expected a ROS name: letters, digits and underscores, with / between its "
            "parts, no part beginning with a digit.",
        ),
        ({"cameras": ()}, 'cameras is (); expected the type string[] such as [""].'),
        (
            {"cameras": ("vörne",)},
            "cameras has the name 'vörne'; expected a ROS name: letters, digits and underscores, with / between its "
            "parts, no part beginning with a digit.",
        ),
        (
            {"diagnostics.rate_warn": 5.0, "diagnostics.rate_error": 10.0},
            "diagnostics.rate_warn is 5 and diagnostics.rate_error 10; expected warn not below error.",
        ),
        (
            {"diagnostics.drops_warn": 0.99},
            "diagnostics.drops_warn is 0.99 and diagnostics.drops_error 0.95; expected the first not above the second.",
        ),
        ({"cameras": ("front",), "front.rectified": 1}, "front.rectified is 1; expected the type bool."),
    ],
)
def test_refusals_give_a_reason(change: dict[str, parameters.Value], text: str) -> None:
    assert parameters.problem({**parameters.defaults(), **change}) == text


def test_unknown_names_are_left_to_ros() -> None:
    assert parameters.problem({**parameters.defaults(), "use_sim_time": True}) is None


def test_a_camera_has_its_own_values_and_else_the_common_ones() -> None:
    values = {**parameters.defaults(), "cameras": ("front", "side/left"), "rectified": True}
    values |= {"front.rectified": False, "front.roi": None, "side.left.mount.height": 1.5}
    front, left = (parameters.for_camera(values, camera) for camera in ("front", "side/left"))
    assert parameters.problem(values) is None
    assert (front["rectified"], front["roi"], front["mount.height"]) == (False, (0, 0, 0, 0), 0.0)
    assert (left["rectified"], left["mount.height"]) == (True, 1.5)
    assert set(front) == set(parameters.defaults())


def test_topics_of_a_camera() -> None:
    assert parameters.topic("image_raw", "") == "image_raw"
    assert parameters.topic("image_raw", "side/left") == "side/left/image_raw"
    assert parameters.topic("~/points", "") == "~/points"
    assert parameters.topic("~/points", "/front") == "~/front/points"


@pytest.mark.ros
def test_descriptors() -> None:
    pytest.importorskip("rcl_interfaces", reason="ROS 2 is not installed")
    rows = {row.name: parameters.descriptor(row) for row in parameters.PARAMETERS}
    stride = rows["points.stride"]
    assert (stride.type, stride.integer_range[0].from_value, stride.integer_range[0].to_value) == (2, 1, 64)
    far = rows["points.max_range"].floating_point_range[0]
    assert (far.from_value, far.to_value) == (0.1, 1000.0) and "[metres]" in rows["points.max_range"].description
    assert "32FC1, 16UC1" in rows["depth.encoding"].additional_constraints
    assert rows["autostart"].read_only and not rows["rectified"].read_only and not rows["cameras"].read_only
    assert (rows["cameras"].type, rows["roi"].type) == (9, 7)
