"""Runs git for a job, confined as a command of the model is in the mode `read-only`.

A repository names programs for git to run: filters, monitors, hooks, transports. It may be the work of a command of the
model, so whatever git starts for it must not be able to do more than a command: nothing is writable, there is no
network, and neither credentials nor settings can be read (docs/decisions/0018-git-runs-in-the-sandbox.md). That holds
in every sandbox mode, since a job belongs to no conversation. The options and variables below only spare work.

What git writes is no more trusted than the repository: it is bounded in time and size here, and to be checked by those
who use it.
"""

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Self

from greenroom.config.secrets.other_homes import other_homes
from greenroom.protocol.display import shown
from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.internal.jobs import StreamName
from greenroom.runtime.search_path import absolute_path
from greenroom.workers.exec.command import CommandSpec
from greenroom.workers.exec.command_run import CommandRun, explain_failure
from greenroom.workers.job_context import JobError, Setting
from greenroom.workers.sandbox.launcher import Launcher
from greenroom.workers.sandbox.policy import Surroundings, own_program
from greenroom.workers.sandbox.ray_token import ray_directory
from greenroom.workers.sandbox.starter import LaunchedStarter

_KEPT: Final = ("HOME", "XDG_CONFIG_HOME")
"""The only variables that are handed on: what the user has configured for all repositories counts."""
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


_LAST_WORDS: Final = 1024
"""Bytes of standard error that are kept."""


class GitError(Exception):
    """Git took too long, wrote too much, or had an answer that was not asked for."""


class GitUnavailableError(GitError):
    """Git is not there, or cannot be confined here; so it will be for every call."""

    def __init__(self, reason: GreenroomError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Git:
    """Runs git for one job; to be closed. Must be made on the running loop."""

    def __init__(self, directory: str, setting: Setting, writable: Sequence[str] = ()) -> None:
        """`directory` is what the job is about: no program is looked up in it or in the repository around it.

        `writable` are directories without links in their paths in which git, and what it starts, may write.
        """
        self._limits = setting.git
        surroundings = Surroundings(
            directory,
            setting.home,
            setting.runtime_directory,
            ray_directory=ray_directory(),
            other_homes=other_homes(setting.home, os.environ),
        )
        confinement = replace(own_program(surroundings), writable=tuple(writable))
        self._starter = LaunchedStarter(self._launch, confinement.resolved())
        self._launcher: Launcher | None = None
        path = absolute_path(os.environ.get("PATH"), (workspace(directory),))
        self._program = shutil.which("git", path=path)
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._environment = {**kept, "PATH": path, **_FIXED}

    @property
    def largest(self) -> int:
        """Bytes that may be written."""
        return self._limits.largest

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kill what git may have left running."""
        if self._launcher is not None:
            await self._launcher.close()

    async def run(
        self,
        cwd: str,
        *arguments: str,
        allowed: Sequence[int] = (0,),
        timeout_s: float | None = None,
        settings: Mapping[str, str] | None = None,
        explain: bool = False,
    ) -> bytes:
        """Return what a git command wrote. Raises `GitError` where its exit status is not among those allowed.

        `timeout_s`: seconds that it may take; `None` for as many as the limits of the job say. `settings` win over all
        configuration. `explain`: the error has git's own last words.
        """
        if self._program is None:
            raise GitUnavailableError(JobError("there is no git"))
        seconds = self._limits.seconds if timeout_s is None else timeout_s
        argv = (self._program, *_OPTIONS, *arguments)
        environment = {**self._environment, **_as_variables(settings or {})}
        output, attempt = await self._written(CommandSpec(argv, cwd, environment, seconds))
        if attempt.timed_out:
            raise GitError(f"git {arguments[0]} took longer than {seconds:g} s")
        if attempt.returncode not in allowed:
            said = f": {output.last_words}" if explain and output.last_words else ""
            raise GitError(f"git {arguments[0]} ended with {attempt.returncode}{said}")
        return bytes(output.data)

    async def _written(self, command: CommandSpec) -> "tuple[_Output, CommandRun]":
        output = _Output(self._limits.largest)
        attempt = CommandRun(command)
        try:
            async with asyncio.timeout(self._limits.start_seconds):
                await attempt.start(self._starter)
        except TimeoutError:
            raise GitUnavailableError(JobError("the process that starts programs does not answer")) from None
        except (OSError, ValueError) as error:
            raise GitError(explain_failure(command, error)) from error
        except GreenroomError as error:
            raise GitUnavailableError(error) from error
        try:
            await attempt.relay(output.take)
            await attempt.over.wait()
        finally:
            await attempt.close()
        return output, attempt

    def _launch(self) -> Launcher:
        if self._launcher is None:
            self._launcher = Launcher.attach()
        return self._launcher


class _Output:
    def __init__(self, largest: int) -> None:
        self.data = bytearray()
        self._largest = largest
        self._said = b""

    async def take(self, name: StreamName, chunk: bytes) -> None:
        """Keep the next piece. Raises `GitError` where that is too much, which ends the command."""
        if name != "stdout":
            self._said = (self._said + chunk)[-_LAST_WORDS:]
            return
        if len(self.data) + len(chunk) > self._largest:
            raise GitError(f"git wrote more than {self._largest} bytes")
        self.data += chunk

    @property
    def last_words(self) -> str:
        """The last line on standard error, for people."""
        lines = [line for line in self._said.decode(errors="replace").splitlines() if line.strip()]
        return shown(lines[-1].strip()) if lines else ""


def workspace(directory: str) -> str:
    """Return the outermost directory around a directory that has a `.git`, or the directory itself. Runs nothing."""
    here = outermost = os.path.realpath(directory)
    while here != os.path.dirname(here):
        if os.path.lexists(os.path.join(here, ".git")):
            outermost = here
        here = os.path.dirname(here)
    return outermost


def is_inside(path: bytes) -> bool:
    """Say whether a path that git wrote is relative and leads nowhere but down, as far as its text tells."""
    return not {b"", b".", b".."} & set(path.removesuffix(b"/").split(b"/"))


def leads_through_links(root: str, path: str) -> bool:
    """Say whether a directory on the way from `root`, whose links were followed, to `path` is a symbolic link."""
    directory = os.path.dirname(os.path.join(root, path))
    return os.path.realpath(directory) != os.path.normpath(directory)


def _as_variables(settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings in the form in which a name may hold any character (git-config(1), GIT_CONFIG_COUNT)."""
    variables = {"GIT_CONFIG_COUNT": str(len(settings))} if settings else {}
    for number, (key, value) in enumerate(settings.items()):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables
