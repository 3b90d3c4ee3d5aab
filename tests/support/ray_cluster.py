"""A Ray cluster of this machine, in a directory of its own: a head, and machines that are raylets.

All are on loopback, or in namespaces of networks (`tests/support/namespaces.py`).
"""

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

from tests.support import processes
from tests.support.imported import Imported
from tests.support.ledger import PATIENCE
from tests.support.nodes import free_ports
from tests.support.stage import Stage
from tests.support.template import MARKER

IS_THERE: Final = importlib.util.find_spec("ray") is not None
REASON: Final = "needs Ray (`pip install 'greenroom[ray]'`)"
TIMEOUT: Final = 120.0 * PATIENCE
LOOPBACK: Final = "127.0.0.1"
FALSE_MACHINES: Final = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
HEAD_TYPE: Final = "ray.head.default"
HEAD: Final = "f" * 55 + "0"
"""The id of a head whose autoscaler starts false machines, as Ray's provider of them expects it."""
SCALED: Final = {
    "RAY_FAKE_CLUSTER": "1",
    "RAY_enable_autoscaler_v2": "1",
    "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    "RAY_CLOUD_INSTANCE_ID": HEAD,
    "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD,
}
ATTEMPTS: Final = 3
"""Of starting a part of the cluster."""


COMMAND: Final = Path(__file__).with_name("ray_command.py")
OPTIONS: Final = ("-P",)
"""Of its interpreter, which else would take modules of the tests for those that Ray imports."""


