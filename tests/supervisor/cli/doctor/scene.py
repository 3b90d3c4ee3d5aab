"""CheckContext of `greenroom doctor` in which all is well, to be broken in one place."""

import json
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from greenroom.supervisor.cli.doctor.check_context import CheckContext, CheckDeadlines, Machine, NodeAim
from greenroom.supervisor.cli.doctor.command import look_around
from greenroom.supervisor.cli.doctor.examination import examine
from greenroom.supervisor.cli.doctor.page import doctor_page
from greenroom.supervisor.cli.doctor.report import DoctorReport, make_report, report_as_json
from greenroom.supervisor.cli.doctor.secret_texts import find_secrets
from greenroom.supervisor.cli.doctor.table import CHECKS, NODE_CHECKS
from greenroom.workers.sandbox.launcher import Launcher
from greenroom.workers.sandbox.rules.features import KernelFeatures
from tests.broker.homes import tokens
from tests.supervisor.cli.doctor.listing_server import ListingServer
from tests.support.certificates import Authority

SECRETS = {
    "key": "sk-scene-0123456789abcdef",
    "bearer": "bearer-of-the-scene-0123456789",
    "refresh": "refresh-of-the-scene-0123456789",
    "stored": "stored-of-the-scene-0123456789",
    "header": "header-of-the-scene-0123456789",
    "query": "query-of-the-scene-0123456789",
    "server": "server-of-the-scene-0123456789",
    "password": "password-of-the-scene-0123456789",
    "command": "command-of-the-scene-0123456789",
}
"""By the places where a scene may have them."""

CONFIG = """\
model = "{model}"
model_provider = "mock"
{top}
[model_providers.mock]
name = "A list on this machine"
base_url = "{url}"
env_key = "SCENE_KEY"
http_headers = {{ "X-Scene" = "{header}" }}
query_params = {{ "code" = "{query}" }}
{more}
{tables}
"""
FULL = KernelFeatures(landlock_abi=6, seccomp=True, architecture="x86_64", namespaces_refused=None)


def no_launcher() -> Launcher:
    """Stand for a sandbox that is not to be started."""
    raise OSError("not in this scene")


def large(path: str) -> os.statvfs_result:
    """Return a file system with room for everything."""
    return file_system(free=1 << 40, files=1 << 20)


def file_system(free: int = 1 << 40, files: int = 1 << 20, flags: int = 0) -> os.statvfs_result:
    """Return the figures of a file system: free bytes, files that can be made, flags."""
    return os.statvfs_result((4096, 4096, 1 << 30, free // 4096, free // 4096, 1 << 21, files, files, flags, 255))


MACHINE = Machine(
    features=lambda: FULL,
    launcher=no_launcher,
    statvfs=large,
    limit=lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY),
    proc="/nonexistent",
    cgroups="/nonexistent",
)
"""A machine with plenty of everything and without a sandbox, which takes a process to be tried."""

PATIENCE = CheckDeadlines(provider=20.0, mcp=20.0, sandbox=20.0)


@dataclass
class Scene:
    """One test's surroundings. `report` runs all checks in this process."""

    root: Path
    server: ListingServer
    environment: dict[str, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    machine: Machine = MACHINE
    patience: CheckDeadlines = PATIENCE
    seconds: float = 45.0
    node: NodeAim | None = None
    """Where it is the scene of a machine that is to be a node."""

    def __post_init__(self) -> None:
        self.home, self.cwd = self.root / "home", self.root / "work"
        for directory in (self.home, self.cwd):
            directory.mkdir(mode=0o700)
        self.runtime = Path(tempfile.mkdtemp(prefix="gr-", dir="/tmp"))  # short, as the paths of sockets are
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "CODEX_HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "SCENE_KEY": SECRETS["key"],
            "SSL_CERT_FILE": str(
                Authority(self.root).certificate
            ),  # to read those of the machine takes longer than all
        }
        self.configure()

    def close(self) -> None:
        """Remove what is not below `root`."""
        shutil.rmtree(self.runtime)

    def configure(self, behaviour: str = "ok", **parts: str) -> None:
        """Write the settings; `parts` of `CONFIG`, and `url` in place of that of a behaviour of the server."""
        values = {"model": "scripted", "top": "", "more": "", "tables": "", "url": self.server.url(behaviour), **parts}
        text = CONFIG.format(header=SECRETS["header"], query=SECRETS["query"], **values)
        self.write("config.toml", text)

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file of the home, for its user alone."""
        path = self.home / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(0o600)
        return path

    def use_login(self, behaviour: str = "ok", top: str = "") -> None:
        """Configure the built-in provider, which wants a login."""
        url = self.server.url(behaviour)
        self.write("config.toml", f'model = "scripted"\nopenai_base_url = "{url}"\n{top}\n')

    def log_in(self, lasts: float = 3600.0, refresh: str = SECRETS["refresh"], **members: object) -> None:
        """Store a ChatGPT login whose access token ends in `lasts` seconds."""
        self.write("auth.json", json.dumps({**tokens(refresh, lasts), **members}))

    def proc(self, files: Mapping[str, str]) -> None:
        """Give the machine a `/proc` with these files alone."""
        for name, text in files.items():
            path = self.root / "proc" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.machine = replace(self.machine, proc=str(self.root / "proc"), cgroups=str(self.root / "cgroup"))

    def control_group(self, **files: str) -> None:
        """Put this process into a control group with these limits."""
        group = self.root / "cgroup" / "unit"
        group.mkdir(parents=True)
        for name, text in files.items():
            (group / name.replace("_", ".")).write_text(f"{text}\n")
        self.proc({"self/cgroup": "0::/unit\n"})

    def limit(self, number: int, soft: int) -> None:
        """Set one limit of the process."""
        self.machine = replace(
            self.machine,
            limit=lambda asked: (soft if asked == number else resource.RLIM_INFINITY, resource.RLIM_INFINITY),
        )

    def mcp(self, name: str, *arguments: str, more: str = "") -> None:
        """Configure one MCP server, a Python program."""
        argv = json.dumps(["-I", "-S", *arguments])
        table = f'[mcp_servers.{name}]\ncommand = "{sys.executable}"\nargs = {argv}\n{more}\n'
        self.configure(tables=f'{table}[mcp_servers.{name}.env]\nSCENE = "{SECRETS["server"]}"\n')

    def context(self) -> CheckContext:
        found = look_around(self.environment, self.overrides)
        return replace(found, cwd=str(self.cwd), machine=self.machine, patience=self.patience, node=self.node)

    def report(self, ids: frozenset[str] | None = None) -> DoctorReport:
        """Run all checks, or some, and return the report."""
        context = self.context()
        table = CHECKS if self.node is None else NODE_CHECKS
        checks = [check for check in table if ids is None or check.id in ids]
        with _as_environment(context.environment):
            secrets = find_secrets(context)
            results = examine(checks, context, self.seconds, 3.0)
        return make_report(results, secrets, home=context.home, at=0.0, seconds=0.0)


@contextmanager
def _as_environment(environment: Mapping[str, str]) -> Iterator[None]:
    """Let this process have an environment, since proxies and certificates are found in it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - set(environment):
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


def everything_said(report: DoctorReport) -> str:
    """Return all that the command prints of a report, in each of its forms."""
    lines = [line.plain for line in doctor_page(report, 80, details=True)]
    return "\n".join([report_as_json(report), *lines])
