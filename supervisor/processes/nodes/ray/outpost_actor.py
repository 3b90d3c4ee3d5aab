"""The actor of one node, in a process of Ray on the node's machine: it starts `greenroom node`, and watches it.

The node's standard input is its lifeline: it ends when this process does, however that comes. The node makes its keys
itself, in its memory, and tells the public one here; no secret passes through Ray.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Final

import msgspec

from greenroom.protocol.internal.outpost import Begin, Outpost
from greenroom.runtime.search_path import with_absolute_path

ADMITTED: Final = b"admitted\n"
"""Said to a node once the host knows its key."""
ALONE: Final = 60
"""Seconds for which a node looks for its host before it ends, unless nodes are detached."""
WITHHELD: Final = "RAY_"
"""How variables begin that workers and their commands do not get: among them is the token of the cluster."""


class OutpostActor:
    """One run of a node. Its methods are called by `gr-ray` and do not wait."""

    def __init__(self, begin: bytes, outpost: bytes) -> None:
        """Take a `Begin` and an `Outpost`, as JSON."""
        self._outpost = outpost
        told = msgspec.json.decode(begin, type=Begin)
        name = msgspec.json.decode(outpost, type=Outpost).name
        self._public_key = ""
        self._process = subprocess.Popen(
            node_command(told, name, os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(os.environ),
            cwd="/",
        )
        threading.Thread(target=self._watch, name="node", daemon=True).start()

    def facts(self) -> tuple[bytes, str, str]:
        """Return the `Outpost`, the public key of the node, empty while there is none, and the id of the machine."""
        import ray

        return self._outpost, self._public_key, str(ray.get_runtime_context().get_node_id())

    def admit(self, public_key: str) -> None:
        """Let the node join: the host knows its key."""
        if public_key == self._public_key and self._process.stdin is not None:
            try:
                self._process.stdin.write(ADMITTED)
                self._process.stdin.flush()
            except BrokenPipeError:  # it has ended, which is seen elsewhere
                pass

    def _watch(self) -> None:
        """Take the key, and end with the node: for good where it has left, else so that Ray starts the actor again."""
        assert self._process.stdout is not None
        self._public_key = self._process.stdout.readline().decode("ascii", "replace").strip()
        self._end(self._process.wait())

    def _end(self, code: int) -> None:
        if code == 0:
            import ray

            ray.kill(ray.get_runtime_context().current_actor, no_restart=True)
        else:
            os._exit(1)


def node_command(begin: Begin, name: str, variables: Mapping[str, str]) -> list[str]:
    """Return what starts the node. None of it is a secret."""
    base = variables.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    options = {
        "join": begin.join,
        "capacity": begin.capacity,
        "log-level": begin.log_level,
        "state": os.path.join(base, "greenroom-node", begin.owner, name),
        "placed": name,
        "host-key": begin.host_key,
        "alone": 0 if begin.detached else ALONE,
    }
    # Each in one word: a key may begin with a hyphen, and would be taken for another option.
    words = (f"--{option}={value}" for option, value in options.items())
    return [sys.executable, "-I", "-m", "greenroom.supervisor.main", "node", *words]


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a node gets: those of the actor without Ray's."""
    return with_absolute_path({name: value for name, value in variables.items() if not name.startswith(WITHHELD)})
