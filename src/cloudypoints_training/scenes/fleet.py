"""Which vehicles are met: the training fleet, and another one for streets that are kept away from training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cloudypoints_training.scenes import cars, heavies, leisure, lorries, machines, motorcars, utility, vans
from cloudypoints_training.scenes.primitives import Parts
from cloudypoints_training.scenes.vehicles import Vehicle, two_wheeler

Mix = tuple[float, float, float, float, float]
Maker = Callable[..., Vehicle]

MAKERS: dict[str, tuple[Sequence[tuple[Maker, float]], ...]] = {
    "modern": (
        ((motorcars.motorcar, 0.9), (utility.pickup, 0.1)),
        ((utility.panel_van, 0.82), (utility.pickup, 0.1), (leisure.camper, 0.08)),
        ((heavies.truck, 1.0),),
        ((heavies.coach, 1.0),),
        ((two_wheeler, 1.0),),
    ),
    "former": (
        ((cars.car, 1.0),),
        ((vans.van, 1.0),),
        ((lorries.lorry, 0.8), (machines.machine, 0.2)),
        ((lorries.bus, 0.7), (machines.tram, 0.3)),
        ((two_wheeler, 1.0),),
    ),
    "clip": (
        ((cars.car, 1.0),),
        ((vans.van, 1.0),),
        ((lorries.lorry, 1.0),),
        ((lorries.bus, 1.0),),
        ((two_wheeler, 1.0),),
    ),
}
"""Cars, vans, lorries, buses and two-wheelers with their shares. `former` is met in held-out styles only."""


def meet(rng: np.random.Generator, fleet: str, mix: Mix, lights: float = 0.0) -> Vehicle:
    """A vehicle of a fleet by the shares of its five classes; now and then with something in tow."""
    makers = MAKERS[fleet][int(rng.choice(5, p=np.array(mix) / sum(mix)))]
    pick = 0
    if len(makers) > 1:
        shares = np.array([share for _, share in makers])
        pick = int(rng.choice(len(makers), p=shares / shares.sum()))
    vehicle = makers[pick][0](rng, lights=lights)
    if vehicle.length < 6.0 and vehicle.width > 1.4 and fleet == "modern" and rng.random() < 0.04:
        vehicle = with_trailer(vehicle, leisure.trailer(rng))
    return vehicle


def with_trailer(vehicle: Vehicle, towed: Vehicle) -> Vehicle:
    """Both in one frame whose origin is under the middle of the pair."""
    parts = Parts()
    parts.place(vehicle.rows, 0.5 * towed.length, 0.0, 0.0)
    # A trailer's frame begins under its body; its drawbar of 1.2 m reaches forward from there.
    parts.place(towed.rows, -0.5 * vehicle.length - 0.6, 0.0, 0.0)
    return Vehicle(
        parts.rows(), vehicle.length + towed.length, max(vehicle.width, towed.width), max(vehicle.height, towed.height)
    )
