"""A process that starts commands as an unprivileged user, for tests that ask whether the sandbox holds."""

import asyncio
import concurrent.futures.thread  # noqa: F401 # before the user changes: another may not read where it lies
import contextlib
import multiprocessing.connection
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
import psutil

from greenroom.config.tables.sandbox import (
    ConfinementPolicy,
    DangerFullAccessPolicy,
    ReadOnlyPolicy,
    WorkspaceWritePolicy,
)
from greenroom.runtime.process import hardening
from greenroom.workers.sandbox.confinement import Confinement
from greenroom.workers.sandbox.launcher import Launcher
from greenroom.workers.sandbox.policy import Surroundings, confine
from greenroom.workers.sandbox.rules import features
from greenroom.workers.sandbox.system import kernel

NOBODY = 65534
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
PYTHON = shutil.which("python3", path=SYSTEM_PATH)
_PR_SET_CHILD_SUBREAPER = 36
TIMEOUT = 20
"""Seconds after which a test that waits has failed."""

Mode: TypeAlias = Literal["read-only", "workspace-write", "online", "free"]
Kind: TypeAlias = Literal["user", "user without namespaces", "root"]

_ROOT = Path(__file__).parents[3]
"""Of the repository, where `tests` can be imported."""

_ATTEMPT = """
import errno, os, sys
def attempt(action):
    try:
        result = action()
    except OSError as error:
        print("refused", errno.errorcode.get(error.errno, error.errno))
    else:
        print("done", result)
"""
_RAW = """
import ctypes
def raw(number, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "raw")
    return result
"""
_SLOW = ("ctypes", "signal", "socket", "subprocess")
"""Modules that take longer to import than the interpreter takes to start."""


def _prelude(script: str) -> str:
    """Return what a script of an attempt uses."""
    imports = "".join(f"import {name}\n" for name in _SLOW if f"{name}." in script)
    return imports + _ATTEMPT + (_RAW if "raw(" in script else "")


@dataclass(frozen=True)
class Order:
    argv: tuple[str, ...]
    mode: Mode
    cwd: str
    policy: ConfinementPolicy | None = None
    """In place of the one that the mode stands for."""
    home_name: str = ""
    stay: bool = False
    """Whether to leave alone what the command leaves running."""
    sockets: tuple[str, ...] = ()
    """Unix sockets of other programs that it may use."""


@dataclass(frozen=True)
class Result:
    returncode: int
    output: str
    limits: tuple[str, ...] = ()

    @property
    def refused(self) -> list[str]:
        """The errors that the attempts met; fails the test where one succeeded."""
        answers = [line.split() for line in self.output.splitlines()]
        assert answers, "nothing was attempted"
        assert all(answer[0] == "refused" for answer in answers), self.output
        return [answer[1] for answer in answers]


