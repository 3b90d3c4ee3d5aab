"""The first line of a client on the host's socket, by which it names its protocol; and the answer to it.

A client may begin with a hello, one JSON object on a line (`ClientHello`). The host answers it with one line, made by
`accepted_line` or `refused_line`, before any other traffic. A client that begins with anything else speaks MCP from its
first byte on, as at standard input. What decides is how a line begins, so a hello has `protocol` as its first member
and no white space before its value.
"""

from typing import Final

import msgspec

from greenroom.protocol.version import __version__

HELLO_VERSION: Final = 1
"""The version of the hello. A host refuses every other one, and names both."""
BEGINNING: Final = b'{"protocol":'
"""How a hello begins."""
LONGEST: Final = 16 * 1024
"""Bytes of a hello, newline included."""
MCP: Final = "mcp"


class ClientHello(msgspec.Struct, frozen=True):
    """A hello. Members that this version does not know are ignored."""

    protocol: str = MCP
    """The protocol of all that follows."""
    version: int = HELLO_VERSION
    """`HELLO_VERSION` of the client's program."""
    program: str = ""
    """The version of the client's program, for people."""
    home: str = ""
    """`greenroom.runtime.sockets.host_socket.home_id` of the Codex home that the client means; empty: any will do."""
    cwd: str = ""
    """The client's own directory, in which conversations work that name none; empty: the host's."""


class HelloError(Exception):
    """The client cannot be served. The text is for people."""

    def __init__(self, kind: str, text: str) -> None:
        """`kind` is stable, for programs: `version`, `protocol`, `home`, `limit`, `peer`, `malformed`, `leaving`."""
        super().__init__(text)
        self.kind = kind


def may_be_hello(data: bytes) -> bool:
    """Tell whether the first bytes of a client are those of a hello, or may become so."""
    return data.startswith(BEGINNING) or BEGINNING.startswith(data)


def read_hello(line: bytes) -> ClientHello:
    """Return the hello of a complete line. Raises `HelloError`."""
    try:
        hello = msgspec.json.decode(line, type=ClientHello)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise HelloError("malformed", f"the first line is no hello: {error}") from None
    if hello.version != HELLO_VERSION:
        text = (
            f"this host (greenroom {__version__}) takes a hello of version {HELLO_VERSION}, "
            f"and the client (greenroom {hello.program or 'of unknown version'}) sent one of version {hello.version}; "
            "use the same release for both"
        )
        raise HelloError("version", text)
    return hello


def accepted_line() -> bytes:
    """Return the line that lets a client begin."""
    return _line({"ok": True, "version": HELLO_VERSION, "program": __version__})


def refused_line(error: HelloError) -> bytes:
    """Return the line after which the connection ends."""
    return _line(
        {"ok": False, "kind": error.kind, "error": str(error), "version": HELLO_VERSION, "program": __version__}
    )


def _line(answer: dict[str, object]) -> bytes:
    return msgspec.json.encode(answer) + b"\n"
