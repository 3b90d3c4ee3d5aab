"""Whatever replaces a file that Greenroom reads, no secret is read, and nothing blocks."""

import errno
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import pytest

from greenroom.config.reader import KERNEL, LARGEST, LINKED, NO_FILE, SECRET, Reader

KEY: Final = "sk-topsecret-0123456789"


class Stage:
    """A home with secrets, a workspace, and the place in it that is read."""

    def __init__(self, base: Path) -> None:
        self.home = base / "home"
        self.work = base / "work"
        self.closed = base / "run"
        for directory in (self.home, self.work, self.closed):
            directory.mkdir()
        for name in ("auth.json", ".env", ".auth.store.lock", "auth.json.17.tmp", ".credentials.json"):
            (self.home / name).write_text(KEY)
        (self.closed / "note").write_text(KEY)
        (self.work / "plain").write_text("plain")
        (self.home / "AGENTS.md").write_text("plain")
        self.place = self.work / "AGENTS.md"
        self.reader = Reader(str(self.home), str(self.closed))
        self.closing = ExitStack()

    def link(self, *path: str) -> None:
        self.place.symlink_to(os.path.join(*path))

    def socket(self) -> None:
        self.closing.enter_context(socket.socket(socket.AF_UNIX)).bind(str(self.place))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(Path(os.path.realpath(tmp_path)))
    with made.closing:
        yield made


def chain(stage: Stage) -> None:
    stage.link("one")
    (stage.work / "one").symlink_to("deep/two")
    (stage.work / "deep").mkdir()
    (stage.work / "deep" / "two").symlink_to(stage.home / ".env")


def through_directory(stage: Stage) -> None:
    (stage.work / "way").symlink_to(stage.home)
    stage.link("way/auth.json")


def through_file_system_of_kernel(stage: Stage) -> None:
    stage.link(f"/proc/self/root{stage.home}/auth.json")


def through_open_file(stage: Stage) -> None:
    file = stage.closing.enter_context((stage.home / "auth.json").open("rb"))
    stage.link(f"/proc/self/fd/{file.fileno()}")


def renamed_home(stage: Stage) -> None:
    """A link that led elsewhere when the reader was made."""
    stage.link("../alias/auth.json")
    (stage.work.parent / "alias").symlink_to("home")


def linked_login(stage: Stage) -> None:
    vault = stage.work / "vault.json"
    os.rename(stage.home / "auth.json", vault)
    (stage.home / "auth.json").symlink_to(vault)
    stage.link("vault.json")


def neighbour_of_linked_login(stage: Stage) -> None:
    linked_login(stage)
    stage.place.unlink()
    (stage.work / "vault.json.tmp").write_text(KEY)
    stage.link("vault.json.tmp")


def removed_login(stage: Stage) -> None:
    """A further name of a login whose own name has just been given to a new one, as writers do."""
    os.link(stage.home / "auth.json", stage.home / "auth.json.18.tmp")
    stage.link(str(stage.home / "auth.json.18.tmp"))
    os.unlink(stage.home / "auth.json")


def settings_with_token(stage: Stage) -> None:
    (stage.home / "config.toml").write_text(f'[model_providers.x]\nexperimental_bearer_token = "{KEY}"\n')
    stage.link(str(stage.home / "config.toml"))


