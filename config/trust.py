"""Whether the user trusts a project: the table `projects` of `config.toml`, as Codex keeps it."""

import os
from collections.abc import Sequence

from greenroom.config.document import Table


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

    What is said of `cwd` counts before what is said of `root`. Anything but the word `trusted` is no trust.
    """
    projects = table.get("projects")
    if not isinstance(projects, dict):
        return None
    for path in (cwd, root):
        project = projects.get(path)
        if isinstance(project, dict) and "trust_level" in project:
            return root if project["trust_level"] == "trusted" else None
    return None
