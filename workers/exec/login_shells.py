"""Replaces login shells by plain ones, once the effect of the user's profile is known.

Before the first command in a login shell the effect of the profile on exactly its environment is measured; later
commands get the result and a plain shell. It is kept in memory only. A variable that a policy withholds from commands
is not restored by a profile. Where a profile has effects beyond the environment, takes too long, or fails, commands run
in a login shell unchanged.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace

from greenroom.protocol.errors import SandboxUnavailableError
from greenroom.workers.exec.command import CommandSpec
from greenroom.workers.exec.process import Finished, run_to_end
from greenroom.workers.exec.profile import LARGEST_ENVIRONMENT, LOGIN_SCRIPT, PLAIN_SCRIPT, ProfileEffect, effect
from greenroom.workers.exec.starter import CommandStarter

TIMEOUT: Final = 10.0
"""Seconds that a profile may take."""
MOST: Final = 16
"""Combinations of directory, shell and environment whose effect is remembered."""

_SYSTEM_FILES: Final = ("/etc/profile", "/etc/profile.d", "/etc/bash.bashrc")
_USER_FILES: Final = (".bash_profile", ".bash_login", ".profile", ".bashrc")
_READ_ANYWAY: Final = "BASH_ENV"
"""Names a file that plain shells read and login shells do not."""

_Stamp: TypeAlias = tuple[tuple[str, int, int], ...]


class _Known(msgspec.Struct, frozen=True):
    stamp: _Stamp
    effect: ProfileEffect | None


class LoginShells:
    """The known effects of profiles in one conversation."""

    def __init__(
        self, may_see: Callable[[str], bool], fixed: Collection[str] = (), *, timeout_s: float = TIMEOUT
    ) -> None:
        """`may_see` tells which variables commands may have at all; a profile does not change those in `fixed`."""
        self._timeout_s = timeout_s
        self._may_see = may_see
        self._fixed = frozenset(fixed)
        self._known: OrderedDict[object, _Known] = OrderedDict()

    async def spare(self, command: CommandSpec, starter: CommandStarter, fixed: Collection[str] = ()) -> CommandSpec:
        """Return an equivalent command without a login shell, or the command itself. Variables in `fixed` stay too.

        The starter is that of the command: in a sandbox a profile is read in the sandbox.
        """
        if not _is_login(command):
            return command
        key = (starter, command.argv[0], command.cwd, frozenset(command.environment.items()))
        stamp = _stamp(command.environment.get("HOME", ""))
        known = self._known.get(key)
        if known is None or known.stamp != stamp:
            known = self._known[key] = _Known(stamp, await self._look(command, starter))
        self._known.move_to_end(key)
        while len(self._known) > MOST:
            self._known.popitem(last=False)
        if known.effect is None:
            return command
        environment = known.effect.on(
            command.environment, lambda name: name in fixed or name in self._fixed or not self._may_see(name)
        )
        return replace(command, argv=(command.argv[0], "-c", command.argv[2]), environment=environment)

    async def _look(self, command: CommandSpec, starter: CommandStarter) -> ProfileEffect | None:
        plain = await self._printed(command, "-c", PLAIN_SCRIPT, starter)
        login = None if plain is None else await self._printed(command, "-lc", LOGIN_SCRIPT, starter)
        if plain is None or login is None:
            return None
        profile_effect = effect(command.environment, plain, login)
        return None if profile_effect is None or _READ_ANYWAY in profile_effect.changed else profile_effect

    async def _printed(self, command: CommandSpec, flag: str, script: str, starter: CommandStarter) -> bytes | None:
        """Return the output of a script in the directory and environment of a command; `None` where it fails."""
        asked = replace(
            command,
            argv=(command.argv[0], flag, script),
            timeout=min(self._timeout_s, command.timeout),
            capture_size=4 * LARGEST_ENVIRONMENT,
            terminal=False,
        )
        try:
            finished = await run_to_end(asked, lambda *_: None, starter)
        except SandboxUnavailableError:
            return None
        return _whole_output(finished)


def _is_login(command: CommandSpec) -> bool:
    match command.argv:
        case (shell, "-lc", _):
            return os.path.basename(shell) == "bash" and _READ_ANYWAY not in command.environment
        case _:
            return False


def _whole_output(finished: Finished) -> bytes | None:
    output = finished.stdout
    return output.head + output.tail if finished.exit_code == 0 and not output.dropped else None


def _stamp(home: str) -> _Stamp:
    """Return a value that changes with the files of a profile."""
    files = [*_SYSTEM_FILES, *(os.path.join(home, name) for name in _USER_FILES)]
    return tuple(_facts(path) for path in files)


def _facts(path: str) -> tuple[str, int, int]:
    try:
        facts = os.stat(path)
    except OSError:
        return path, 0, 0
    return path, facts.st_mtime_ns, facts.st_size
