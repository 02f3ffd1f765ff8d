"""What the emulator answers, against what vendors describe and what others recorded."""

from __future__ import annotations

import pytest

from tests.conformance import layers
from tests.conformance.matrix import CLIENTS
from tests.conformance.world import World

NAMES = [f"described: {name}" for name in layers.requests()] + [
    f"recorded: {name}" for name in layers.RECORDED
]


@pytest.mark.parametrize("name", NAMES)
def test_layer(world: World, name: str) -> None:
    dict(layers.everything(world, list(CLIENTS)))[name]()
