"""Turns a sandbox policy and the facts of a conversation into a confinement. Free of I/O.

The directory in which a command starts plays no part: it never extends what may be written.
"""

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import msgspec

from greenroom.config.tables.sandbox import (
    ConfinementPolicy,
    DangerFullAccessPolicy,
    ReadOnlyPolicy,
    WorkspaceWritePolicy,
)
from greenroom.protocol.secret_names import SECRET_NAMES
from greenroom.workers.sandbox import ray_token
from greenroom.workers.sandbox.confinement import Confinement, Hidden, is_within, normal, unique

__all__ = ["Confinement", "Surroundings", "confine", "own_program"]

CONTROL_NAMES: Final = (".git", ".codex", ".agents")
"""Entries of a writable root that control programs outside the sandbox, so that commands may not change them."""

SETTING_NAMES: Final = ("config.toml*", ".config.toml*")
"""Entries of the Codex home that contain settings, which may have tokens in them, and their temporary files."""
SESSION_NAMES: Final = ("sessions", "archived_sessions", "tasks")
"""Entries of the Codex home that no configuration makes writable."""

SLASH_TMP: Final = "/tmp"


class Surroundings(msgspec.Struct, frozen=True):
    """The facts of a conversation that its sandbox depends on. All paths are absolute."""

    cwd: str
    """The working directory of the conversation, not of one call."""
    codex_home: str
    runtime_directory: str
    """Contains the instance's sockets. The directory above the instance's own hides those of other instances too."""
    tmpdir: str = ""
    """`TMPDIR` as the commands will see it."""
    home_name: str = ""
    """The path of the Codex home for the next server, its links not followed; empty where it equals `codex_home`."""
    sockets: tuple[str, ...] = ()
    """Unix sockets of programs outside the sandbox that a command with network may use."""
    ray_directory: str = ""
    """Where Ray keeps the token of a cluster (`greenroom.workers.sandbox.ray_token`); empty where there is none."""
    other_homes: tuple[str, ...] = ()
    """Further homes of the user (`greenroom.config.secrets.other_homes`)."""


def confine(policy: ConfinementPolicy, surroundings: Surroundings) -> Confinement | None:
    """Return the confinement under the policy; `None` where everything may be accessed."""
    match policy:
        case DangerFullAccessPolicy():
            return None
        case ReadOnlyPolicy():
            return read_only(surroundings)
        case WorkspaceWritePolicy():
            roots = _roots(policy, surroundings)
            named = _named(policy, surroundings)
            controls = _controls(roots, named)
            home = normal(surroundings.codex_home)
            return Confinement(
                writable=roots,
                protected=unique([*controls, home, *_sessions(surroundings)]),
                hidden=_hidden(surroundings),
                network=policy.network_access,
                home_names=unique(map(normal, filter(None, (surroundings.codex_home, surroundings.home_name)))),
                named=tuple(root for root in roots if root in named),
                yielding=tuple(path for path in controls if path != home),
                sockets=surroundings.sockets if policy.network_access else (),
            )


def read_only(surroundings: Surroundings) -> Confinement:
    """Return the confinement in which nothing can be written, and credentials cannot be read."""
    return Confinement(writable=(), protected=(), hidden=_hidden(surroundings), network=False)


def own_program(surroundings: Surroundings) -> Confinement:
    """Return the confinement of programs that Greenroom runs for itself: as `read_only`, without the settings either.

    Settings can contain tokens, and no such program needs them.
    """
    unread = (*SECRET_NAMES, *SETTING_NAMES)
    hidden = (replace(each, names=unread) if each.is_home else each for each in _hidden(surroundings))
    return replace(read_only(surroundings), hidden=tuple(hidden))


def _hidden(surroundings: Surroundings) -> tuple[Hidden, ...]:
    homes = (surroundings.codex_home, *surroundings.other_homes)
    own = *(Hidden(home, SECRET_NAMES, is_home=True) for home in homes), Hidden(surroundings.runtime_directory)
    return own if not surroundings.ray_directory else (*own, Hidden(surroundings.ray_directory, ray_token.NAMES))


def _roots(policy: WorkspaceWritePolicy, surroundings: Surroundings) -> tuple[str, ...]:
    roots = [os.path.join(surroundings.cwd, root) for root in policy.writable_roots]
    roots.append(surroundings.cwd)
    if not policy.exclude_slash_tmp:
        roots.append(SLASH_TMP)
    if surroundings.tmpdir and not policy.exclude_tmpdir_env_var:
        roots.append(os.path.join(surroundings.cwd, surroundings.tmpdir))
    sealed = [surroundings.runtime_directory, *_sessions(surroundings)]
    plain = map(normal, roots)
    return unique(root for root in plain if not any(is_within(root, place) for place in sealed))


def _named(policy: WorkspaceWritePolicy, surroundings: Surroundings) -> frozenset[str]:
    return frozenset(normal(os.path.join(surroundings.cwd, root)) for root in policy.writable_roots)


def _controls(roots: Iterable[str], named: frozenset[str]) -> tuple[str, ...]:
    """Return what controls programs outside the sandbox. What the configuration lists by name is writable."""
    trees = (root for root in roots if os.path.basename(root) != ".git")  # a `.git` directory contains no working tree
    controls = [os.path.join(root, name) for root in trees for name in CONTROL_NAMES]
    return unique(path for path in controls if path not in named)


def _sessions(surroundings: Surroundings) -> list[str]:
    home = normal(surroundings.codex_home)
    return [os.path.join(home, name) for name in SESSION_NAMES]
