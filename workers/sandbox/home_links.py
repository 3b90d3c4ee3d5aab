"""The symbolic links in the path to the Codex home, and in the paths to its files that control programs outside the
sandbox.

A command that could replace one of them would choose the next server's settings, and through them a program that runs
outside the sandbox.
"""

import os
from typing import Final

CONTROL_ENTRIES: Final = frozenset(
    {
        "config.toml",
        "AGENTS.md",
        "AGENTS.override.md",
        "hooks.json",
        "prompts",
        "rules",
        "skills",
        "agents",
        "hooks",
        "plugins",
    }
)
"""Entries of the home that control programs outside the sandbox; so do the settings of profiles (`NAME.config.toml`).
"""

_MOST_LINKS: Final = 40
"""The kernel's own limit (path_resolution(7))."""


def trail(path: str) -> list[str]:
    """Return every link in an absolute path, each by its own path, which contains no links.

    The path's final target comes last.
    """
    links: list[str] = []
    here, rest = os.sep, path.split(os.sep)
    while rest:
        name = rest.pop(0)
        if name in {"", "."}:
            continue
        if name == "..":
            here = os.path.dirname(here)
            continue
        step = os.path.join(here, name)
        goal = _goal(step) if len(links) < _MOST_LINKS else None
        if goal is None:
            here = step
            continue
        links.append(step)
        here = os.sep if os.path.isabs(goal) else here
        rest = [*goal.split(os.sep), *rest]
    return [*links, here]


def linked_controls(home: str) -> list[str]:
    """Return the links, and their targets, of entries of a home that control programs and are links themselves.

    A missing target could be created, so the directory in which it would be created is returned instead.
    """
    try:
        with os.scandir(home) as entries:
            paths = [entry.path for entry in entries if entry.is_symlink() and _is_control(entry.name)]
    except OSError:
        return []
    trails = [trail(path) for path in sorted(paths)]
    return [place for links in trails for place in (*links[:-1], _existing(links[-1]))]


def _is_control(name: str) -> bool:
    return name in CONTROL_ENTRIES or name.endswith(".toml")


def _existing(path: str) -> str:
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def _goal(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None
