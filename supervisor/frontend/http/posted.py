"""The body of a POST as JSON-RPC messages, and what the revisions say of it. Free of I/O."""

from typing import Final, NamedTuple

import msgspec

from greenroom.protocol.jsonrpc import INVALID_REQUEST, PARSE_ERROR, Malformed, Notification, Peer, Request, Response
from greenroom.protocol.mcp.handshake import HANDSHAKE_VERSIONS, MODERN_VERSION_KEY
from greenroom.supervisor.frontend.http.refusal import RefusedRequest
from greenroom.supervisor.frontend.http.request_head import RequestHead

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"


class Posted(NamedTuple):
    """What a client has posted."""

    messages: tuple[Request | Notification | Response, ...]
    malformed: tuple[Malformed, ...]
    """Members of a batch that are no messages."""
    is_batch: bool

    @property
    def requests(self) -> list[Request]:
        """Those that are to be answered."""
        return [message for message in self.messages if isinstance(message, Request)]

    @property
    def only(self) -> Request | Notification | Response | None:
        """The one message, where it is one."""
        return None if self.is_batch else self.messages[0]


def check_form(head: RequestHead) -> None:
    """Check what the head of a POST says of its body and of the answer. Raises `RefusedRequest`."""
    kind = (head.one("content-type") or "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise RefusedRequest(415, f"Unsupported Media Type: the body must be {JSON}")
    if (head.one("content-encoding") or "identity").lower() != "identity":
        raise RefusedRequest(415, "Unsupported Media Type: the body must not be compressed")
    missing = [kind for kind in (JSON, EVENT_STREAM) if not accepts(head, kind)]
    if missing:
        raise RefusedRequest(406, f"Not Acceptable: the header Accept must name {' and '.join(missing)}")


def accepts(head: RequestHead, kind: str) -> bool:
    """Tell whether the header `Accept` allows a media type."""
    family = kind.partition("/")[0]
    for part in head.all("accept").split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if name in (kind, f"{family}/*", "*/*") and not any(_is_zero(parameter) for parameter in parameters):
            return True
    return False


def _is_zero(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() == "q" and value.strip().strip("0.") == ""


def read_body(body: bytes) -> Posted:
    """Return the messages. Raises `RefusedRequest` where there is none, or the only one is malformed."""
    text = body.strip(b" \t\r\n")
    is_batch = text.startswith(b"[")
    peer = Peer()
    peer.accept_batches = True
    if b"\n" in text:
        text = _on_one_line(text)
    received = list(peer.receive(text + b"\n"))
    malformed = tuple(message for message in received if isinstance(message, Malformed))
    messages = tuple(message for message in received if not isinstance(message, Malformed))
    if not received:
        raise RefusedRequest(400, "Parse error: the body is empty", PARSE_ERROR)
    if not messages:
        raise MalformedBody(malformed[0])
    return Posted(messages, malformed, is_batch)


class MalformedBody(RefusedRequest):
    """The body is no message; its answer is the peer's own."""

    def __init__(self, message: Malformed) -> None:
        super().__init__(400, message.reason)
        self.body = message.reply.rstrip()


def _on_one_line(text: bytes) -> bytes:
    """Return a JSON text without line breaks, which are blanks there; none can be within a string."""
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedRequest(400, f"Parse error: {error}", PARSE_ERROR) from None
    return text.replace(b"\n", b" ")


def is_stateless(head: RequestHead, posted: Posted | None) -> bool:
    """Tell whether a request is of the revision without sessions, or of one that is not known at all."""
    version = head.one("mcp-protocol-version")
    if version is not None:
        return version not in HANDSHAKE_VERSIONS
    only = None if posted is None else posted.only
    key = MODERN_VERSION_KEY.partition("/")[0].encode()
    if not isinstance(only, Request) or only.method == "initialize" or key not in (only.params or b""):
        return False
    return _names_version(only.params or b"null")


class _Params(msgspec.Struct):
    meta: dict[str, msgspec.Raw] = msgspec.field(default_factory=dict, name="_meta")


def _names_version(params: bytes) -> bool:
    try:
        return MODERN_VERSION_KEY in msgspec.json.decode(params, type=_Params).meta
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def refuse_batch() -> RefusedRequest:
    """Return the refusal of a batch where the revision has none."""
    return RefusedRequest(400, "Invalid Request: batches are not part of this protocol version", INVALID_REQUEST)
