"""Roots of a search that are relative lie in the directory of the client, not of the process."""

import json

import pytest

from greenroom.protocol.jsonrpc import Request
from greenroom.supervisor.frontend.app_server.file_search import placed
from greenroom.supervisor.frontend.client_channel import ClientChannel


@pytest.mark.parametrize(
    ("cwd", "found"), [("/project", ["/project/src", "/other", "/project/"]), ("", ["src", "/other", ""])]
)
def test_relative_roots_are_those_of_the_client(cwd: str, found: list[str]) -> None:
    channel = ClientChannel(lambda _: None, cwd=cwd)
    params = json.dumps({"query": "q", "roots": ["src", "/other", ""], "cancellationToken": None}).encode()
    request = placed(Request(1, b"1", "fuzzyFileSearch", params), channel.directory)
    assert json.loads(request.params or b"") == {"query": "q", "roots": found, "cancellationToken": None}


@pytest.mark.parametrize("params", [None, b"[]", b'{"roots":7}', b"\xff"])
def test_what_the_search_refuses_is_left_to_it(params: bytes | None) -> None:
    request = Request(1, b"1", "fuzzyFileSearch", params)
    assert placed(request, lambda root: root) is request