class RayCluster:
    """Starts the head; `close` ends all of it, by pid."""

    def __init__(
        self,
        stage: Stage,
        cpus: int = 4,
        resources: str = "{}",
        *,
        ip: str = LOOPBACK,
        scaled: Mapping[str, object] | None = None,
        **variables: str,
    ) -> None:
        """`ip`: of the head. `variables`: of all its processes, beside the usual ones.

        `scaled`: a machine that Ray's autoscaler may start, up to two of them, with Ray's provider of false machines,
        which are raylets of this one.
        """
        # short, because the addresses of sockets are limited
        self.directory = Path(tempfile.mkdtemp(prefix="gray-", dir="/tmp"))
        self.mark = uuid.uuid4().hex
        self.ip, self.port = ip, free_ports(1)
        self.variables = {
            "HOME": str(self.directory),
            "RAY_TMPDIR": str(self.directory),
            "RAY_USAGE_STATS_ENABLED": "0",
            # All of it on loopback: elsewhere Ray takes the address of an interface.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        }
        self._environment = {
            **stage.environment(**self.variables),
            "XDG_STATE_HOME": str(self.directory / "state"),
            **variables,
            **({} if scaled is None else SCALED),
            MARKER: self.mark,
        }
        # A process of the cluster is one with the mark, and this one outlives a cluster that is started again.
        unmarked = {name: value for name, value in self._environment.items() if name != MARKER}
        self._ray = Imported(COMMAND, options=OPTIONS, environment=unmarked)
        self._scaling: Path | None = None
        if scaled is not None:
            self._scaling = self.directory / "scaling.json"
            self._scaling.write_text(json.dumps(_scaling(scaled, self.address)))
        self._head = (cpus, resources)
        try:
            self.start_head()
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> str:
        return f"{self.ip}:{self.port}"

    def start_head(self) -> None:
        """Start a head, which knows nothing of one before it."""
        cpus, resources = self._head
        words = ["--head", "--port", str(self.port), "--include-dashboard", "false"]
        words += ["--no-monitor"] if self._scaling is None else ["--autoscaling-config", str(self._scaling)]
        self._start(*words, ip=self.ip, cpus=cpus, more=resources)

    def add_machine(
        self, cpus: int = 4, resources: str = "{}", *, ip: str | None = None, prefix: Sequence[str] = ()
    ) -> psutil.Process:
        """Start another raylet, and return it. `prefix` starts it in the namespace that has the address `ip`."""
        known = {process.pid for process in self.raylets()}
        self._start("--address", self.address, ip=ip or self.ip, prefix=prefix, cpus=cpus, more=resources)
        (fresh,) = (process for process in self.raylets() if process.pid not in known)
        return fresh

    def command(
        self, *words: str, ip: str | None = None, prefix: Sequence[str] = ()
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command of Ray to its end."""
        # A fork would be where the process is that forks, and not where the prefix leads.
        begin = (*prefix, sys.executable, *OPTIONS, str(COMMAND)) if prefix else self._ray.command
        return subprocess.run(
            (*begin, ip or self.ip, *words),
            env=self._environment,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def drain(self, raylet: psutil.Process) -> None:
        """Announce that a machine goes, as a cloud does."""
        node = next(word.partition("=")[2] for word in raylet.cmdline() if word.startswith("--node_id="))
        done = self.command(
            *("drain-node", "--address", self.address, "--node-id", node, "--reason", "DRAIN_NODE_REASON_PREEMPTION"),
            *("--reason-message", "the machine goes", "--deadline-remaining-seconds", "600"),
        )
        assert done.returncode == 0, done.stderr

    def processes(self) -> list[psutil.Process]:
        """Return all processes of the cluster, and what runs in it."""
        return list(processes.marked(self.mark))

    def raylets(self) -> list[psutil.Process]:
        return self._called("raylet/raylet")

    def head(self) -> psutil.Process:
        """Return the process that is the head: Ray's global control service."""
        (found,) = self._called("gcs/gcs_server")
        return found

    def actors(self) -> list[psutil.Process]:
        return self._called("ray::OutpostActor")

    def nodes(self) -> list[psutil.Process]:
        return processes.named(self.processes(), "gr-node")

    def end_all(self) -> None:
        """End all of it by pid, and what runs in it. A head can be started again then."""
        for _ in range(20):  # a raylet starts processes while it is being killed
            left = self.processes()
            _kill(left)
            if not left:
                break

    def close(self) -> None:
        """End all of it, for good."""
        self.end_all()
        self._ray.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _called(self, words: str) -> list[psutil.Process]:
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                if words in " ".join(process.cmdline()[:1]):
                    found.append(process)
        return found

    def _start(self, *words: str, ip: str, cpus: int, more: str, prefix: Sequence[str] = ()) -> None:
        """Start what `words` say. Ray gives its own processes 30 s, which a busy machine may not; so it is repeated."""
        for attempt in range(1, ATTEMPTS + 1):
            known = {process.pid for process in self.processes()}
            done = self.command(
                *("start", *words, "--node-ip-address", ip, "--num-cpus", str(cpus), "--resources", more),
                *("--min-worker-port", "0", "--max-worker-port", "0", "--include-log-monitor", "false"),
                *("--object-store-memory", "80000000", "--disable-usage-stats", "--temp-dir", str(self.directory)),
                ip=ip,
                prefix=prefix,
            )
            if done.returncode == 0:
                return
            assert attempt < ATTEMPTS, done.stderr
            _kill([process for process in self._called("ray/") if process.pid not in known])


def _scaling(machine: Mapping[str, object], head_address: str) -> dict[str, object]:
    """Return the settings of an autoscaler that may start two machines of these resources."""
    head = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
    worker = {"resources": machine, "node_config": {}, "min_workers": 0, "max_workers": 2}
    return {
        "cluster_name": "false",
        "max_workers": 2,
        "upscaling_speed": 10.0,
        "idle_timeout_minutes": 0.1,
        "provider": {
            "type": "external",
            "module": FALSE_MACHINES,
            "head_node_id": HEAD,
            "gcs_address": head_address,
            **dict.fromkeys(("launch_multiple", "use_node_id_as_ip"), True),
            **dict.fromkeys(("disable_node_updaters", "disable_launch_config_check"), True),
        },
        "auth": {},
        **{kind: [] for kind in ("initialization_commands", "setup_commands")},
        **{f"{kind}_setup_commands": [] for kind in ("head", "worker")},
        **{f"{kind}_start_ray_commands": [] for kind in ("head", "worker")},
        "file_mounts": {},
        "cluster_synced_files": [],
        "rsync_exclude": [],
        "rsync_filter": [],
        "available_node_types": {HEAD_TYPE: head, "worker": worker},
        "head_node_type": HEAD_TYPE,
    }


def _kill(found: Sequence[psutil.Process]) -> None:
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(found, timeout=5)


def is_installed() -> bool:
    """Tell whether Ray is there; imported by nobody for that."""
    return IS_THERE and os.name == "posix"
