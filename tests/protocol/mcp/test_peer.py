"""Each request is answered once, in the form of its era, and not at all where its era says so."""

import json
from collections.abc import Callable

import pytest

from greenroom.protocol.errors import LocalProtocolError
from greenroom.protocol.jsonrpc import Request
from greenroom.protocol.mcp.peer import McpPeer
from greenroom.protocol.mcp.stateless import RequestEnvelope

ENVELOPE = RequestEnvelope("2026-07-28", None, {})


def received(peer: McpPeer, line: bytes = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}') -> Request:
    (message,) = peer.receive(line + b"\n")
    assert isinstance(message, Request)
    return message


def test_a_request_after_a_handshake_is_answered_as_it_is() -> None:
    peer = McpPeer()
    assert peer.respond(received(peer), b'{"tools":[]}') == b'{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}\n'


def test_a_request_without_handshake_is_answered_in_its_form() -> None:
    peer = McpPeer()
    request = received(peer)
    peer.enter(request, ENVELOPE)
    assert peer.envelope_of(request) is ENVELOPE
    result = json.loads(peer.respond(request, b'{"tools":[]}'))["result"]
    assert (result["tools"], result["resultType"], result["cacheScope"]) == ([], "complete", "private")
    assert peer.envelope_of(request) is None


def respond(peer: McpPeer, request: Request) -> bytes:
    return peer.respond(request, b"{}")


def fail(peer: McpPeer, request: Request) -> bytes:
    return peer.fail(request, -1, "no")


@pytest.mark.parametrize("answer", [respond, fail])
def test_a_cancelled_request_without_handshake_is_not_answered(answer: Callable[[McpPeer, Request], bytes]) -> None:
    peer = McpPeer()
    request = received(peer)
    peer.enter(request, ENVELOPE)
    peer.give_up(1)
    assert answer(peer, request) == b""
    with pytest.raises(LocalProtocolError):
        answer(peer, request)
    assert answer(peer, received(peer)), "the id is free again, for either era"


def test_a_cancelled_request_after_a_handshake_is_answered() -> None:
    peer = McpPeer()
    request = received(peer)
    peer.give_up(1)
    assert peer.fail(request, -1, "no")
