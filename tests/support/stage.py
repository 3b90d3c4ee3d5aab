"""The surroundings of a server (home, workspace, scripted model), and the check that nothing of them is left."""

import os
import shlex
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

import psutil

from greenroom.demo.script import ScriptRule
from greenroom.supervisor.startup.attach import HOST_ENDED
from tests.support import processes
from tests.support.home import Home
from tests.support.model import Model
from tests.support.server import MODULE, PROGRAM, SCRIPT, Server
from tests.support.template import MARKER, Template

TROUBLE = ("Traceback (most recent call last)", "Task exception was never retrieved", "was never awaited")
"""What must not be in a log."""


class Stage:
    """One test's surroundings. Call `strike` at the end: it fails if anything is left."""

    def __init__(self, path: Path, template: Template | None = None) -> None:
        self.template = template
        self.home = Home(path / "home")
        self.workspace = path / "workspace"
        self.user_home = path / "user"
        """The value of `HOME`: no profile of a shell or setting of a tool on this machine changes what a test sees."""
        self.log = path / "stderr"
        self.home.path.mkdir()
        self.workspace.mkdir()
        self.user_home.mkdir()
        self.log.touch()
        # short, because the addresses of sockets are limited
        self.runtime = Path(tempfile.mkdtemp(prefix="gr-", dir="/tmp"))
        self.run = uuid.uuid4().hex
        self.model: Model
        self.servers: list[Server] = []
        self.trouble_expected = False
        self.kills_expected = False
        self._models: list[Model] = []

    @property
    def cwd(self) -> str:
        return str(self.workspace)

    def play(self, *rules: ScriptRule, top: str = "", more: str = "", wire_api: str = "responses") -> Model:
        """Start a model with these rules, and configure the home for it."""
        self.model = Model(*rules)
        self._models.append(self.model)
        self.home.configure(self.model.base_url, top=top, more=more, wire_api=wire_api)
        return self.model

    def environment(self, **more: str) -> dict[str, str]:
        """Return a server's environment: this one's without anything that leads to an account or another home."""
        foreign = ("CODEX_", "OPENAI_", "GREENROOM_", "PYTHON", "XDG_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        ours = {
            "HOME": str(self.user_home),
            "CODEX_HOME": str(self.home.path),
            "XDG_RUNTIME_DIR": str(self.runtime),
            MARKER: self.run,
        }
        return {**kept, **ours, **more}

    def command(self, *words: str) -> tuple[str, ...]:
        """Return the command with which others start the program, in the environment of this stage."""
        return (*(MODULE if self.template is None else self.template.command), *words)

    @property
    def programs(self) -> Path:
        """Return the directory that others have in `PATH`, with the program by its name, which they start."""
        if self.template is None:
            return SCRIPT.parent
        programs = self.workspace.parent / "programs"
        if not programs.exists():
            programs.mkdir()
            script = programs / SCRIPT.name
            script.write_text(f'#!/bin/sh\nexec {shlex.join(self.template.command)} "$@"\n')
            script.chmod(0o755)
        return programs

    @property
    def program(self) -> str:
        """Return the path of the program that others start."""
        return str(self.programs / SCRIPT.name)

    def start(self, *arguments: str, program: Sequence[str] = PROGRAM, **environment: str) -> Server:
        """Start a server with these arguments and further variables."""
        server = Server((*program, *arguments), self.environment(**environment), self.log, self.template)
        self.servers.append(server)
        return server

    def serve(self, engine: str, *arguments: str, **environment: str) -> Server:
        """Start a server and do the handshake."""
        server = self.start("--engine", engine, *arguments, **environment)
        server.client.initialize()
        return server

    def sockets(self) -> list[str]:
        """Return the contents of this stage's runtime directory."""
        return sorted(str(path.relative_to(self.runtime)) for path in self.runtime.rglob("*") if path.is_socket())

    def left_over(self, within: float = 2.0) -> list[psutil.Process]:
        """Return this stage's processes that are not gone after this many seconds, and kill them."""
        left = processes.remaining(list(processes.marked(self.run)), within)
        for process in left:
            process.kill()
        return left

    def strike(self) -> None:
        """End the servers, and check that nothing of them is left."""
        try:
            self._strike()
        except BaseException:
            for process in processes.marked(self.run):
                process.kill()
            raise
        finally:
            for server in self.servers:
                server.kill()
            for model in self._models:
                model.close()
            shutil.rmtree(self.runtime, ignore_errors=True)

    def _strike(self) -> None:
        for server in self.servers:
            if server.process.poll() is None:
                server.client.hang_up()
                server.client.discard()
                assert server.wait() in (0, HOST_ENDED), self.told()  # 4: its host ended before it did
        left = self.left_over()
        assert not left, f"{[(process.pid, processes.name_of(process)) for process in left]} were left behind"
        killed = self.kills_expected or any(server.process.returncode == -9 for server in self.servers)
        assert killed or not self.sockets()
        if not self.trouble_expected:
            assert not any(words in self.told() for words in TROUBLE), self.told()

    def told(self) -> str:
        """Return the servers' standard error."""
        return self.log.read_text(errors="replace")
