"""What all tests of the distributions share: they are built once, and the dependencies are packed once."""

from pathlib import Path

import pytest

from tests.packaging.test_distribution import REPOSITORY, build
from tests.packaging.wheelhouse import needed, pack


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel of this checkout and those of all that it needs."""
    target = build(REPOSITORY, tmp_path_factory.mktemp("wheels"), "wheel")
    for one in {one.name: one for one in needed(["greenroom"]).values()}.values():
        if one.name != "greenroom":
            pack(one, target)
    return target