SECRET_PLACES: dict[str, Callable[[Stage], None]] = {
    "absolute link": lambda stage: stage.link(str(stage.home / "auth.json")),
    "relative link": lambda stage: stage.link("..", "home", "auth.json"),
    "link to .env": lambda stage: stage.link("..", "home", ".env"),
    "link to a lock": lambda stage: stage.link("..", "home", ".auth.store.lock"),
    "link to a temporary file": lambda stage: stage.link("..", "home", "auth.json.17.tmp"),
    "link with detours": lambda stage: stage.link("..", "work", "..", ".", "home", "auth.json"),
    "chain of links": chain,
    "through a linked directory": through_directory,
    "through /proc/self/root": through_file_system_of_kernel,
    "through an open file": through_open_file,
    "through a linked home": renamed_home,
    "hard link": lambda stage: os.link(stage.home / "auth.json", stage.place),
    "hard link of .env": lambda stage: os.link(stage.home / ".env", stage.place),
    "link to a hard link": lambda stage: (os.link(stage.home / "auth.json", stage.work / "h"), stage.link("h"))[1],
    "goal of a linked login": linked_login,
    "neighbour of a linked login": neighbour_of_linked_login,
    "login that was replaced": removed_login,
    "settings with a token": settings_with_token,
    "closed directory": lambda stage: stage.link("..", "run", "note"),
}
REFUSED: dict[str, tuple[Callable[[Stage], None], str]] = {
    "environment of this process": (lambda stage: stage.link("/proc/self/environ"), KERNEL),
    "environment of another": (lambda stage: stage.link(f"/proc/{os.getppid()}/environ"), KERNEL),
    "memory": (lambda stage: stage.link("/proc/self/mem"), KERNEL),
    "loop": (lambda stage: stage.link("AGENTS.md"), os.strerror(errno.ELOOP)),
    "pipe": (lambda stage: os.mkfifo(stage.place), NO_FILE),
    "link to a pipe": (lambda stage: (os.mkfifo(stage.work / "p"), stage.link("p"))[1], NO_FILE),
    "device": (lambda stage: stage.link("/dev/zero"), NO_FILE),
    "terminal": (lambda stage: stage.link("/dev/tty"), NO_FILE),
    "socket": (Stage.socket, NO_FILE),
    "directory": (lambda stage: stage.place.mkdir(), os.strerror(errno.EISDIR)),
    "huge file": (lambda stage: (stage.place.touch(), os.truncate(stage.place, LARGEST + 1))[1], "File too large"),
    "nothing": (lambda stage: None, os.strerror(errno.ENOENT)),
    "link to nothing": (lambda stage: stage.link("nowhere"), os.strerror(errno.ENOENT)),
    **{name: (plant, SECRET) for name, plant in SECRET_PLACES.items()},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_with_its_reason_and_at_once(stage: Stage, name: str) -> None:
    plant, reason = REFUSED[name]
    plant(stage)
    with pytest.raises(OSError, match=r"\d") as refusal:
        stage.reader.read(str(stage.place))
    assert refusal.value.strerror == reason


@pytest.mark.parametrize("name", sorted(REFUSED.keys() - {"huge file", "nothing", "link to nothing", "loop"}))
def test_the_same_holds_for_its_start_and_for_what_is_opened_by_others(stage: Stage, name: str) -> None:
    plant, reason = REFUSED[name]
    plant(stage)
    with pytest.raises(OSError, match=r"\d") as refusal:
        stage.reader.read_start(str(stage.place), 10)
    assert refusal.value.strerror == reason
    with suppress(OSError):  # what others cannot open needs no judgement
        descriptor = os.open(stage.place, os.O_RDONLY | os.O_NONBLOCK)
        try:
            with pytest.raises(OSError, match=r"\d") as refusal:
                stage.reader.check(descriptor)
            assert refusal.value.strerror == reason
        finally:
            os.close(descriptor)


@pytest.mark.parametrize("name", sorted(SECRET_PLACES.keys() - {"through an open file"}))
def test_a_path_without_links_is_no_way_either(stage: Stage, name: str) -> None:
    SECRET_PLACES[name](stage)
    for path in (str(stage.place), os.path.realpath(stage.place)):
        with pytest.raises(OSError, match=r"\d") as refusal:
            stage.reader.read_unlinked(path)
        assert refusal.value.strerror in {SECRET, LINKED}


READ_AS_NOBODY: Final = """
import os, sys
from greenroom.config.reader import Reader
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
try:
    Reader(os.devnull).read(sys.argv[1])
except PermissionError as error:
    print(error.strerror)
"""


def test_a_file_without_permission_is_refused() -> None:
    with tempfile.TemporaryDirectory() as directory:  # which anybody may enter, unlike `tmp_path`
        os.chmod(directory, 0o755)
        file = Path(directory, "file")
        file.write_text("x")
        file.chmod(0)
        command = (sys.executable, "-c", READ_AS_NOBODY, str(file))
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{os.strerror(errno.EACCES)}\n"


@pytest.mark.parametrize("name", ["AUTH.JSON", "Auth.json", ".ENV", "auth.json.Copy", ".Auth.x"])
def test_case_does_not_matter(stage: Stage, name: str) -> None:
    """Some file systems take names in any case."""
    (stage.home / name).write_text(KEY)
    stage.link(str(stage.home / name))
    with pytest.raises(PermissionError):
        stage.reader.read(str(stage.place))


@pytest.mark.parametrize(
    "plant",
    [
        lambda stage: stage.place.write_text("plain"),
        lambda stage: stage.link("plain"),
        lambda stage: stage.link(str(stage.home / "AGENTS.md")),
        lambda stage: os.link(stage.work / "plain", stage.place),
        lambda stage: (stage.home / "auth.json").unlink() or stage.link("plain"),
    ],
    ids=["file", "link", "link into the home", "hard link", "no login"],
)
def test_all_else_is_read(stage: Stage, plant: Callable[[Stage], None]) -> None:
    plant(stage)
    assert stage.reader.read(str(stage.place)) == b"plain"
    assert stage.reader.read_start(str(stage.place), 2) == b"pl"


def test_a_limit_is_exact(stage: Stage) -> None:
    assert stage.reader.read(str(stage.work / "plain"), 5) == b"plain"
    with pytest.raises(OSError, match="File too large"):
        stage.reader.read(str(stage.work / "plain"), 4)


def test_whoever_swaps_the_file_for_a_link_again_and_again_gets_nothing(stage: Stage) -> None:
    """What is read is what was judged, whatever the name leads to in between."""
    stop = threading.Event()
    plain, other = stage.work / "plain", stage.work / "other"

    def swap() -> None:
        while not stop.is_set():
            for goal in (stage.home / "auth.json", plain):
                other.symlink_to(goal)
                os.rename(other, stage.place)

    stage.link("plain")
    swapping = threading.Thread(target=swap)
    swapping.start()
    outcomes = set()
    try:
        for _ in range(3000):
            try:
                outcomes.add(stage.reader.read(str(stage.place)))
            except PermissionError as refusal:
                outcomes.add(str(refusal.strerror).encode())
    finally:
        stop.set()
        swapping.join()
    assert outcomes == {b"plain", SECRET.encode()}
