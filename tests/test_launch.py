"""The launch files and what goes with them: every name in them must exist where they say it does.

Where ROS 2's launch is installed, it also reads them and starts them.
"""

from __future__ import annotations

import ast
import math
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from cloudypoints_ros import parameters
from cloudypoints_ros.demo.topics import FRAME_ID, IMAGE_TOPIC
from cloudypoints_ros.parameter_table import TOPICS

ROOT = Path(__file__).parents[1]
PACKAGE = "cloudypoints_ros"
FILES = sorted((ROOT / "launch").iterdir())
CONFIGS = [ROOT / "config" / "autoware.yaml", ROOT / "config" / "nav2.yaml"]
RVIZ = ROOT / "config" / "cloudypoints.rviz"
GUIDE = (ROOT / "docs" / "launch.md").read_text(encoding="utf-8")
# What the user must add to a configuration.
MUST_BE_GIVEN: dict[str, dict[str, Any]] = {"nav2.yaml": {"mount.height": 0.4}}
# Packages that an argument asks for; nobody else should have to install them.
OPTIONAL = {"rviz2", "v4l2_camera", "usb_cam", "nav2_lifecycle_manager", "ros2bag"}
# Every node has it, so it is not in our table.
ROS_PARAMETERS = {"use_sim_time"}

VARIABLE = re.compile(r"\$\(var (\w+)\)")
SHARE = re.compile(rf"\$\(find-pkg-share {PACKAGE}\)/([\w./]+)")

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
each_config = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)


def root_of(path: Path) -> ElementTree.Element:
    return ElementTree.parse(path).getroot()


def arguments_of(path: Path) -> dict[str, ElementTree.Element]:
    return {arg.attrib["name"]: arg for arg in root_of(path).findall("arg")}


def texts_of(path: Path) -> list[str]:
    """Every attribute of every element."""
    return [value for element in root_of(path).iter() for value in element.attrib.values()]


def our_node() -> ElementTree.Element:
    (node,) = (
        each for each in root_of(ROOT / "launch" / "depth.launch.xml").iter("node") if each.get("pkg") == PACKAGE
    )
    return node


def flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a.b": 1}, lists as tuples."""
    result: dict[str, Any] = {}
    for key, value in nested.items():
        result |= (
            flat(value, f"{prefix}{key}.")
            if isinstance(value, dict)
            else {prefix + key: parameters.plain(prefix + key, value)}
        )
    return result


def config_of(path: Path) -> dict[str, Any]:
    return flat(yaml.safe_load(path.read_text(encoding="utf-8"))["/**"]["ros__parameters"])


def rviz() -> dict[str, Any]:
    return dict(yaml.safe_load(RVIZ.read_text(encoding="utf-8"))["Visualization Manager"])


