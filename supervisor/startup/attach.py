"""`greenroom mcp-server --attach`, and `app-server --attach`: joins the running host of the home, as a pipe that passes
bytes on unparsed.

It is imported before everything else and has to be quick, so it imports neither `typing`, `socket`, `signal` nor a JSON
library, which take longer than all that it does (docs/decisions/0030-one-host-for-many-clients.md).
"""

import _signal  # type: ignore[import-not-found]
import _socket
import os
import select
import sys

from greenroom.protocol.version import __version__
from greenroom.runtime.sockets.host_socket import candidates, home_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MODES = ("auto", "off", "require")
"""`auto`: where a host runs. `require`: fail where none does."""
FLAG = "--attach"
HOST_ENDED = 4
"""The exit code where the host ended before the client."""
CANNOT = 1
"""The exit code where there is no host, or it refuses the client."""
WRONG_OPTIONS = 2
TIMEOUT = 30.0
"""Seconds that a host has for the answer to a hello; systemd may have to start it first."""
READ_SIZE = 256 * 1024
LONGEST_ANSWER = 16 * 1024
KEY = "greenroom.attach"
PROTOCOLS = {"mcp-server": "mcp", "app-server": "app-server"}
"""What a host is told of the client of a command."""
LISTEN = ("--listen", "stdio://")
"""How clients of `app-server` say where they are; another place is for the real parser to refuse."""
_HELLO_VERSION = 1
_ACCEPTED = b'{"ok":true'
_WRONG_HOME = b'"kind":"home"'


_tried = False


def join_by(command: str, words: "Sequence[str]") -> int | None:
    """Join a host if the words after the command or the file say so in a plain form; return the exit code.

    `None`: this process is to go on, and read its command line in full.
    """
    mode, others = _mode_of(command, words)
    if mode is None:
        home = _home(os.environ)
        mode = "off" if home is None else mode_in_file(home)
    return join_host(command, mode, others)


def mode_given(flag: str | None, assignments: "Sequence[str]") -> str:
    """Return the mode by the option, the values of `-c`, or the file, in this order."""
    given = [mode for mode in map(_mode_in, assignments) if mode is not None]
    home = _home(os.environ)
    return flag or (given[-1] if given else "off" if home is None else mode_in_file(home))


def options_besides(assignments: "Sequence[str]") -> list[str]:
    """Return the values of `-c`, as given, that only a server of its own could honour."""
    return [f"-c {assignment}" for assignment in assignments if _mode_in(assignment) is None]


def join_host(command: str, mode: str, others: "Sequence[str]", on_joined: "Callable[[], object]" = int) -> int | None:
    """Join the host of the home; return the exit code, or `None` where this process is to be a server itself.

    `others` are options that only a server of its own could honour. It looks for a host once, and calls `on_joined`
    when one has let this process in.
    """
    global _tried  # noqa: PLW0603 - the command line is read twice where its form is not plain
    if mode == "off" or _tried:
        return None
    _tried = True
    if others:
        if mode == "auto":
            return None
        _print(f"{', '.join(others)} cannot be given to a host that runs already; give it to `greenroom serve`")
        return WRONG_OPTIONS
    home = _home(os.environ)
    found = None if home is None else find_host(home, mode, PROTOCOLS[command])
    if found is None:
        if mode == "auto":
            return None
        _print(f"no host serves {home or 'the Codex home'}; `greenroom serve` starts one")
        return CANNOT
    if isinstance(found, int):
        return None if mode == "auto" else found
    on_joined()
    return _Pipe(*found).run()


def mode_in_file(home: str) -> str:
    """Return `greenroom.attach` of the home's configuration; `off` where it is missing, or the file cannot be read."""
    try:
        with open(os.path.join(home, "config.toml"), "rb") as file:
            data = file.read()
    except OSError:
        return "off"
    if b"attach" not in data:
        return "off"
    import tomllib

    try:
        table = tomllib.loads(data.decode("utf-8-sig")).get("greenroom")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):  # reported by the server, in every call
        return "off"
    mode = table.get("attach", "off") if isinstance(table, dict) else "off"
    return mode if mode in MODES else "off"


