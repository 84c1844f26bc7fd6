"""Run in a mount namespace of its own, where a disk may be filled without harming anybody: WHAT FOLDER.

Shared memory is the tmpfs on /dev/shm, the disk the one on FOLDER/disk; both are small. Prints what the node said.
"""

import os
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def fill(folder: Path) -> None:
    """Not a byte is left."""
    with (folder / "filling").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    assert os.statvfs(folder).f_bavail == 0


def main() -> None:
    sys.path[:0] = [str(TESTS / "ros"), str(TESTS), str(TESTS.parent / "bench"), str(TESTS.parent / "src")]
    import rclpy
    from driver import Driver, running
    from rig import DIAGNOSTICS, Rig
    from tiny_models import write_model

    what, folder = sys.argv[1], Path(sys.argv[2])
    disk, shared_memory = folder / "disk", Path("/dev/shm")
    if what == "shared memory full before":
        fill(shared_memory)
    rclpy.init()
    environ = {"ROS_LOG_DIR": str(disk)} if what == "disk full" else None
    with running(model=write_model(folder), stats_file=disk / "stats.json", environ=environ, **DIAGNOSTICS) as node:
        driver = Driver(("depth",))
        rig = Rig(node, driver)
        rig.connect()
        rig.answers_a_good_frame()
        if what == "disk full":
            fill(disk)
        elif what == "shared memory full while running":
            fill(shared_memory)
        for _ in range(3):
            rig.answers_a_good_frame()
        if what == "shared memory full while running":
            (shared_memory / "filling").unlink()
            rig.answers_a_good_frame()
        code = node.stop()
        print(node.output)
        print(f"exit code {code}")
        driver.close()
    rclpy.shutdown()


if __name__ == "__main__":
    main()
