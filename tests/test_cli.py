"""The command itself."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from cloudypoints_ros import __version__
from cloudypoints_ros.cli import COMMANDS, main
from cloudypoints_ros.run import add_arguments, ros_arguments


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0 and capsys.readouterr().out.strip() == f"cloudypoints {__version__}"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) > 5


def test_no_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2 and "COMMAND" in capsys.readouterr().err


def test_debug_shows_the_traceback(tmp_path: object) -> None:
    from cloudypoints_ros.errors import CloudyPointsError

    with pytest.raises(CloudyPointsError):
        main(["--debug", "predict", "absent", "-o", str(tmp_path)])


def parsed(*words: str) -> list[str]:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return ros_arguments(parser.parse_args(list(words)))


def test_run_turns_its_options_into_ros_arguments() -> None:
    assert parsed() == []
    assert parsed("--image", "/cam/image_raw", "--camera-info", "/cam/camera_info") == [
        *("--ros-args", "-r", "image_raw:=/cam/image_raw", "-r", "camera_info:=/cam/camera_info"),
        *("-r", "image_raw/compressed:=/cam/image_raw/compressed"),
    ]
    assert parsed("-p", "points.stride:=2", "--params-file", "x.yaml", "--", "-r", "__ns:=/front") == [
        *("--ros-args", "--params-file", "x.yaml", "-p", "points.stride:=2", "-r", "__ns:=/front"),
    ]


@pytest.mark.parametrize("start", ["cli.main(['demo'])", "run.depth_node()", "cli.main(['run'])"])
def test_a_missing_package_is_a_sentence(start: str) -> None:
    """As where ROS is not sourced."""
    code = f"import sys; sys.modules['rclpy'] = None; from cloudypoints_ros import cli, run; sys.exit({start})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "rclpy" in done.stderr and "install" in done.stderr
