"""What all tests of the distributions share: they are built once, and the dependencies are packed once."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.test_distribution import REPOSITORY, build
from tests.packaging.wheelhouse import needed, pack


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel and the sdist of this checkout, which nobody changes."""
    return _made_once(tmp_path_factory, "dist", lambda target: build(REPOSITORY, target, "wheel", "sdist"))


@pytest.fixture(scope="session")
def wheels(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel of this checkout and those of all that it needs, which nobody changes."""

    def make(target: Path) -> None:
        (wheel,) = built.glob("*.whl")
        shutil.copy(wheel, target)
        for one in {one.name: one for one in needed(["greenroom"]).values()}.values():
            if one.name != "greenroom":
                pack(one, target)

    return _made_once(tmp_path_factory, "wheels", make)


def _made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a directory that the processes of a run of the tests share, filled by the first one that needs it."""
    base = tmp_path_factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"packaging-{name}"
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            unfinished = place.with_suffix(".part")
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(place)
    return place