@dataclass
class Place:
    """The directories of one conversation."""

    base: str
    user: int
    cwd: str = field(init=False)
    home: str = field(init=False)
    runtime: str = field(init=False)
    outside: str = field(init=False)
    secret: str = "sk-the-secret"

    def __post_init__(self) -> None:
        names = {"cwd": "work", "home": "home/.codex", "runtime": "run", "outside": "outside"}
        for attribute, name in names.items():
            setattr(self, attribute, os.path.join(self.base, name))
            os.makedirs(getattr(self, attribute))
        subprocess.run(["git", "init", "-q", self.cwd], check=True, env={"PATH": SYSTEM_PATH, "HOME": self.base})
        self.write(f"{self.home}/auth.json", self.secret)
        self.write(f"{self.home}/.auth.store.lock", self.secret)
        self.write(f"{self.home}/config.toml", "model = 'o3'\n")
        self.write(f"{self.home}/sessions/2025/one.jsonl", "{}\n")
        self.write(f"{self.ray}/auth_token", self.secret)
        self.write(f"{self.ray}/settings", "of Ray\n")
        self.write(f"{self.node}/.nodes.key", self.secret)
        self.write(f"{self.node}/config.toml", f"[model_providers.x]\nexperimental_bearer_token = '{self.secret}'\n")
        self.write(f"{self.node}/node.log", "of a node\n")
        self.write(self.ticket, self.secret)
        os.symlink(self.ticket, f"{self.node}/.nodes.ticket")
        self.write(f"{self.outside}/file", "outside\n")
        self.write(f"{self.cwd}/file", "inside\n")
        self.give(self.base, self.user)

    @property
    def ray(self) -> str:
        """Where Ray keeps its token."""
        return f"{self.base}/home/.ray"

    @property
    def node(self) -> str:
        """Another home of the user: that of a node."""
        return f"{self.base}/home/.local/state/greenroom-node"

    @property
    def ticket(self) -> str:
        """The ticket that the node came by."""
        return f"{self.base}/tickets/build.ticket"

    @property
    def auth(self) -> str:
        return f"{self.home}/auth.json"

    @property
    def surroundings(self) -> Surroundings:
        return Surroundings(self.cwd, self.home, self.runtime, ray_directory=self.ray, other_homes=(self.node,))

    @staticmethod
    def give(top: str, user: int) -> None:
        for directory, names, files in os.walk(top):
            for path in (directory, *(os.path.join(directory, name) for name in (*names, *files))):
                os.chown(path, user, user)

    @staticmethod
    def write(path: str, text: str) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)

    @staticmethod
    def read(path: str) -> str:
        with open(path) as file:
            return file.read()


POLICIES: dict[Mode, ConfinementPolicy] = {
    "read-only": ReadOnlyPolicy(),
    "workspace-write": WorkspaceWritePolicy(),
    "online": WorkspaceWritePolicy(network_access=True),
    "free": DangerFullAccessPolicy(),
}


@dataclass
class Cell:
    """The process, as the tests see it."""

    kind: Kind
    place: Place
    pid: int
    connection: Connection
    tcp: int
    """A port on which the process listens, as it does on the paths `socket` and, abstract, `abstract`."""
    udp: int

    @property
    def socket(self) -> str:
        return f"{self.place.runtime}/broker"

    @property
    def abstract(self) -> str:
        return f"greenroom-test-{self.pid}"

    def run(
        self,
        *argv: str,
        mode: Mode = "workspace-write",
        cwd: str | None = None,
        policy: ConfinementPolicy | None = None,
        home_name: str = "",
        stay: bool = False,
        sockets: tuple[str, ...] = (),
    ) -> Result:
        self.connection.send(Order(argv, mode, cwd or self.place.cwd, policy, home_name, stay, sockets))
        assert self.connection.poll(TIMEOUT), "no answer"
        result = self.connection.recv()
        if isinstance(result, BaseException):
            raise result
        assert isinstance(result, Result)
        return result

    def shell(self, script: str, mode: Mode = "workspace-write", **options: object) -> Result:
        return self.run("bash", "-c", script, mode=mode, **options)  # type: ignore[arg-type]

    def python(self, script: str, mode: Mode = "workspace-write", **options: object) -> Result:
        assert PYTHON is not None
        return self.run(PYTHON, "-I", "-c", _prelude(script) + script, mode=mode, **options)  # type: ignore[arg-type]

    def attempt(self, *actions: str, mode: Mode = "workspace-write", **options: object) -> Result:
        """Try Python expressions; the result's `refused` says how each was refused."""
        return self.python("\n".join(f"attempt(lambda: {action})" for action in actions), mode, **options)


@contextlib.contextmanager
def cell(kind: Kind, base: str = "/var/tmp") -> Iterator[Cell]:
    """Start the process; end it and all that it started."""
    user = os.getuid() if kind == "root" or os.getuid() != 0 else NOBODY
    directory = tempfile.mkdtemp(prefix="cell-", dir=base)
    os.chmod(directory, 0o755)
    try:
        place = Place(directory, user)
        ours, theirs = multiprocessing.connection.Pipe()
        with theirs:
            process = _executed(theirs.fileno())
        try:
            ours.send((kind, place))
            assert ours.poll(TIMEOUT), "the process did not start"
            tcp, udp = ours.recv()
            yield Cell(kind, place, process.pid, ours, tcp, udp)
        finally:
            ours.close()
            process.wait(TIMEOUT)
    finally:
        shutil.rmtree(directory)


