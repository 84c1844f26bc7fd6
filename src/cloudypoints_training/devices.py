"""Where a run trains: a CPU, a GPU, or many of them, by Lightning Fabric."""

from __future__ import annotations

import os
import warnings

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

from cloudypoints_ros.errors import CloudyPointsError

PRECISIONS = ("32-true", "bf16-mixed")


def open_fabric(
    accelerator: str = "cpu", devices: int | None = None, precision: str = "32-true", unused: bool = False
) -> Fabric:
    """The launched Fabric of this process.

    Under `torchrun` the number of devices and machines is torchrun's; without it, `devices` greater than 1 starts
    the command once more for every further device. `unused`: some parameters may get no gradient in a step.
    """
    world, local = processes(devices)
    if accelerator == "gpu" or (accelerator == "auto" and torch.cuda.is_available()):
        found = torch.cuda.device_count()
        if found < local:
            raise CloudyPointsError(
                f"{local} GPU{'s' if local > 1 else ''} per machine asked for, PyTorch sees {found}; "
                "lower --devices or torchrun's --nproc_per_node, or use --accelerator cpu."
            )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*was launched using the CLI.*")
        fabric = Fabric(
            accelerator=accelerator,
            devices=local,
            num_nodes=world // local,
            precision=precision,  # type: ignore[arg-type]
            strategy=DDPStrategy(find_unused_parameters=unused) if world > 1 else "auto",
        )
        fabric.launch()
    return fabric


def processes(devices: int | None = None) -> tuple[int, int]:
    """How many processes train, and how many of them on this machine."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return devices or 1, devices or 1
    world, local = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    if devices not in (None, local):
        raise CloudyPointsError(
            f"--devices {devices} was given but torchrun started {local} processes here; leave --devices away."
        )
    return world, local


def equal_share(multiple: int, world: int) -> None:
    """Raise unless images in multiples of `multiple` can be divided among `world` processes."""
    if multiple % world:
        raise CloudyPointsError(
            f"--batch-multiple {multiple} cannot be divided among {world} processes in equal shares; "
            f"give a multiple of {world}."
        )
