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


class Folders:
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
def folders(tmp_path: Path) -> Iterator[Folders]:
    made = Folders(Path(os.path.realpath(tmp_path)))
    with made.closing:
        yield made


def chain(folders: Folders) -> None:
    folders.link("one")
    (folders.work / "one").symlink_to("deep/two")
    (folders.work / "deep").mkdir()
    (folders.work / "deep" / "two").symlink_to(folders.home / ".env")


def through_directory(folders: Folders) -> None:
    (folders.work / "way").symlink_to(folders.home)
    folders.link("way/auth.json")


def through_file_system_of_kernel(folders: Folders) -> None:
    folders.link(f"/proc/self/root{folders.home}/auth.json")


def through_open_file(folders: Folders) -> None:
    file = folders.closing.enter_context((folders.home / "auth.json").open("rb"))
    folders.link(f"/proc/self/fd/{file.fileno()}")


def renamed_home(folders: Folders) -> None:
    """A link that led elsewhere when the reader was made."""
    folders.link("../alias/auth.json")
    (folders.work.parent / "alias").symlink_to("home")


def linked_login(folders: Folders) -> None:
    vault = folders.work / "vault.json"
    os.rename(folders.home / "auth.json", vault)
    (folders.home / "auth.json").symlink_to(vault)
    folders.link("vault.json")


def neighbour_of_linked_login(folders: Folders) -> None:
    linked_login(folders)
    folders.place.unlink()
    (folders.work / "vault.json.tmp").write_text(KEY)
    folders.link("vault.json.tmp")


def removed_login(folders: Folders) -> None:
    """A further name of a login whose own name has just been given to a new one, as writers do."""
    os.link(folders.home / "auth.json", folders.home / "auth.json.18.tmp")
    folders.link(str(folders.home / "auth.json.18.tmp"))
    os.unlink(folders.home / "auth.json")


def settings_with_token(folders: Folders) -> None:
    (folders.home / "config.toml").write_text(f'[model_providers.x]\nexperimental_bearer_token = "{KEY}"\n')
    folders.link(str(folders.home / "config.toml"))


def link_to_hard_link(folders: Folders) -> None:
    os.link(folders.home / "auth.json", folders.work / "h")
    folders.link("h")


def link_to_pipe(folders: Folders) -> None:
    os.mkfifo(folders.work / "p")
    folders.link("p")


def huge_file(folders: Folders) -> None:
    folders.place.touch()
    os.truncate(folders.place, LARGEST + 1)