def rviz_topics() -> dict[str, dict[str, Any]]:
    """Every display that has a topic, by the topic's name."""
    return {each["Topic"]["Value"]: each for each in rviz()["Displays"] if "Topic" in each}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder share/cloudypoints_ros as setup.py installs it."""
    prefix = tmp_path_factory.mktemp("prefix")
    command = [sys.executable, "setup.py", "--quiet", "install_data", "--install-dir", str(prefix)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return prefix / "share" / PACKAGE


def test_there_are_these_files(installed: Path) -> None:
    names = ["camera", "depth", "lifecycle", "replay"]
    assert [path.name for path in FILES] == [f"{name}.launch.xml" for name in names]
    for path in [*FILES, *CONFIGS, RVIZ]:
        assert (installed / path.relative_to(ROOT)).read_bytes() == path.read_bytes()


@each_file
def test_every_argument_is_declared_described_and_used(path: Path) -> None:
    assert root_of(path).tag == "launch"
    arguments = arguments_of(path)
    assert len(arguments) == len(root_of(path).findall("arg"))
    used = {name for text in texts_of(path) for name in VARIABLE.findall(text)}
    assert used == set(arguments)
    known: set[str] = set()
    for name, argument in arguments.items():
        assert argument.get("description"), name
        assert argument.get("default") is not None or name == "bag"  # which bag nobody can guess
        assert set(VARIABLE.findall(argument.get("default", ""))) <= known, name  # read from top to bottom
        choices = [choice.attrib["value"] for choice in argument.findall("choice")]
        assert not choices or argument.get("default") in choices
        known.add(name)


@each_file
def test_every_path_is_installed(path: Path, installed: Path) -> None:
    paths = [name for text in texts_of(path) for name in SHARE.findall(text)]
    assert paths
    assert all((installed / name).is_file() for name in paths), paths
    assert sum(text.count("find-pkg-share") for text in texts_of(path)) == len(paths)


@each_file
def test_an_include_gets_only_arguments_it_declares(path: Path) -> None:
    for include in root_of(path).iter("include"):
        (name,) = SHARE.findall(include.attrib["file"])
        given = {arg.attrib["name"]: arg.attrib["value"] for arg in include.findall("arg")}
        assert set(given) <= set(arguments_of(ROOT / name))
        # What both files declare would otherwise depend on which of the two came first.
        assert set(arguments_of(path)) & set(arguments_of(ROOT / name)) <= set(given)


@each_file
def test_every_package_is_ours_declared_or_optional(path: Path) -> None:
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    declared = {each.text for each in manifest.findall("exec_depend")}
    assert "ros2launch" in declared and not declared & OPTIONAL
    used = {node.attrib["pkg"] for node in root_of(path).iter("node")}
    used |= {"ros2" + each.attrib["cmd"].split()[1] for each in root_of(path).iter("executable")}
    assert used <= {PACKAGE} | OPTIONAL
    for package in used & OPTIONAL:
        assert f"ros-$ROS_DISTRO-{package.replace('_', '-')}" in GUIDE


def test_our_node_is_an_entry_point() -> None:
    calls = ast.walk(ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")))
    (points,) = (
        k.value for call in calls if isinstance(call, ast.Call) for k in call.keywords if k.arg == "entry_points"
    )
    scripts = [line.split(" = ")[0] for line in ast.literal_eval(points)["console_scripts"]]
    assert our_node().get("exec") in scripts
    assert our_node().get("name") == "cloudypoints"


def test_an_argument_that_is_not_given_sets_nothing() -> None:
    """Whatever depth.launch.xml passes unasked would win over the user's parameter file."""
    arguments = arguments_of(ROOT / "launch" / "depth.launch.xml")
    assert our_node().findall("param") == []
    (scope,) = (
        group for group in root_of(ROOT / "launch" / "depth.launch.xml").findall("group") if not group.get("if")
    )
    settings = scope.findall("set_parameter")
    assert len(settings) == 7
    for setting in settings:
        (argument,) = VARIABLE.findall(setting.attrib["value"])
        assert setting.get("value") == f"'$(var {argument})'"
        assert setting.get("if") == f"$(not-equals 'given:$(var {argument})' 'given:')"
        assert arguments[argument].get("default") == ""
    names = {setting.attrib["name"] for setting in settings}
    assert names - ROS_PARAMETERS <= set(parameters.defaults())
    for argument, setting in ((VARIABLE.findall(each.attrib["value"])[0], each) for each in settings):
        assert setting.get("name") == argument.replace("mount_", "mount.")


def test_the_parameter_file_left_out_is_the_one_with_every_default() -> None:
    default = arguments_of(ROOT / "launch" / "depth.launch.xml")["params_file"].attrib["default"]
    (name,) = SHARE.findall(default)
    assert config_of(ROOT / name) == parameters.defaults()


def test_values_given_to_the_depth_launch_file_fit_its_parameters() -> None:
    given = []
    for path in FILES:
        for include in root_of(path).iter("include"):
            given += [(arg.attrib["name"], arg.attrib["value"]) for arg in include.findall("arg")]
    literal = {name: value for name, value in given if "$" not in value}
    assert literal == {"autostart": "false", "use_sim_time": "true"}
    rows = {name: parameters.row_of(name) for name in set(literal) - ROS_PARAMETERS}
    assert all(row is not None and row.type_name == "bool" for row in rows.values())


def test_remaps_are_of_our_topics() -> None:
    remaps = {each.attrib["from"]: each.attrib["to"] for each in our_node().findall("remap")}
    assert remaps == {
        "image_raw": "$(var image)",
        "image_raw/compressed": "$(var image)/compressed",
        "camera_info": "$(var camera_info)",
    }
    assert set(remaps) == {topic.name for topic in TOPICS if topic.direction == "in"}


def test_a_looping_bag_differs_only_in_that() -> None:
    once, again = (each.attrib["cmd"].split() for each in root_of(ROOT / "launch/replay.launch.xml").iter("executable"))
    assert again == [*once, "--loop"]
    assert once[:6] == ["ros2", "bag", "play", "$(var", "bag)", "--clock"]


@each_config
def test_a_configuration_is_one_the_node_takes(path: Path) -> None:
    values = config_of(path)
    assert set(values) <= set(parameters.defaults())
    given = MUST_BE_GIVEN.get(path.name, {})
    assert parameters.problem({**parameters.defaults(), **values, **given}) is None
    # Each of what must be given is missed if it is not.
    for name in given:
        reason = parameters.problem({**parameters.defaults(), **values}) or ""
        assert name in reason
    repeated = [name for name in values if values[name] == parameters.defaults()[name]]
    assert set(repeated) <= {"points.organised", "points.stride", "qos.output", "qos.output_depth"}


