"""The prelaunch of a server: its environment, its lifeline, and a fork server that begins its imports.

A first call waits for the imports of the fork server, so it is started before the command line is read, and before
anything slow is imported here, be it `typing`, `signal` or the class of an error. This assumes the fork engine; the
fork server is ended again if the spawn engine is configured.
"""

import os
import sys

from greenroom.config.home import codex_home, load_dotenv
from greenroom.protocol.secrecy import is_secret_name
from greenroom.runtime.log.log_format import VARIABLE, format_on
from greenroom.runtime.originator import ORIGINATOR
from greenroom.runtime.process.launch import FORK_SERVER, Launched, Lifeline, launch
from greenroom.supervisor.command_words import APP_SERVER, CONFIG_FLAGS, EXEC, GENERATE_SCHEMA, SERVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORK_IS_SAFE = sys.platform.startswith("linux")
EXEC_ORIGINATOR = "codex_exec"
"""The name of a single run."""
OTHERWISE = "spawn"
"""The word that has to be in the command line or the file to configure the other engine."""


class Prelaunch:
    """Made once, at the start."""

    __slots__ = ("environment", "fork_server", "home", "lifeline")

    def __init__(
        self, home: str, environment: "Mapping[str, str]", lifeline: Lifeline, fork_server: Launched | None = None
    ) -> None:
        """`environment` is that of this process, with the home's `.env` in it; `fork_server` is `None` where none has
        been started yet.
        """
        self.home, self.environment, self.lifeline, self.fork_server = home, environment, lifeline, fork_server

    @classmethod
    def prepare(cls) -> "Prelaunch":
        """Read the environment, and start nothing. Raises `ConfigError`."""
        environment, home = environment_and_home()
        return cls(home, environment, Lifeline.create())

    def for_command(self, words: "Sequence[str]") -> "Prelaunch":
        """Let the processes of a single run bear its name to the model's servers, unless the caller has set another.

        All processes learn the form of their log lines, if the command line names one.
        """
        single = {ORIGINATOR: EXEC_ORIGINATOR} if split_settings(words)[1][:1] == [EXEC] else {}
        form = format_on(words)
        chosen = {} if form is None else {VARIABLE: form}
        return Prelaunch(self.home, {**single, **self.environment, **chosen}, self.lifeline, self.fork_server)

    @classmethod
    def launch(cls, words: "Sequence[str]") -> "Prelaunch | None":
        """Start the fork server for the command that serves, unless the spawn engine may be configured.

        Errors of the environment are reported when the command line has been read.
        """
        if not _serves(words) or not FORK_IS_SAFE or any(OTHERWISE in word for word in words) or not _has_client():
            return None
        try:
            prepared = cls.prepare().for_command(words)
        except Exception as error:
            from greenroom.protocol.errors import GreenroomError

            if not isinstance(error, GreenroomError):
                raise
            return None
        if OTHERWISE not in _text_of_file(prepared.home):
            prepared.fork_server = launch(FORK_SERVER, without_secrets(prepared.environment), prepared.lifeline)
        return prepared

    def abort(self) -> None:
        """End the fork server, which is not needed."""
        if self.fork_server is not None:
            import signal
            from contextlib import suppress

            self.fork_server.control.close()
            with suppress(ProcessLookupError):
                os.kill(self.fork_server.pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self.fork_server.pid, 0)


def environment_and_home() -> "tuple[Mapping[str, str], str]":
    """Return this process's environment with the home's `.env` in it, and the home. Raises `ConfigError`."""
    home = codex_home(os.environ)
    if as_text(home) != home:
        from greenroom.protocol.errors import ConfigError

        raise ConfigError(f"CODEX_HOME is not valid UTF-8: {as_text(home)}")
    return load_dotenv(home, os.environ), home


def without_secrets(environment: "Mapping[str, str]") -> dict[str, str]:
    """Return the variables that every process may have."""
    return {name: value for name, value in environment.items() if not is_secret_name(name)}


def as_text(value: str) -> str:
    """Return a value from the operating system with the replacement character for bytes that are not UTF-8."""
    return os.fsencode(value).decode("utf-8", "replace")


def split_settings(words: "Sequence[str]") -> tuple[list[str], list[str]]:
    """Return the settings before the command of a command line, as Codex allows them, and the rest from the command."""
    rest, settings = list(words), []
    while rest and rest[0] in CONFIG_FLAGS:
        settings += rest[1:2]
        del rest[:2]
    return settings, rest


def _serves(words: "Sequence[str]") -> bool:
    """Tell whether a command line starts a server."""
    rest = split_settings(words)[1]
    return rest[:1] in ([SERVER], [EXEC]) or (rest[:1] == [APP_SERVER] and GENERATE_SCHEMA not in rest)


def _has_client() -> bool:
    """Tell whether standard input and output are open: else new descriptors would get their numbers."""
    try:
        for descriptor in range(3):
            os.fstat(descriptor)
    except OSError:
        return False
    return True


def _text_of_file(home: str) -> str:
    try:
        with open(os.path.join(home, "config.toml"), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