SECRET_PLACES: dict[str, Callable[[Folders], None]] = {
    "absolute link": lambda folders: folders.link(str(folders.home / "auth.json")),
    "relative link": lambda folders: folders.link("..", "home", "auth.json"),
    "link to .env": lambda folders: folders.link("..", "home", ".env"),
    "link to a lock": lambda folders: folders.link("..", "home", ".auth.store.lock"),
    "link to a temporary file": lambda folders: folders.link("..", "home", "auth.json.17.tmp"),
    "link with detours": lambda folders: folders.link("..", "work", "..", ".", "home", "auth.json"),
    "chain of links": chain,
    "through a linked directory": through_directory,
    "through /proc/self/root": through_file_system_of_kernel,
    "through an open file": through_open_file,
    "through a linked home": renamed_home,
    "hard link": lambda folders: os.link(folders.home / "auth.json", folders.place),
    "hard link of .env": lambda folders: os.link(folders.home / ".env", folders.place),
    "link to a hard link": link_to_hard_link,
    "goal of a linked login": linked_login,
    "neighbour of a linked login": neighbour_of_linked_login,
    "login that was replaced": removed_login,
    "settings with a token": settings_with_token,
    "closed directory": lambda folders: folders.link("..", "run", "note"),
}
REFUSED: dict[str, tuple[Callable[[Folders], None], str]] = {
    "environment of this process": (lambda folders: folders.link("/proc/self/environ"), KERNEL),
    "environment of another": (lambda folders: folders.link(f"/proc/{os.getppid()}/environ"), KERNEL),
    "memory": (lambda folders: folders.link("/proc/self/mem"), KERNEL),
    "loop": (lambda folders: folders.link("AGENTS.md"), os.strerror(errno.ELOOP)),
    "pipe": (lambda folders: os.mkfifo(folders.place), NO_FILE),
    "link to a pipe": (link_to_pipe, NO_FILE),
    "device": (lambda folders: folders.link("/dev/zero"), NO_FILE),
    "terminal": (lambda folders: folders.link("/dev/tty"), NO_FILE),
    "socket": (Folders.socket, NO_FILE),
    "directory": (lambda folders: folders.place.mkdir(), os.strerror(errno.EISDIR)),
    "huge file": (huge_file, "File too large"),
    "nothing": (lambda folders: None, os.strerror(errno.ENOENT)),
    "link to nothing": (lambda folders: folders.link("nowhere"), os.strerror(errno.ENOENT)),
    **{name: (plant, SECRET) for name, plant in SECRET_PLACES.items()},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_with_its_reason_and_at_once(folders: Folders, name: str) -> None:
    plant, reason = REFUSED[name]
    plant(folders)
    with pytest.raises(OSError, match=r"\d") as refusal:
        folders.reader.read(str(folders.place))
    assert refusal.value.strerror == reason


@pytest.mark.parametrize("name", sorted(REFUSED.keys() - {"huge file", "nothing", "link to nothing", "loop"}))
def test_the_same_holds_for_its_start_and_for_what_is_opened_by_others(folders: Folders, name: str) -> None:
    plant, reason = REFUSED[name]
    plant(folders)
    with pytest.raises(OSError, match=r"\d") as refusal:
        folders.reader.read_start(str(folders.place), 10)
    assert refusal.value.strerror == reason
    with suppress(OSError):  # what others cannot open needs no judgement
        descriptor = os.open(folders.place, os.O_RDONLY | os.O_NONBLOCK)
        try:
            with pytest.raises(OSError, match=r"\d") as refusal:
                folders.reader.check(descriptor)
            assert refusal.value.strerror == reason
        finally:
            os.close(descriptor)


@pytest.mark.parametrize("name", sorted(SECRET_PLACES.keys() - {"through an open file"}))
def test_a_path_without_links_is_no_way_either(folders: Folders, name: str) -> None:
    SECRET_PLACES[name](folders)
    for path in (str(folders.place), os.path.realpath(folders.place)):
        with pytest.raises(OSError, match=r"\d") as refusal:
            folders.reader.read_unlinked(path)
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
def test_case_does_not_matter(folders: Folders, name: str) -> None:
    """Some file systems take names in any case."""
    (folders.home / name).write_text(KEY)
    folders.link(str(folders.home / name))
    with pytest.raises(PermissionError):
        folders.reader.read(str(folders.place))


@pytest.mark.parametrize(
    "plant",
    [
        lambda folders: folders.place.write_text("plain"),
        lambda folders: folders.link("plain"),
        lambda folders: folders.link(str(folders.home / "AGENTS.md")),
        lambda folders: os.link(folders.work / "plain", folders.place),
        lambda folders: (folders.home / "auth.json").unlink() or folders.link("plain"),
    ],
    ids=["file", "link", "link into the home", "hard link", "no login"],
)
def test_all_else_is_read(folders: Folders, plant: Callable[[Folders], None]) -> None:
    plant(folders)
    assert folders.reader.read(str(folders.place)) == b"plain"
    assert folders.reader.read_start(str(folders.place), 2) == b"pl"


def test_a_limit_is_exact(folders: Folders) -> None:
    assert folders.reader.read(str(folders.work / "plain"), 5) == b"plain"
    with pytest.raises(OSError, match="File too large"):
        folders.reader.read(str(folders.work / "plain"), 4)


def test_whoever_swaps_the_file_for_a_link_again_and_again_gets_nothing(folders: Folders) -> None:
    """What is read is what was judged, whatever the name leads to in between."""
    stop = threading.Event()
    plain, other = folders.work / "plain", folders.work / "other"

    def swap() -> None:
        while not stop.is_set():
            for goal in (folders.home / "auth.json", plain):
                other.symlink_to(goal)
                os.rename(other, folders.place)

    folders.link("plain")
    swapping = threading.Thread(target=swap)
    swapping.start()
    outcomes = set()
    try:
        for _ in range(3000):
            try:
                outcomes.add(folders.reader.read(str(folders.place)))
            except PermissionError as refusal:
                outcomes.add(str(refusal.strerror).encode())
    finally:
        stop.set()
        swapping.join()
    assert outcomes == {b"plain", SECRET.encode()}
