"""How a camera sits on its vehicle: height above the road, pitch and roll."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Mount:
    """``height_m`` above a level road, 0 when unknown; ``pitch_deg`` positive looks down, ``roll_deg`` positive tilts
    the right side down."""

    height_m: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0

    @property
    def down(self) -> npt.NDArray[np.float64]:
        """The unit vector towards the road, (3,), in the optical frame (x right, y down, z forward).

        A point p is ``height_m - down @ p`` metres above the road.
        """
        pitch, roll = math.radians(self.pitch_deg), math.radians(self.roll_deg)
        return np.array([math.sin(roll) * math.cos(pitch), math.cos(roll) * math.cos(pitch), math.sin(pitch)])