def _mode_of(command: str, words: "Sequence[str]") -> tuple[str | None, list[str]]:
    """Return the mode that the words choose, if any, and the options that a host could not honour.

    Words that need the real parser choose `off`: it will find what they mean (`mode_given`).
    """
    flag: str | None = None
    assignments: list[str] = []
    others: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == FLAG and not (rest and rest[0] in MODES):
            flag = "require"
        elif word.startswith(FLAG + "=") and word[len(FLAG) + 1 :] in MODES:
            flag = word[len(FLAG) + 1 :]
        elif word in ("-c", "--config") and rest:
            assignments.append(rest.pop(0))
        elif word == "--oss":
            others.append(word)
        elif word == "--engine" and rest:
            others.append(f"{word} {rest.pop(0)}")
        elif (word == "--log-level" and rest) or (
            command == "app-server" and word == LISTEN[0] and rest[:1] == [LISTEN[1]]
        ):
            rest.pop(0)
        else:
            return "off", []
    given = [mode for mode in map(_mode_in, assignments) if mode is not None]
    return flag or (given[-1] if given else None), options_besides(assignments) + others


def _mode_in(assignment: str) -> str | None:
    """Return the mode that a `KEY=VALUE` chooses; `None` where it is about another key, or is wrong."""
    key, _, value = assignment.partition("=")
    mode = value.strip().strip("\"'")
    return mode if key.strip() == KEY and mode in MODES else None


def home_of() -> str | None:
    """Return the path of the Codex home of this process, as `_home` does."""
    return _home(os.environ)


def _home(environment: "Mapping[str, str]") -> str | None:
    """Return the path of the Codex home, whose links need not be resolved; `None` where it has none."""
    chosen = environment.get("CODEX_HOME", "")
    if chosen:
        return chosen
    home = os.path.expanduser("~")
    return os.path.join(home, ".codex") if home != "~" else None


def find_host(home: str, mode: str, protocol: str = "mcp") -> tuple[_socket.socket, bytes] | int | None:
    """Return a host that has let this process in, and what it has sent besides; a code where it has refused."""
    hello = _hello(home, protocol)
    if hello is None:
        _print("the current directory cannot be named to the host: its path is gone, or no UTF-8")
        return CANNOT
    for path in candidates(home, os.environ):
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            connection.connect(path)
            connection.settimeout(TIMEOUT)
            answer, rest = _answer(connection, hello)
        except OSError:  # nothing listens there, or it has just ended
            connection.close()
            continue
        if answer.startswith(_ACCEPTED):
            connection.setblocking(False)
            return connection, rest
        connection.close()
        if _WRONG_HOME in answer:
            continue
        _print(f"the host at {path} refuses this client: {_error_in(answer)}")
        if mode == "auto":
            _print("going on as a server of its own")
        return CANNOT
    return None


def _answer(connection: _socket.socket, hello: bytes) -> tuple[bytes, bytes]:
    """Send a hello; return the line that answers it, and what follows. Raises `OSError`."""
    try:
        connection.sendall(hello)
    except (BrokenPipeError, ConnectionResetError):  # a host that has refused already: its answer can still be read
        received = connection.recv(READ_SIZE)
    else:
        received = b""
    while b"\n" not in received and len(received) < LONGEST_ANSWER:
        data = connection.recv(READ_SIZE)
        if not data:
            raise ConnectionResetError
        received += data
    line, _, rest = received.partition(b"\n")
    return line, rest


def _hello(home: str, protocol: str) -> bytes | None:
    """Return the line, or `None` where the current directory cannot be named."""
    try:
        cwd = os.getcwd().encode("utf-8").decode("utf-8")
        identity = home_id(home)
    except FileNotFoundError:
        cwd, identity = "", ""
    except UnicodeEncodeError:
        return None
    members = f'"protocol":{_quoted(protocol)},"version":{_HELLO_VERSION},"program":{_quoted(__version__)}'
    return f'{{{members},"home":{_quoted(identity)},"cwd":{_quoted(cwd)}}}\n'.encode()