def test_each_configuration_is_for_its_stack() -> None:
    autoware, nav2 = (config_of(path) for path in CONFIGS)
    assert (autoware["points.fields"], autoware["points.max_rate"]) == ("xyzirc", 10.0)
    assert (nav2["points.fields"], nav2["points.min_range"], nav2["points.max_range"]) == ("xyz", 0.3, 8.0)
    assert 0 < nav2["points.min_height"] < nav2["points.max_height"] and nav2["points.voxel_size"] > 0


def test_rviz_shows_topics_that_exist_as_what_they_are() -> None:
    types = {"rviz_default_plugins/PointCloud2": "PointCloud2", "rviz_default_plugins/Image": "Image"}
    table = {topic.name.replace("~", "/cloudypoints"): topic for topic in TOPICS if topic.direction == "out"}
    topics = rviz_topics()
    assert set(topics) == {"/cloudypoints/points", "/cloudypoints/depth/color", IMAGE_TOPIC}
    for name, display in topics.items():
        kind = table[name].type_name if name in table else "sensor_msgs/msg/Image"
        assert kind == f"sensor_msgs/msg/{types[display['Class']]}"
        assert display["Enabled"] is True
        qos = display["Topic"]
        assert qos["Durability Policy"] == "Volatile"
        # A subscriber that asks for more than is offered gets nothing: ours are reliable, a camera may not be.
        assert qos["Reliability Policy"] == ("Reliable" if name in table else "Best Effort")
    assert parameters.defaults()["qos.output"] == "reliable"
    assert topics["/cloudypoints/points"]["Color Transformer"] == "RGB8"
    assert "rgb" in str(parameters.defaults()["points.fields"])


def test_rviz_follows_the_launch_arguments() -> None:
    root = root_of(ROOT / "launch" / "depth.launch.xml")
    (node,) = (each for each in root.iter("node") if each.get("pkg") == "rviz2")
    remaps = {each.attrib["from"]: each.attrib["to"] for each in node.findall("remap")}
    assert set(remaps) == set(rviz_topics())
    assert remaps.pop(IMAGE_TOPIC) == "$(var image)"
    assert all(source == f"/{target}" for source, target in remaps.items())
    assert node.get("namespace") == our_node().get("namespace") == "$(var namespace)"


def test_without_tf_the_fixed_frame_is_the_cameras() -> None:
    assert rviz()["Global Options"]["Fixed Frame"] == FRAME_ID
    for name in ("depth", "camera"):
        assert arguments_of(ROOT / "launch" / f"{name}.launch.xml")["frame"].get("default") == FRAME_ID
    assert arguments_of(ROOT / "launch" / "replay.launch.xml")["image"].get("default") == IMAGE_TOPIC


def test_rviz_looks_from_behind_and_above() -> None:
    """In the optical frame: x right, y down, z forward; the orbit shows +z upwards on the screen."""
    view = rviz()["Views"]["Current"]
    assert view["Class"] == "rviz_default_plugins/Orbit" and not view["Invert Z Axis"]
    yaw, pitch, focus = view["Yaw"], view["Pitch"], view["Focal Point"]
    direction = (math.cos(yaw) * math.cos(pitch), math.sin(yaw) * math.cos(pitch), math.sin(pitch))
    eye = [focus[axis] + view["Distance"] * part for axis, part in zip("XYZ", direction, strict=True)]
    assert abs(eye[0]) < 0.01 and eye[1] < -5 and eye[2] < -5
    # Screen right is the line of sight times up, here +z: it must be +x, or left and right would be swapped.
    sight = [-part for part in direction]
    right = (sight[1], -sight[0], 0.0)
    assert right[0] > 0.1 and abs(right[1]) < 0.01


@each_file
def test_the_guide_lists_the_arguments(path: Path) -> None:
    section = GUIDE.split(f"## {path.name}\n")[1].split("\n## ")[0]
    assert [line for line in section.splitlines() if line.startswith("| `")] == list(rows_of(path))


def rows_of(path: Path) -> Iterator[str]:
    """The rows of docs/launch.md about a launch file."""
    for name, argument in arguments_of(path).items():
        default = argument.get("default")
        shown = (
            "must be given" if default is None else "found" if "$(" in default else f"`{default}`" if default else ""
        )
        choices = ", ".join(choice.attrib["value"] for choice in argument.findall("choice"))
        description = argument.attrib["description"] + (f" ({choices})" if choices else "")
        yield f"| `{name}` | {shown} | {description} |"


