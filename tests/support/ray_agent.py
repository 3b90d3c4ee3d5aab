"""Stands for an agent of a raylet that nothing asks for anything: it says so, and lives as long as the raylet."""

import ctypes
import os
import signal
import sys

_PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
_NONE = "-1"
_DIE_WITH_PARENT = 1


def _main(*words: str) -> None:
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    facts = dict(word.removeprefix("--").split("=", 1) for word in words if word.startswith("--") and "=" in word)
    own = _PORTS[3:] if "runtime-env-agent-port" in facts else _PORTS[:3]
    for port in own:
        path = os.path.join(facts["session-dir"], f"{port}_{facts['node-id']}")
        with open(f"{path}.part", "w") as file:
            file.write(_NONE)
        os.replace(f"{path}.part", path)
    while os.getppid() == parent:
        signal.pause()


if __name__ == "__main__":
    _main(*sys.argv[1:])
