"""The command `ray`, after an address of this machine. Ray takes several machines on loopback for a mistake.

Of a cluster, it starts what places actors and nothing else: no dashboard, and no server for clients elsewhere. In place
of the two agents of a raylet, without which none starts (metrics and logs, environments of jobs), it starts
`tests/support/ray_agent.py`.
"""

import sys
from pathlib import Path

import ray._private.ray_constants as constants
import ray._private.services as services
import ray.scripts.scripts as scripts

_AGENT = str(Path(__file__).with_name("ray_agent.py"))
_AGENTS = (constants.PROCESS_TYPE_DASHBOARD_AGENT, constants.PROCESS_TYPE_RUNTIME_ENV_AGENT)


def _interpreter(component: str, session: str, unbuffered: bool = True) -> list[str]:
    """Return what a component of Ray is started with."""
    return [sys.executable, "-IS", _AGENT] if component in _AGENTS else [sys.executable, *["-u"] * unbuffered]


def _main(address: str) -> None:
    constants.ENABLE_RAY_CLUSTER = True
    services.get_node_ip_address = lambda *_: address
    services.start_api_server = lambda *_, **__: (None, None)
    vars(services)["_build_python_executable_command_memory_profileable"] = _interpreter
    scripts.get_ray_client_dependency_error = lambda: "unused"
    scripts.main()


if __name__ == "__main__":
    _main(sys.argv.pop(1))
