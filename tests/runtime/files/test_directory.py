"""The sockets of an instance lie where only its user can enter."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.protocol.errors import StartError
from greenroom.runtime.files import directory


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A short directory of this user alone, as a login session has."""
    with tempfile.TemporaryDirectory(prefix="gr-", dir="/tmp") as path:
        yield Path(path)


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_the_directory_is_its_users_alone(runtime: Path) -> None:
    old = os.umask(0)
    try:
        path = directory.create({"XDG_RUNTIME_DIR": str(runtime)})
    finally:
        os.umask(old)
    assert Path(path).parent.parent == runtime
    assert mode(path) == mode(Path(path).parent) == 0o700
    assert os.listdir(path) == []


def test_each_instance_has_its_own(runtime: Path) -> None:
    environment = {"XDG_RUNTIME_DIR": str(runtime)}
    paths = {directory.create(environment) for _ in range(5)}
    assert len(paths) == 5
    assert all(f"{os.getpid()}-" in path for path in paths)


def test_an_instance_leaves_nothing_of_itself(runtime: Path) -> None:
    path = directory.create({"XDG_RUNTIME_DIR": str(runtime)})
    other = directory.create({"XDG_RUNTIME_DIR": str(runtime)})
    Path(path, "mailbox").touch()
    directory.remove_directory(path)
    directory.remove_directory(path)
    assert not os.path.exists(path)
    assert os.path.exists(other)


@pytest.mark.parametrize("fault", ["missing", "open to others", "too long", "a link", "not set"])
def test_a_runtime_directory_that_will_not_do_is_passed_over(
    runtime: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = runtime / "chosen"
    match fault:
        case "open to others":
            chosen.mkdir(mode=0o755)
            chosen.chmod(0o755)
        case "too long":
            chosen = runtime / ("x" * 60)
            chosen.mkdir(mode=0o700)
        case "a link":
            (runtime / "target").mkdir(mode=0o700)
            chosen.symlink_to(runtime / "target")
    path = directory.create({} if fault == "not set" else {"XDG_RUNTIME_DIR": str(chosen)})
    try:
        assert path.startswith(f"/tmp/greenroom-{os.getuid()}/")
        assert mode(path) == mode(Path(path).parent) == 0o700
    finally:
        directory.remove_directory(path)


@pytest.mark.parametrize("trap", ["link", "file", "open to others", "dangling link"])
def test_a_trap_in_the_place_of_the_directory_is_refused(runtime: Path, trap: str) -> None:
    place, target = runtime / "greenroom", runtime / "target"
    target.mkdir(mode=0o700)
    match trap:
        case "link":
            place.symlink_to(target)
        case "dangling link":
            place.symlink_to(runtime / "nowhere")
        case "file":
            place.touch()
        case "open to others":
            place.mkdir()
            place.chmod(0o777)
    with pytest.raises(StartError, match="not a directory of this user alone"):
        directory.create({"XDG_RUNTIME_DIR": str(runtime)})
    assert os.listdir(target) == []


def test_an_address_in_it_is_short_enough_for_a_socket(runtime: Path) -> None:
    environment = {"XDG_RUNTIME_DIR": str(runtime)}
    assert len(f"{directory.create(environment)}/mailbox".encode()) < 108