def _executed(connection: int) -> "subprocess.Popen[bytes]":
    """Execute the process: a fork of that of the tests would be large, and so would each fork of it."""
    statement = f"from tests.workers.sandbox import cell; cell.main({connection})"
    return subprocess.Popen((sys.executable, "-c", statement), cwd=_ROOT, pass_fds=(connection,))


def main(descriptor: int) -> None:
    """Be the process; `descriptor` is its end of the connection to the tests."""
    connection: Connection = Connection(descriptor)
    kind, place = connection.recv()
    os.environ["THE_SECRET"] = place.secret
    if os.getuid() != place.user:
        os.setgroups([])
        os.setresgid(place.user, place.user, place.user)
        os.setresuid(place.user, place.user, place.user)
    hardening.make_undumpable()
    if kind == "user without namespaces":
        narrow = replace(features.probe(), namespaces_refused="switched off for a test")
        features.probe = lambda: narrow  # type: ignore[assignment]
    launcher = Launcher.fork()
    asyncio.run(_serve(launcher, place, connection))


async def _serve(launcher: Launcher, place: Place, connection: Connection) -> None:
    listeners = [socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX), socket.socket()]
    datagrams = socket.socket(type=socket.SOCK_DGRAM)
    addresses: tuple[str | tuple[str, int], ...] = (
        f"{place.runtime}/broker",
        f"\0greenroom-test-{os.getpid()}",
        ("127.0.0.1", 0),
    )
    for listener, address in zip(listeners, addresses, strict=True):
        listener.bind(address)
        listener.listen()
    datagrams.bind(("127.0.0.1", 0))
    connection.send((listeners[2].getsockname()[1], datagrams.getsockname()[1]))
    arrived = asyncio.Event()
    asyncio.get_running_loop().add_reader(connection.fileno(), arrived.set)
    while True:
        await arrived.wait()
        arrived.clear()
        try:
            order = connection.recv()
        except EOFError:
            break
        try:
            result: Result | BaseException = await _obey(launcher, place, order)
        except Exception as error:
            result = error
        connection.send(result)
    await launcher.close()


async def _obey(launcher: Launcher, place: Place, order: Order) -> Result:
    policy = order.policy or POLICIES[order.mode]
    confinement: Confinement | None = confine(
        policy, msgspec.structs.replace(place.surroundings, home_name=order.home_name, sockets=order.sockets)
    )
    confinement = confinement and confinement.resolved()
    environment = {"PATH": SYSTEM_PATH, "HOME": os.path.dirname(place.home)}
    reader, writer = os.pipe()
    try:
        child = await launcher.spawn(
            order.argv, order.cwd, environment, stdout=writer, stderr=writer, confinement=confinement
        )
    finally:
        os.close(writer)
    if order.stay:
        output = await asyncio.to_thread(os.read, reader, 4096)
        ending = await child.wait()
        os.close(reader)
    else:
        ending = await child.wait()
        child.kill()
        await child.wait_gone()
        output = _all_of(reader)
    return Result(ending.returncode, output.decode(errors="replace"), child.limits)


def _all_of(reader: int) -> bytes:
    with open(reader, "rb") as pipe:
        return pipe.read()


def wait_for_end(pidfd: int) -> None:
    """Wait for the end of a process that is not a child of this one."""
    ready, _, _ = select.select([pidfd], [], [], TIMEOUT)
    assert ready, "the process lives on"


@contextlib.contextmanager
def adopting() -> Iterator[None]:
    """Bury what a killed worker leaves behind, as the fork server does."""
    kernel.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        for child in psutil.Process().children():
            if child.name().startswith("gr-"):
                os.waitpid(child.pid, 0)
        kernel.prctl(_PR_SET_CHILD_SUBREAPER, 0)
