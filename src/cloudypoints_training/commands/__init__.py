"""The commands of `cloudypoints-train`, a module each with `add(commands)`; heavy imports happen when one runs."""

from cloudypoints_training.commands import evaluate, explore, export, fit, prepare, synth

COMMANDS = (explore, prepare, synth, fit, evaluate, export)
