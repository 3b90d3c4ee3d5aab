"""What the checks look at: the home, the environment and the machine. Tests replace any part of it."""

import asyncio
import os
import resource
import shutil
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Final, TypeVar

from greenroom.config.document import Table
from greenroom.config.layers import layered
from greenroom.config.overrides import parse_assignment
from greenroom.config.settings import ConversationOverrides, Settings, resolve_settings
from greenroom.config.tables.ray_nodes import RayTable
from greenroom.runtime.search_path import absolute_path
from greenroom.runtime.threads.daemon_thread import in_thread
from greenroom.supervisor.cli.doctor.cluster import Machines, ask_cluster
from greenroom.workers.sandbox.launcher import Launcher
from greenroom.workers.sandbox.rules.features import KernelFeatures, probe

T = TypeVar("T")

PROVIDER_TIMEOUT: Final = 5.0
"""Seconds that a model server or a proxy has to answer."""
MCP_TIMEOUT: Final = 4.0
"""Seconds that an MCP server has to start and list its tools."""
SANDBOX_TIMEOUT: Final = 5.0
"""Seconds that a confined command of a check may take."""
NODE_TIMEOUT: Final = 3.0
"""Seconds that a host has to answer one question of a node's machine."""
CLUSTER_TIMEOUT: Final = 6.0
"""Seconds that a Ray cluster has to answer, the import of Ray included."""
INDEX_TIMEOUT: Final = 6.0
"""Seconds that pip and the package index have to answer."""


@dataclass(frozen=True, slots=True)
class CheckDeadlines:
    """How long the checks wait for other programs, in seconds."""

    provider: float = PROVIDER_TIMEOUT
    mcp: float = MCP_TIMEOUT
    sandbox: float = SANDBOX_TIMEOUT
    index: float = INDEX_TIMEOUT
    node: float = NODE_TIMEOUT
    cluster: float = CLUSTER_TIMEOUT


@dataclass(frozen=True, slots=True)
class Machine:
    """What the operating system tells."""

    features: Callable[[], KernelFeatures] = probe
    launcher: Callable[[], Launcher] = Launcher.attach
    """Returns what starts confined commands. Raises `OSError`."""
    statvfs: Callable[[str], os.statvfs_result] = os.statvfs
    limit: Callable[[int], tuple[int, int]] = resource.getrlimit
    """Returns the soft and the hard limit of a `RLIMIT_…`."""
    now: Callable[[], float] = time.time
    which: Callable[[str, str], str | None] = lambda program, path: shutil.which(program, path=path)
    """Returns the path of a program that is looked up in a `PATH`."""
    has_package: Callable[[str], bool] = lambda name: find_spec(name) is not None
    """Tells whether a package can be imported."""
    cluster: Callable[[Mapping[str, str], RayTable, float], Awaitable[Machines]] = ask_cluster
    """Returns the machines of a Ray cluster, within so many seconds. Raises `ClusterError`."""
    proc: str = "/proc"
    cgroups: str = "/sys/fs/cgroup"


@dataclass(frozen=True, slots=True)
class NodeAim:
    """What `greenroom node` is to be started with."""

    join: str
    """`tcp://ADDRESS:PORT` of the host."""
    state: str
    ticket: str | None = None
    name: str | None = None
    directories: tuple[str, ...] = ()
    """In which conversations are to work."""


@dataclass(slots=True)
class CheckContext:
    """One look at everything. What several checks need is asked for once (`shared`)."""

    home: str
    """The Codex home, which need not exist."""
    cwd: str
    environment: Mapping[str, str]
    """That of the process, with the home's `.env` in it."""
    config_overrides: tuple[str, ...] = ()
    """`-c key=value`, as given."""
    online: bool = False
    """Whether the package index may be asked."""
    home_name: str = ""
    """The path of the home with links unresolved, as the environment has it; empty where it is the same."""
    home_fault: str = ""
    """Why the home cannot be used."""
    dotenv_fault: str = ""
    """Why the home's `.env` cannot be used."""
    machine: Machine = field(default_factory=Machine)
    patience: CheckDeadlines = field(default_factory=CheckDeadlines)
    node: NodeAim | None = None
    """Of a machine that is to be a node: what it is to be started with."""
    _asked: dict[object, asyncio.Task[Any]] = field(default_factory=dict)

    async def shared(self, ask: "Callable[[CheckContext], Coroutine[Any, Any, T]]") -> T:
        """Return the result of `ask`, which is called once for all checks that need it. Raises what it raises."""
        task: asyncio.Task[T] | None = self._asked.get(ask)
        if task is None:
            task = self._asked[ask] = asyncio.get_running_loop().create_task(ask(self))
        return await asyncio.shield(task)

    @property
    def search_path(self) -> str:
        """The directories in which programs are looked up."""
        return absolute_path(self.environment.get("PATH"))


async def settings_of(context: CheckContext) -> Settings:
    """Return what a conversation in the working directory would go by. Raises `ConfigError`."""
    return await in_thread(
        lambda: resolve_settings(
            context.home,
            context.config_overrides,
            ConversationOverrides(),
            context.cwd,
            context.environment,
        )
    )


async def table_of(context: CheckContext) -> Table:
    """Return the table of `config.toml` with the overrides applied, not validated. Raises `ConfigError`."""
    assignments = [parse_assignment(text) for text in context.config_overrides]
    return await in_thread(lambda: layered(context.home, assignments))
