"""Further homes of the user of this process, whose secrets no command may read either.

A machine may be host and node, or the node of a user who has a login there: each of these has a home of its own.
"""

import os
from collections.abc import Mapping


def node_state(environment: Mapping[str, str]) -> str:
    """Return where a node has its key and log, unless it is told otherwise."""
    base = environment.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(base, "greenroom-node")


def other_homes(home: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return those that are there besides `home`: the usual Codex home, that of `CODEX_HOME`, and that of a node."""
    usual = os.path.join(os.path.expanduser("~"), ".codex")
    places = (usual, environment.get("CODEX_HOME", ""), node_state(environment))
    others = [place for place in places if place not in ("", home) and os.path.isdir(place)]
    if not others:  # as nearly everywhere; real paths take a system call for each part
        return ()
    found = {os.path.realpath(place): None for place in others}
    found.pop(os.path.realpath(home), None)
    return tuple(found)
