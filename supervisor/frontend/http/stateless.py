"""The clients without sessions (MCP 2026-07-28): each POST is a request of its own, and its connection is its life.

They share one `Connection`, since a request may continue what another began: a call that waits for its user, a task.
Ids of requests are the clients' own and may be the same; here each gets one that is unique.
"""

import base64
import binascii
import itertools
import re
from collections.abc import Callable
from typing import Final, NoReturn

import msgspec

from greenroom.protocol.jsonrpc import INVALID_PARAMS, METHOD_NOT_FOUND, Notification, Request, encode
from greenroom.protocol.mcp.handshake import MODERN_VERSION_KEY
from greenroom.protocol.mcp.request_state import run_named
from greenroom.protocol.mcp.stateless import UNSUPPORTED_VERSION, VERSIONS, EnvelopeError, read_envelope
from greenroom.protocol.methods import FOREIGN_TO_STATELESS
from greenroom.supervisor.frontend import server_run as runs
from greenroom.supervisor.frontend.connection import Connection
from greenroom.supervisor.frontend.http.event_log import EventLog
from greenroom.supervisor.frontend.http.posted import Posted
from greenroom.supervisor.frontend.http.refusal import HEADER_MISMATCH, STATUS_BY_CODE, RefusedRequest
from greenroom.supervisor.frontend.http.request_head import METHOD, NAME, VERSION, RequestHead
from greenroom.supervisor.frontend.http.streams import NOTHING_KEPT, ClientStreams
from greenroom.supervisor.frontend.listener import ClientIntake
from greenroom.supervisor.frontend.mcp.front import Front

NAMED_BY: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""The member of the params that the header `Mcp-Name` repeats, by methods."""
_ENCODED: Final = re.compile(r"=\?base64\?(.*)\?=")


class StatelessClients:
    """Their requests. Must be made on the running loop."""

    def __init__(self, make_front: Callable[[], Front], intake: ClientIntake, most: int) -> None:
        """`most` requests may be open at a time."""
        self._make_front, self._intake, self._most = make_front, intake, most
        self.streams = ClientStreams(NOTHING_KEPT, is_shared=True)
        self._front: Front | None = None
        self._ids = itertools.count(1)

    def post(self, head: RequestHead, posted: Posted) -> tuple[EventLog, Request] | None:
        """Handle a message; return the stream of its answer and the request with its id here.

        `None` stands for a notification. Raises `RefusedRequest`.
        """
        message = posted.only
        if (version := head.one(VERSION)) is not None:
            _check_version(version)
        if isinstance(message, Notification):
            return None  # the revision has none for servers; a call is cancelled by closing its connection
        if not isinstance(message, Request):
            raise RefusedRequest(400, "Invalid Request: one request or notification is expected")
        check_request(head, message)
        if self.streams.open_requests >= self._most:
            text = f"overloaded: {self.streams.open_requests} requests are open already; try again later"
            raise RefusedRequest(429, text, -32000, headers={"Retry-After": "1"}, raw_id=message.raw_id)
        request = Request(f"http-{next(self._ids)}", message.raw_id, message.method, message.params)
        stream = self.streams.begin([request.id])
        self._shared_front().take(request)
        return stream, request

    def cancel(self, request: Request) -> None:
        """Cancel a request whose connection is gone, if it is still open."""
        if self.streams.is_open(request.id):
            params = encode({"requestId": request.id, "reason": "the connection was closed"})
            self._shared_front().take(Notification("notifications/cancelled", params))

    def is_here(self, request: Request) -> bool | None:
        """Tell whether what a request continues is in this process; `None` where it continues nothing."""
        params = _continued(request.params)
        if request.method == "tools/call" and params.request_state is not None:
            run = run_named(params.request_state)
            return None if run is None else run == runs.THIS
        if request.method.startswith("tasks/") and params.task_id is not None:
            return self._shared_front().holds_task(params.task_id)
        return None

    def let_go(self) -> None:
        """End the connection that the requests share, if none is open; the next one makes another."""
        if self._front is not None and not self.streams.open_requests:
            self.streams.end()
            self.streams = ClientStreams(NOTHING_KEPT, is_shared=True)
            self._front = None

    def _shared_front(self) -> Front:
        if self._front is None:
            self._front = self._make_front()
            self._front.channel.send_in_streams(self.streams)
            self._intake.attach(Connection(self._front, self.streams.open_transport))
        return self._front


class _Continued(msgspec.Struct):
    request_state: str | None = msgspec.field(default=None, name="requestState")
    task_id: str | None = msgspec.field(default=None, name="taskId")


def _continued(params: bytes | None) -> _Continued:
    try:
        return msgspec.json.decode(params or b"{}", type=_Continued)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Continued()


def check_request(head: RequestHead, request: Request) -> None:
    """Check that the headers say what the body says, and that the revision is known. Raises `RefusedRequest`."""
    if request.method in FOREIGN_TO_STATELESS:
        _refuse(request, METHOD_NOT_FOUND, f"method not found: {request.method}", {"method": request.method})
    try:
        params = msgspec.json.decode(request.params or b"{}", type=dict[str, msgspec.Raw])
        meta = msgspec.json.decode(params.get("_meta", b"{}"), type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        _refuse(request, INVALID_PARAMS, "params and params._meta must be objects")
    if MODERN_VERSION_KEY not in meta:
        _refuse(request, INVALID_PARAMS, f"params._meta lacks {MODERN_VERSION_KEY}")
    told = {VERSION: meta[MODERN_VERSION_KEY], METHOD: encode(request.method)}
    if (named_by := NAMED_BY.get(request.method)) is not None and named_by in params:
        told[NAME] = params[named_by]
    for header, value in told.items():
        if decode_header(head.one(header)) != _text(value):
            _refuse(request, HEADER_MISMATCH, f"the header {header} does not match the body")
    try:
        read_envelope(request.params)
    except EnvelopeError as error:
        _refuse(request, error.code, str(error), error.data)


def decode_header(value: str | None) -> str | None:
    """Return the value of a header that may be encoded, as `=?base64?…?=`; `None` where it is absent or no text."""
    encoded = _ENCODED.fullmatch(value or "")
    if encoded is None:
        return value
    try:
        raw = base64.b64decode(encoded[1], validate=True)
        return raw.decode() if base64.b64encode(raw).decode() == encoded[1] else None
    except (binascii.Error, UnicodeError):
        return None


def _text(value: bytes) -> object:
    """Return what a header must say for a member of the body; nothing that is no text can be said."""
    try:
        return msgspec.json.decode(value, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return value


def _check_version(version: str) -> None:
    if version not in VERSIONS:
        facts = {"supported": VERSIONS, "requested": version}
        raise RefusedRequest(400, "Unsupported protocol version", UNSUPPORTED_VERSION, facts)


def _refuse(request: Request, code: int, text: str, data: object = None) -> NoReturn:
    raise RefusedRequest(STATUS_BY_CODE.get(code, 400), text, code, data, raw_id=request.raw_id)