def _quoted(text: str) -> str:
    """Return a JSON string (RFC 8259, section 7)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(one if one >= " " else f"\\u{ord(one):04x}" for one in escaped) + '"'


def _error_in(answer: bytes) -> str:
    import json

    try:
        return str(json.loads(answer)["error"])
    except (ValueError, KeyError, TypeError):
        return repr(answer[:200])


def _print(text: str) -> None:
    sys.stderr.write(f"greenroom: {text}\n")


class _Way:
    """One direction of bytes. It reads only while nothing waits to be written."""

    def __init__(self, source: int, target: int, waiting: bytes = b"") -> None:
        self.source, self.target = source, target
        self.waiting = memoryview(waiting)
        self.has_ended = False
        """Whether the source has ended, or the target takes no more."""

    @property
    def is_done(self) -> bool:
        """Whether nothing will be written any more."""
        return self.has_ended and not self.waiting

    def go_on(self, ready: "Mapping[int, int]") -> None:
        """Write what waits, or else read more, where that does not block."""
        if self.waiting:
            if self.target in ready:
                self._write()
        elif not self.has_ended and self.source in ready:
            self._read()

    def _read(self) -> None:
        try:
            data = os.read(self.source, READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.waiting = memoryview(data)
        self.has_ended = not data
        self._write()

    def _write(self) -> None:
        try:
            if self.waiting:
                self.waiting = self.waiting[os.write(self.target, self.waiting) :]
        except BlockingIOError:
            return
        except OSError:
            self.waiting = memoryview(b"")
            self.has_ended = True


class _Pipe:
    """Standard input and output at one end, a host at the other."""

    def __init__(self, host: _socket.socket, received: bytes) -> None:
        self._host = host
        self._up = _Way(0, host.fileno())
        self._down = _Way(host.fileno(), 1, received)
        self._client_left = False

    def run(self) -> int:
        """Pass bytes on until both directions have ended; return the exit code."""
        blocking = [(descriptor, os.get_blocking(descriptor)) for descriptor in (0, 1)]
        for descriptor, _ in blocking:
            os.set_blocking(descriptor, False)
        try:
            self._pass_on(_signals())
        finally:
            for descriptor, was_blocking in blocking:
                os.set_blocking(descriptor, was_blocking)
            self._host.close()
        if self._client_left:
            return 0
        _print("the host has ended")
        return HOST_ENDED

    def _pass_on(self, signals: int) -> None:
        """Return at the end of the host, or at the second signal."""
        while not self._down.is_done:
            wanted = {signals: select.POLLIN}
            for way in (self._up, self._down):
                if way.waiting:
                    wanted[way.target] = wanted.get(way.target, 0) | select.POLLOUT
                elif not way.has_ended:
                    wanted[way.source] = wanted.get(way.source, 0) | select.POLLIN
            ready = _ready(wanted)
            if signals in ready:
                if self._client_left or len(os.read(signals, 64)) > 1:
                    return
                self._up.waiting, self._up.has_ended = memoryview(b""), True
            for way in (self._up, self._down):
                way.go_on(ready)
            if self._up.is_done and not self._client_left:
                self._leave()

    def _leave(self) -> None:
        """Tell the host that the client has left; its last answers are passed on."""
        self._client_left = True
        try:
            self._host.shutdown(_socket.SHUT_WR)
        except OSError:  # the host has ended at the same time
            return


def _signals() -> int:
    """Return a descriptor that can be read when a signal asks this process to end."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    _signal.set_wakeup_fd(writer)
    for number in (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP):
        _signal.signal(number, lambda *_: None)
    return reader


def _ready(wanted: dict[int, int]) -> "Mapping[int, int]":
    poll = select.poll()
    for descriptor, events in wanted.items():
        poll.register(descriptor, events)
    return dict(poll.poll())
