"""Runs git for a job, confined like a command of the model in the mode `read-only`.

A repository names programs for git to run: filters, monitors, hooks, transports. A command of the model may have
created the repository, so a program that git starts must not be able to do more than a command: nothing is writable,
there is no network, and neither credentials nor settings can be read (docs/decisions/0018-git-runs-in-the-sandbox.md).
That holds in every sandbox mode, since a job belongs to no conversation. The options and variables below only avoid
work.

Git's output is as untrusted as the repository: it is limited in time and size here, and has to be checked by the
callers.
"""

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Final, Self

from greenroom.protocol.errors import GreenroomError
from greenroom.runtime.search_path import absolute_path
from greenroom.workers.exec.command import CommandSpec
from greenroom.workers.exec.command_run import CommandRun, explain
from greenroom.workers.exec.pipes import StreamName
from greenroom.workers.jobs.context import JobError, Setting
from greenroom.workers.sandbox.launcher import Launcher
from greenroom.workers.sandbox.policy import Surroundings, own_program
from greenroom.workers.sandbox.starter import LaunchedStarter

TIMEOUT: Final = 5.0
"""Seconds for one call."""
START_TIMEOUT: Final = 5.0
"""Seconds within which it has to be started."""
LARGEST: Final = 64 * 1024 * 1024
"""Maximum bytes of output of one call."""
_KEPT: Final = ("HOME", "XDG_CONFIG_HOME")
"""The only variables that are passed on: the user's configuration for all repositories applies."""
_FIXED: Final = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_PAGER": "cat",
}
_OPTIONS: Final = (
    *("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false"),
    *("-c", "safe.bareRepository=explicit", "-c", "protocol.allow=never"),
)


class GitError(Exception):
    """Git took too long, wrote too much, or gave an unexpected answer."""


class GitUnavailableError(GitError):
    """Git is not installed, or cannot be confined here; the same holds for every call."""

    def __init__(self, reason: GreenroomError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Git:
    """Runs git for one job; must be closed. To be created on the running loop."""

    def __init__(self, directory: str, setting: Setting) -> None:
        """`directory` is the subject of the job: no program is looked up in it or in the repository around it."""
        surroundings = Surroundings(directory, setting.home, setting.runtime_directory)
        self._starter = LaunchedStarter(self._launch, own_program(surroundings).resolved())
        self._launcher: Launcher | None = None
        path = absolute_path(os.environ.get("PATH"), (workspace(directory),))
        self._program = shutil.which("git", path=path)
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._environment = {**kept, "PATH": path, **_FIXED}

    async def __aenter__(self) -> Self:
        """Start the launcher."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kill any processes that git has left."""
        if self._launcher is not None:
            await self._launcher.close()

    async def run(
        self,
        cwd: str,
        *arguments: str,
        allowed: Sequence[int] = (0,),
        timeout_s: float = TIMEOUT,
        settings: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return the output of a git command. Raises `GitError` if its exit status is not among those allowed.

        `patience` is in seconds. `settings` override all configuration.
        """
        if self._program is None:
            raise GitUnavailableError(JobError("there is no git"))
        argv = (self._program, *_OPTIONS, *arguments)
        environment = {**self._environment, **_as_variables(settings or {})}
        output, attempt = await self._written(CommandSpec(argv, cwd, environment, timeout_s))
        if attempt.timed_out:
            raise GitError(f"git {arguments[0]} took longer than {timeout_s:g} s")
        if attempt.returncode not in allowed:
            raise GitError(f"git {arguments[0]} ended with {attempt.returncode}")
        return output

    async def _written(self, command: CommandSpec) -> tuple[bytes, CommandRun]:
        output = _Output()
        attempt = CommandRun(command)
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await attempt.start(self._starter)
        except TimeoutError:
            raise GitUnavailableError(JobError("the process that starts programs does not answer")) from None
        except (OSError, ValueError) as error:
            raise GitError(explain(command, error)) from error
        except GreenroomError as error:
            raise GitUnavailableError(error) from error
        try:
            await attempt.relay(output.take)
            await attempt.over.wait()
        finally:
            await attempt.close()
        return bytes(output.data), attempt

    def _launch(self) -> Launcher:
        if self._launcher is None:
            self._launcher = Launcher.attach()
        return self._launcher


class _Output:
    def __init__(self) -> None:
        self.data = bytearray()

    async def take(self, name: StreamName, chunk: bytes) -> None:
        """Append output. Raises `GitError` if it is too much, which ends the command."""
        if name != "stdout":
            return
        if len(self.data) + len(chunk) > LARGEST:
            raise GitError(f"git wrote more than {LARGEST} bytes")
        self.data += chunk


def workspace(directory: str) -> str:
    """Return the outermost directory around a directory that has a `.git`, or the directory itself. Runs no program."""
    here = outermost = os.path.realpath(directory)
    while here != os.path.dirname(here):
        if os.path.lexists(os.path.join(here, ".git")):
            outermost = here
        here = os.path.dirname(here)
    return outermost


def is_inside(path: bytes) -> bool:
    """Tell whether a path from git is relative and leads only down, judged by its text."""
    return not {b"", b".", b".."} & set(path.removesuffix(b"/").split(b"/"))


def leads_through_links(root: str, path: str) -> bool:
    """Tell whether a directory between `root`, whose links were resolved, and `path` is a symbolic link."""
    directory = os.path.dirname(os.path.join(root, path))
    return os.path.realpath(directory) != os.path.normpath(directory)


def _as_variables(settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings in the form that allows any character in a name (git-config(1), GIT_CONFIG_COUNT)."""
    variables = {"GIT_CONFIG_COUNT": str(len(settings))} if settings else {}
    for number, (key, value) in enumerate(settings.items()):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables
