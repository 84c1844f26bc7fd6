"""Models that cannot be used, asked of a node that is not configured: the sentence, the level, and a good one after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from driver import Driver, NodeProcess
from faults import ERROR, MODELS
from lifecycle_msgs.msg import Transition
from rig import DIAGNOSTICS, Rig
from tiny_models import write_model

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def unconfigured(ros: None) -> Iterator[Rig]:
    """A node whose life is managed from here."""
    node = NodeProcess(autostart=False, **DIAGNOSTICS)
    driver = Driver(("depth",))
    try:
        node.wait_for_line("is in force")
        yield Rig(node, driver)
    finally:
        driver.close()
        node.stop()


@pytest.mark.parametrize(("make", "sentence"), MODELS, ids=[make.__name__ for make, _ in MODELS])
def test_a_model_that_cannot_be_used(unconfigured: Rig, tmp_path: Path, make: Any, sentence: str) -> None:
    """Configuring fails with the sentence; with a good model it succeeds, and the first frame is answered."""
    rig, since = unconfigured, len(unconfigured.node.lines)
    rig.set(model=str(make(tmp_path)))
    assert not rig.change(Transition.TRANSITION_CONFIGURE)
    rig.logs(sentence, since)
    rig.diagnoses(sentence, ERROR, "engine")

    rig.set(model=str(write_model(tmp_path / "good")))
    assert rig.change(Transition.TRANSITION_CONFIGURE) and rig.change(Transition.TRANSITION_ACTIVATE)
    rig.connect()
    rig.answers_a_good_frame()
    assert rig.change(Transition.TRANSITION_DEACTIVATE) and rig.change(Transition.TRANSITION_CLEANUP)
    assert "Traceback" not in rig.node.output
