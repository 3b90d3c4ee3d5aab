"""Has a confined program try what it must be able to do and what it must not, each for real.

The program works in a stage of its own below the directory of temporary files, with a home of its own beside the real
one. Of the secrets of the real home it tries whether they can be opened, and reads nothing.
"""

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.config.secrets.secret_files import secrets_of
from greenroom.config.tables.sandbox import ReadOnlyPolicy, WorkspaceWritePolicy
from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.secret_names import SECRET_NAMES, covers
from greenroom.runtime.threads.daemon_thread import in_thread
from greenroom.supervisor.cli.doctor.check_context import CheckContext
from greenroom.supervisor.cli.doctor.confined import run_confined
from greenroom.workers.exec.capture import OutputBudget
from greenroom.workers.exec.process import Finished, signal_name
from greenroom.workers.sandbox.confinement import Hidden
from greenroom.workers.sandbox.policy import Confinement, Surroundings, confine

Attempt: TypeAlias = Literal["write_inside", "write_outside", "write_read_only", "network", "credentials"]

PREFIX: Final = "greenroom-doctor-"
"""How the names of stages begin."""
PROGRAM: Final = """
import json, os, socket, sys
asked = json.loads(sys.argv[1])
def can(attempt, argument):
    try:
        attempt(argument)
    except OSError:
        return False
    return True
def write(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
def read(path):
    os.close(os.open(path, os.O_RDONLY))
def connect(port):
    socket.create_connection(("127.0.0.1", port), timeout=2).close()
print(json.dumps({
    "written": [path for path in asked["write"] if can(write, path)],
    "connected": can(connect, asked["port"]),
    "opened": [path for path in asked["read"] if can(read, path)],
}))
"""
"""What the confined interpreter runs."""
_LONGEST: Final = 65_536


class _Outcome(msgspec.Struct, frozen=True):
    """What the program writes."""

    written: list[str]
    connected: bool
    opened: list[str]


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of the attempts."""

    succeeded: Mapping[Attempt, bool]
    opened: tuple[str, ...] = ()
    """The secrets that could be opened."""
    fault: str = ""
    """Why nothing could be tried."""


@dataclass(frozen=True, slots=True)
class _Stage:
    """The directories of one trial."""

    root: str

    @property
    def work(self) -> str:
        return os.path.join(self.root, "work")

    @property
    def outside(self) -> str:
        return os.path.join(self.root, "outside")

    @property
    def home(self) -> str:
        return os.path.join(self.root, "home")


async def try_sandbox(context: CheckContext) -> Trial:
    """Try everything, in a workspace that is writable and in one that is not."""
    try:
        with _staged(context) as stage:
            return await _tried(context, stage)
    except (GreenroomError, OSError) as error:
        return Trial({}, fault=str(error))


async def _tried(context: CheckContext, stage: _Stage) -> Trial:
    secrets = await in_thread(lambda: _secrets(context.home, stage))
    inside, outside, unwritable = f"{stage.work}/inside", f"{stage.outside}/outside", f"{stage.work}/read-only"
    place = Surroundings(stage.work, context.home, os.path.join(stage.root, "sockets"))
    writing = confine(WorkspaceWritePolicy(exclude_slash_tmp=True, exclude_tmpdir_env_var=True), place)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asked = {"port": listener.getsockname()[1], "read": secrets}
        outcomes = await asyncio.gather(
            _run(context, stage, writing, {**asked, "write": [inside, outside]}),
            _run(context, stage, confine(ReadOnlyPolicy(), place), {**asked, "write": [unwritable]}),
        )
    faults = [outcome for outcome in outcomes if isinstance(outcome, str)]
    found = [outcome for outcome in outcomes if isinstance(outcome, _Outcome)]
    if faults:
        return Trial({}, fault=faults[0])
    written = {path for outcome in found for path in outcome.written}
    opened = tuple(dict.fromkeys(path for outcome in found for path in outcome.opened))
    return Trial(
        {
            "write_inside": inside in written,
            "write_outside": outside in written,
            "write_read_only": unwritable in written,
            "network": any(outcome.connected for outcome in found),
            "credentials": bool(opened),
        },
        opened,
    )


async def _run(
    context: CheckContext, stage: _Stage, confinement: Confinement | None, asked: Mapping[str, object]
) -> _Outcome | str:
    """Return the outcome, or why there is none."""
    assert confinement is not None, "neither policy allows everything"
    hidden = (*confinement.hidden, Hidden(stage.home, SECRET_NAMES, is_home=True))
    resolved = await in_thread(replace(confinement, hidden=hidden).resolved)
    argv = (sys.executable, "-I", "-S", "-c", PROGRAM, msgspec.json.encode(asked).decode())
    return _read(await run_confined(context, argv, stage.work, resolved))


def _read(finished: Finished) -> _Outcome | str:
    if finished.spawn_error is not None:
        return finished.spawn_error
    if finished.timed_out:
        return "a confined program did not end in time"
    if finished.signal is not None:
        return f"a confined program was ended by {signal_name(finished.signal)}"
    try:
        return msgspec.json.decode(finished.stdout.render(OutputBudget(_LONGEST)), type=_Outcome)
    except msgspec.MsgspecError:
        said = finished.stderr.render(OutputBudget(_LONGEST)).strip().splitlines()
        return f"a confined program failed: {said[-1] if said else f'exit code {finished.exit_code}'}"


def _secrets(home: str, stage: _Stage) -> list[str]:
    """Return the files of the home that commands must not read, and one of the stage."""
    staged = os.path.join(stage.home, "auth.json")
    with open(staged, "wb") as file:
        file.write(b"{}")
    names = (*SECRET_NAMES, *secrets_of(home).names())
    try:
        entries = sorted(os.listdir(home))
    except OSError:
        entries = []
    paths = [os.path.join(home, entry) for entry in entries if covers(names, entry)]
    return [staged, *(path for path in paths if os.path.isfile(path) and os.access(path, os.R_OK))]


@contextmanager
def _staged(context: CheckContext) -> Iterator[_Stage]:
    """Yield an empty stage, which is removed afterwards. Raises `OSError` where none can be made."""
    root = os.path.realpath(tempfile.mkdtemp(prefix=PREFIX, dir=_base(context)))
    try:
        stage = _Stage(root)
        for directory in (stage.work, stage.outside, stage.home):
            os.mkdir(directory, 0o700)
        yield stage
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _base(context: CheckContext) -> str:
    """Return where stages are made: neither in the working directory nor in the home, which nothing is to change."""
    untouched = {os.path.realpath(context.cwd), os.path.realpath(context.home)}
    candidates = [context.environment.get("TMPDIR", ""), "/tmp", "/var/tmp", "/dev/shm"]
    usable = (path for path in candidates if path and os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK))
    return next((path for path in usable if os.path.realpath(path) not in untouched), "/tmp")