@pytest.fixture
def prefix(tmp_path: Path, installed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation of this package that ROS finds, with programs that start and end at once."""
    pytest.importorskip("launch_xml", reason="ROS 2's launch is not installed")
    pytest.importorskip("launch_ros", reason="ROS 2's launch is not installed")
    monkeypatch.setenv("AMENT_PREFIX_PATH", os.pathsep.join([str(tmp_path), os.environ.get("AMENT_PREFIX_PATH", "")]))
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "log"))
    programs = {
        PACKAGE: "depth_node",
        "rviz2": "rviz2",
        "v4l2_camera": "v4l2_camera_node",
        "usb_cam": "usb_cam_node_exe",
    }
    for package, name in programs.items():
        marker = tmp_path / "share" / "ament_index" / "resource_index" / "packages" / package
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
        program = tmp_path / "lib" / package / name
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        (tmp_path / "share" / package).mkdir()
    for folder in ("launch", "config"):
        (tmp_path / "share" / PACKAGE / folder).symlink_to(installed / folder)
    return tmp_path


def started(name: str, **arguments: str) -> dict[str, list[str]]:
    """Launch a file to its end; the command line of every program it started, by the program's name."""
    from launch import LaunchDescription, LaunchService
    from launch.actions import IncludeLaunchDescription, RegisterEventHandler
    from launch.event_handlers import OnProcessStart
    from launch.launch_description_sources import AnyLaunchDescriptionSource

    commands: dict[str, list[str]] = {}

    def note(event: Any, _context: Any) -> None:
        commands[Path(event.cmd[0]).name] = event.cmd[1:]

    service = LaunchService(noninteractive=True)
    include = IncludeLaunchDescription(
        AnyLaunchDescriptionSource(str(ROOT / "launch" / name)), launch_arguments=arguments.items()
    )
    service.include_launch_description(
        LaunchDescription([RegisterEventHandler(OnProcessStart(on_start=note)), include])
    )
    assert service.run() == 0
    return commands


def after(command: list[str], flag: str) -> list[str]:
    return [value for key, value in pairwise(command) if key == flag]


def test_launched_with_an_image_topic_alone(prefix: Path) -> None:
    commands = started("depth.launch.xml", image="/camera/image_raw")
    assert set(commands) == {"depth_node"}
    command = commands["depth_node"]
    assert after(command, "-p") == []
    assert after(command, "--params-file") == [str(prefix / "share" / PACKAGE / "config" / "depth.yaml")]
    remaps = dict(rule.split(":=") for rule in after(command, "-r"))
    assert remaps["image_raw"] == "/camera/image_raw"
    assert remaps["image_raw/compressed"] == "/camera/image_raw/compressed"
    assert remaps["camera_info"] == "/camera/camera_info"
    assert (remaps["__node"], remaps["__ns"]) == ("cloudypoints", "/")


def test_launched_with_arguments_and_rviz(prefix: Path) -> None:
    commands = started(
        "depth.launch.xml",
        namespace="robot",
        cameras="[front, rear]",
        mount_height="1.5",
        use_sim_time="true",
        params_file="/my/own.yaml",
        rviz="true",
        frame="my_optical_frame",
    )
    command = commands["depth_node"]
    assert after(command, "-p") == ["cameras:=[front, rear]", "mount.height:=1.5", "use_sim_time:=true"]
    assert after(command, "--params-file") == ["/my/own.yaml"]
    assert command.index("--params-file") < command.index("-p")  # the later one wins
    assert "__ns:=/robot" in command and "camera_info:=camera_info" in command
    shown = commands["rviz2"]
    assert after(shown, "-f") == ["my_optical_frame"] and after(shown, "-p") == ["use_sim_time:=true"]
    assert "__ns:=/robot" in shown and "/cloudypoints/points:=cloudypoints/points" in shown


@pytest.mark.parametrize(("driver", "program"), [("v4l2_camera", "v4l2_camera_node"), ("usb_cam", "usb_cam_node_exe")])
def test_launched_with_a_camera(prefix: Path, driver: str, program: str) -> None:
    commands = started("camera.launch.xml", driver=driver, width="1280", height="720", model="/my/model.onnx")
    assert set(commands) == {program, "depth_node"}
    values: dict[str, Any] = {}
    for file in after(commands[program], "--params-file"):
        (node,) = yaml.safe_load(Path(file).read_text(encoding="utf-8")).items()
        assert node[0] == "/camera/driver"
        values |= node[1]["ros__parameters"]
    width_and_height = (
        {"image_size": [1280, 720]} if driver == "v4l2_camera" else {"image_width": 1280, "image_height": 720}
    )
    assert width_and_height.items() <= values.items()
    assert {values.get("frame_id"), values.get("camera_frame_id")} == {FRAME_ID, None}
    command = commands["depth_node"]
    assert after(command, "-p") == ["model:=/my/model.onnx"]
    assert {"image_raw:=camera/image_raw", "camera_info:=camera/camera_info"} <= set(command)


def test_launched_for_a_lifecycle_manager(prefix: Path) -> None:
    commands = started("lifecycle.launch.xml")
    assert set(commands) == {"depth_node"}
    assert after(commands["depth_node"], "-p") == ["autostart:=false"]
