"""The effect of the user's profile on a command's environment, from the output of a login shell. Free of I/O.

A login shell reads the profile before each command, which can take longer than the command. Its effect is usually an
environment and some functions, both of which can be passed to a plain shell instead. Where it has more effects, such as
another directory, mask or option, only a login shell will do.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

MARKER: Final = b"\n-- what follows is the shell's --\n"
"""Separates the output of a profile from that of the script."""
_STATE: Final = "pwd; umask; ulimit -a; set +o; shopt -p; trap"
PLAIN_SCRIPT: Final = _STATE
"""Prints the state of a shell that has read no profile."""
LOGIN_SCRIPT: Final = (
    "export -f $(compgen -A function) 2>/dev/null; "
    f"printf '\\n-- what follows is the shell'\\''s --\\n'; {_STATE}; printf '\\0'; exec env -0"
)
"""Prints the state and the environment of a shell that has. Functions are in the latter, as bash exports them."""
LARGEST_ENVIRONMENT: Final = 256 * 1024
"""Bytes. A larger one would slow down every program that the command starts, or keep it from starting."""
LARGEST_VARIABLE: Final = 100 * 1024
"""Bytes. The kernel accepts 128 KiB at most, and then nothing could be started (execve(2))."""

_ITS_OWN: Final = frozenset({"_", "OLDPWD", "PWD", "SHLVL"})
"""Variables that each shell sets for itself."""
_LOGIN_OPTION: Final = b" login_shell"


class ProfileEffect(msgspec.Struct, frozen=True):
    """The effect of a profile on an environment."""

    changed: Mapping[str, str]
    """Added, or given another value."""
    removed: frozenset[str]

    def on(self, environment: Mapping[str, str], fixed: Callable[[str], bool]) -> dict[str, str]:
        """Return the environment after the profile, except for names that are fixed."""
        kept = {name: value for name, value in environment.items() if name not in self.removed or fixed(name)}
        return kept | {name: value for name, value in self.changed.items() if not fixed(name)}


def effect(before: Mapping[str, str], plain: bytes, login: bytes) -> ProfileEffect | None:
    """Compare the outputs of the two scripts; `None` where an environment cannot replace the profile."""
    _, marker, told = login.rpartition(MARKER)
    state, end, variables = told.partition(b"\0")
    if not marker or not end or _without_login(state) != _without_login(plain):
        return None
    if not variables.endswith(b"\0") or len(variables) > LARGEST_ENVIRONMENT:
        return None
    lines = variables[:-1].split(b"\0")
    if len(max(lines, key=len)) > LARGEST_VARIABLE:
        return None
    after = dict(map(_variable, lines))
    changed = {name: value for name, value in after.items() if name not in _ITS_OWN and before.get(name) != value}
    return ProfileEffect(changed, frozenset(before.keys() - after.keys() - _ITS_OWN))


def _variable(line: bytes) -> tuple[str, str]:
    name, _, value = line.partition(b"=")
    return name.decode(errors="surrogateescape"), value.decode(errors="surrogateescape")


def _without_login(state: bytes) -> list[bytes]:
    return [line for line in state.splitlines() if not line.endswith(_LOGIN_OPTION)]
