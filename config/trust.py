"""Whether the user trusts a project: the table `projects` of `config.toml`, as Codex keeps it."""

import os
from collections.abc import Sequence

from greenroom.config.document import Table
from greenroom.config.repository import RepositoryError, find_repository


def project_root(cwd: str, markers: Sequence[str]) -> str:
    """Return the nearest directory from `cwd` upwards that has an entry of such a name; `cwd` if there is none."""
    directory = cwd
    while True:
        if any(os.path.lexists(os.path.join(directory, marker)) for marker in markers if marker):
            return directory
        parent = os.path.dirname(directory)
        if parent == directory:
            return cwd
        directory = parent


def trusted_project(table: Table, cwd: str, root: str) -> str | None:
    """Return the root of a project if the user has marked it, or `cwd` in it, as trusted; `None` otherwise.

    What is said of `cwd` counts before what is said of `root`, and that before what is said of the main working tree
    where `root` is a linked one. Anything but the word `trusted` is no trust.
    """
    projects = table.get("projects")
    if not isinstance(projects, dict):
        return None
    for path in (cwd, root, _main_root(root)):
        project = projects.get(path)
        if isinstance(project, dict) and "trust_level" in project:
            return root if project["trust_level"] == "trusted" else None
    return None


def _main_root(root: str) -> str:
    try:
        return find_repository(root).main_root
    except RepositoryError:
        return root
