"""The DDS profile is put in force unless the user chose otherwise; log folder and allocator."""

from __future__ import annotations

import platform
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from cloudypoints_ros import dds
from cloudypoints_ros.errors import CloudyPointsError

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dds, "free_shared_memory_bytes", lambda: 1 << 30)


def test_a_small_shared_memory_is_left_to_fast_dds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker gives 64 MB: there our segment loses more messages than none."""
    monkeypatch.setattr(dds, "free_shared_memory_bytes", lambda: 64 << 20)
    environ: dict[str, str] = {}
    sentence = dds.apply_profile(environ)
    assert environ == {} and "/dev/shm has 64 MiB free" in sentence and "--shm-size=512m" in sentence


def test_shared_memory_is_measured() -> None:
    kilobytes = subprocess.run(["df", "-k", "--output=avail", "/dev/shm"], capture_output=True, text=True, check=True)
    assert abs(dds.free_shared_memory_bytes() / 1024 - int(kilobytes.stdout.split()[-1])) < 100_000  # others use it too


@pytest.mark.usefixtures("roomy")
def test_profile_is_put_in_force_for_both_generations() -> None:
    environ: dict[str, str] = {}
    sentence = dds.apply_profile(environ)
    assert environ == dict.fromkeys(dds.PROFILE_VARIABLES, str(dds.PROFILE))
    assert sentence == f"The Fast DDS profile {dds.PROFILE} (shared memory for large messages) is in force."


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({"FASTRTPS_DEFAULT_PROFILES_FILE": "/etc/passwd"}, "Your Fast DDS profile /etc/passwd (FASTRTPS_"),
        ({"FASTDDS_DEFAULT_PROFILES_FILE": "/etc/passwd"}, "Your Fast DDS profile /etc/passwd (FASTDDS_"),
        ({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}, "RMW_IMPLEMENTATION is rmw_cyclonedds_cpp"),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}, "FASTDDS_BUILTIN_TRANSPORTS=UDPv4 is in force"),
    ],
)
def test_the_users_choice_wins(environ: dict[str, str], text: str) -> None:
    before = dict(environ)
    assert dds.apply_profile(environ).startswith(text)
    assert environ == before


def test_a_profile_in_the_working_directory_wins(tmp_path: Path) -> None:
    (tmp_path / "DEFAULT_FASTRTPS_PROFILES.xml").write_text("<dds/>")
    environ: dict[str, str] = {"RMW_IMPLEMENTATION": "rmw_fastrtps_cpp"}
    assert str(tmp_path) in dds.apply_profile(environ) and len(environ) == 1


def test_profile_says_what_was_measured_to_work() -> None:
    tree = ElementTree.parse(dds.PROFILE)
    name = {"d": "http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles"}
    transports = {t.findtext("d:type", None, name): t for t in tree.iterfind(".//d:transport_descriptor", name)}
    assert set(transports) == {"SHM", "UDPv4"}
    assert transports["SHM"].findtext("d:segment_size", None, name) == "67108864"
    assert transports["SHM"].findtext("d:port_queue_capacity", None, name) == "2048"
    assert tree.findtext(".//d:useBuiltinTransports", None, name) == "false"
    participant = tree.find(".//d:participant", name)
    assert participant is not None and participant.get("is_default_profile") == "true"
    declared = {t.findtext("d:transport_id", None, name) for t in transports.values()}
    used = {t.text for t in participant.iterfind(".//d:userTransports/d:transport_id", name)}
    assert used == declared


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc only")
def test_buffers_are_kept() -> None:
    """A fresh process, because the setting is for good: after it, a freed 8 MB buffer costs no new page faults."""
    code = """
import resource, sys
from cloudypoints_ros import dds
agreed = dds.keep_buffers() if sys.argv[1] == "keep" else True
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3): bytearray(40_000_000)
before = faults()
for _ in range(5): bytearray(40_000_000)
print(agreed, faults() - before)
"""
    faults = {}
    for mode in ("keep", "default"):
        result = subprocess.run(
            [sys.executable, "-c", code, mode],
            env={"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        agreed, count = result.stdout.split()
        assert agreed == "True"
        faults[mode] = int(count)
    assert faults["keep"] < faults["default"] / 10, faults


def test_other_libcs_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert dds.keep_buffers() is False


def test_log_directory(tmp_path: Path) -> None:
    assert dds.check_log_directory({"HOME": str(tmp_path)}) == tmp_path / ".ros" / "log"
    assert dds.check_log_directory({"ROS_HOME": str(tmp_path / "r")}) == tmp_path / "r" / "log"
    assert dds.check_log_directory({"HOME": "/nowhere", "ROS_LOG_DIR": str(tmp_path / "l")}) == tmp_path / "l"


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")  # a folder cannot be made below a file, not even by root
    with pytest.raises(CloudyPointsError, match=rf"ROS cannot write its log to {file}/.ros/log; set ROS_LOG_DIR"):
        dds.check_log_directory({"HOME": str(file)})


@pytest.mark.parametrize("domain", ["300", "abc", "-1"])
def test_a_domain_that_does_not_exist(domain: str) -> None:
    with pytest.raises(CloudyPointsError, match=f"ROS_DOMAIN_ID is '{domain}'; set it to a number from 0 to 101"):
        dds.check_domain({"ROS_DOMAIN_ID": domain})


def test_domains_that_exist() -> None:
    for environ in ({}, {"ROS_DOMAIN_ID": ""}, {"ROS_DOMAIN_ID": "0"}, {"ROS_DOMAIN_ID": "232"}):
        dds.check_domain(environ)


def test_a_profile_that_is_no_file() -> None:
    said = dds.apply_profile({dds.PROFILE_VARIABLES[0]: "/nowhere/profile.xml"})
    assert "names /nowhere/profile.xml, which is no file" in said and "correct or unset" in said
