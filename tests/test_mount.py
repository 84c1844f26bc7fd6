"""The camera's pose over the road: signs, and the height of a point."""

from __future__ import annotations

import numpy as np
import pytest

from cloudypoints_ros.mount import Mount


@pytest.mark.parametrize(
    ("mount", "down"),
    [
        (Mount(), (0, 1, 0)),
        (Mount(pitch_deg=90), (0, 0, 1)),  # looking straight at the road
        (Mount(roll_deg=90), (1, 0, 0)),  # lying on its right side
        (Mount(pitch_deg=30), (0, np.sqrt(3) / 2, 0.5)),
    ],
)
def test_down(mount: Mount, down: tuple[float, float, float]) -> None:
    np.testing.assert_allclose(mount.down, down, atol=1e-12)


def test_the_middle_of_a_pitched_image_meets_the_road_where_geometry_says() -> None:
    mount = Mount(height_m=1.5, pitch_deg=10)
    point = np.array([0, 0, 1.5 / np.sin(np.radians(10))])  # along the optical axis
    assert mount.height_m - mount.down @ point == pytest.approx(0)
