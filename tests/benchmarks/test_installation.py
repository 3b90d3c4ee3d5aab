"""What is fetched is installed once for all processes, and what cannot be had is not waited for twice."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from benchmarks.installation import FAILURE_SECONDS, Installation, InstallationError


def filling(place: Path, calls: list[None]) -> Callable[[], None]:
    """Return what installs one file, and notes that it was called."""

    def install() -> None:
        calls.append(None)
        (place / "program").write_text("whole", encoding="utf-8")

    return install


def failing(calls: list[None], reason: str) -> Callable[[], None]:
    def install() -> None:
        calls.append(None)
        raise InstallationError(reason)

    return install


def test_of_many_at_once_one_installs_and_all_have_it(tmp_path: Path) -> None:
    installation, calls = Installation(tmp_path / "place"), list[None]()
    ready = Barrier(4)

    def ensure(_: int) -> str:
        ready.wait()
        installation.ensure(filling(installation.place, calls))
        return (installation.place / "program").read_text(encoding="utf-8")

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ensure, range(4))) == ["whole"] * 4
    assert len(calls) == 1
    assert installation.is_done


def test_of_many_at_once_one_fails_for_all(tmp_path: Path) -> None:
    installation, calls = Installation(tmp_path / "place"), list[None]()
    ready = Barrier(4)

    def ensure(_: int) -> str:
        ready.wait()
        with pytest.raises(InstallationError) as failure:
            installation.ensure(failing(calls, "the index cannot be reached"))
        return str(failure.value)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ensure, range(4))) == ["the index cannot be reached"] * 4
    assert len(calls) == 1
    assert not installation.is_done


@pytest.mark.parametrize(("age", "tried"), [(FAILURE_SECONDS - 30, 0), (FAILURE_SECONDS + 1, 1)])
def test_a_failure_is_believed_for_some_minutes(tmp_path: Path, age: float, tried: int) -> None:
    installation, calls = Installation(tmp_path / "place"), list[None]()
    with pytest.raises(InstallationError):
        installation.ensure(failing([], "not today"))
    for file in installation.place.iterdir():
        os.utime(file, (time.time() - age, time.time() - age))
    if tried:
        installation.ensure(filling(installation.place, calls))
        assert installation.is_done
    else:
        with pytest.raises(InstallationError, match="not today"):
            installation.ensure(filling(installation.place, calls))
    assert len(calls) == tried


def test_another_key_is_installed_anew_and_nothing_of_the_former_is_left(tmp_path: Path) -> None:
    place, calls = tmp_path / "place", list[None]()
    Installation(place, "one").ensure(filling(place, calls))
    (place / "folder").mkdir()
    (place / "folder" / "former").touch()
    (place / "link").symlink_to(tmp_path)
    assert not Installation(place, "two").is_done
    Installation(place, "two").ensure(filling(place, calls))
    assert len(calls) == 2
    assert not (place / "folder").exists()
    assert not (place / "link").is_symlink()
    assert Installation(place, "two").is_done
    assert not Installation(place, "one").is_done


def test_what_was_broken_off_is_begun_again_from_nothing(tmp_path: Path) -> None:
    installation, calls = Installation(tmp_path / "place"), list[None]()

    def broken_off() -> None:
        (installation.place / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        installation.ensure(broken_off)
    assert not installation.is_done
    installation.ensure(filling(installation.place, calls))
    assert not (installation.place / "half").exists()


def test_an_installer_has_the_directory_to_itself(tmp_path: Path) -> None:
    """Some lock a file there, and would wait for whoever holds it."""
    installation = Installation(tmp_path / "place")
    seen: list[list[Path]] = []
    installation.ensure(lambda: seen.append(list(installation.place.iterdir())))
    assert seen == [[]]
