"""The revision without handshake: what requests say of their clients, and the form of results."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import methods, version

from greenroom.protocol.jsonrpc import INVALID_PARAMS, encode
from greenroom.protocol.mcp import stateless
from greenroom.protocol.mcp.handshake import MODERN_VERSION_KEY

INFO = {"name": "tester", "version": "1"}
SERVER = {"name": "us", "version": "2"}


def params(meta: object) -> bytes:
    return encode({"name": "x", "_meta": meta})


def meta(
    capabilities: object = None, client: object = INFO, spoken: object = stateless.VERSIONS[0]
) -> dict[str, object]:
    return {
        MODERN_VERSION_KEY: spoken,
        stateless.CAPABILITIES_KEY: capabilities or {},
        stateless.CLIENT_INFO_KEY: client,
        "progressToken": 1,
    }


def envelope(capabilities: object) -> stateless.RequestEnvelope:
    found = stateless.read_envelope(params(meta(capabilities)))
    assert found is not None
    return found


def dressed(method: str, result: object) -> Any:
    return json.loads(stateless.dress(method, encode(result), SERVER))


def test_the_versions_are_those_of_the_official_types() -> None:
    assert stateless.VERSIONS == version.MODERN_PROTOCOL_VERSIONS
    assert stateless.CACHEABLE >= methods.CACHEABLE_METHODS


def test_an_envelope_says_who_the_client_is_and_what_it_can() -> None:
    found = stateless.read_envelope(params(meta({"elicitation": {}})))
    assert found is not None
    assert found.version == "2026-07-28"
    assert found.client_info is not None
    assert (found.client_info.name, found.client_info.version) == ("tester", "1")
    assert found.can_ask()


@pytest.mark.parametrize("text", [None, b"null", b"{}", b"[1]", b'{"_meta":null}', b'{"_meta":{"progressToken":1}}'])
def test_a_request_that_names_no_version_is_of_another_era(text: bytes | None) -> None:
    assert stateless.read_envelope(text) is None


def test_the_name_of_the_version_elsewhere_means_nothing() -> None:
    assert stateless.read_envelope(encode({"arguments": {"prompt": MODERN_VERSION_KEY}})) is None


@pytest.mark.parametrize(
    "broken",
    [
        {MODERN_VERSION_KEY: "2026-07-28"},
        {MODERN_VERSION_KEY: 7, stateless.CAPABILITIES_KEY: {}},
        {MODERN_VERSION_KEY: "2026-07-28", stateless.CAPABILITIES_KEY: None},
        {MODERN_VERSION_KEY: None, stateless.CAPABILITIES_KEY: {}},
    ],
)
def test_half_an_envelope_is_refused(broken: object) -> None:
    with pytest.raises(stateless.EnvelopeError) as refused:
        stateless.read_envelope(params(broken))
    assert refused.value.code == INVALID_PARAMS


def test_an_unknown_version_is_refused_with_the_known_ones() -> None:
    with pytest.raises(stateless.EnvelopeError) as refused:
        stateless.read_envelope(params(meta(spoken="2031-01-01")))
    assert refused.value.code == stateless.UNSUPPORTED_VERSION == -32022
    assert refused.value.data == {"supported": ("2026-07-28",), "requested": "2031-01-01"}


@pytest.mark.parametrize("client", [None, "me", {}, {"name": "x"}])
def test_nothing_depends_on_the_clients_name(client: object) -> None:
    found = stateless.read_envelope(params(meta(client=client)))
    assert found is not None
    assert found.client_info is None


@pytest.mark.parametrize(
    ("capabilities", "can_ask"),
    [
        ({}, False),
        ({"elicitation": None}, False),
        ({"elicitation": {}}, True),
        ({"elicitation": {"form": {}}}, True),
        ({"elicitation": {"url": {}, "form": {}}}, True),
        ({"elicitation": {"url": {}}}, False),
    ],
)
def test_only_a_client_that_shows_forms_can_be_asked(capabilities: object, can_ask: bool) -> None:
    assert envelope(capabilities).can_ask() is can_ask


def test_only_a_client_that_says_so_is_sent_addresses() -> None:
    assert envelope({"elicitation": {"url": {}}}).can_ask("url")
    assert not envelope({"elicitation": {}}).can_ask("url")


@pytest.mark.parametrize(
    ("capabilities", "has"), [({}, False), ({"extensions": {"a/b": {}}}, True), ({"extensions": 7}, False)]
)
def test_extensions_are_declared_by_name(capabilities: object, has: bool) -> None:
    assert envelope(capabilities).has_extension("a/b") is has


@pytest.mark.parametrize("method", sorted(stateless.CACHEABLE))
def test_lists_say_how_long_they_hold(method: str) -> None:
    result = dressed(method, {"items": [1]})
    assert result["items"] == [1]
    assert result["resultType"] == "complete"
    assert result["cacheScope"] == "private"
    assert result["ttlMs"] == (stateless.LASTING_MS if method in stateless.LASTING else 0)
    assert result["_meta"] == {stateless.SERVER_INFO_KEY: SERVER}


@given(st.dictionaries(st.sampled_from(["resultType", "_meta", "ttlMs", "cacheScope", "content"]), st.just({"x": 1})))
def test_what_a_result_says_itself_stays(result: dict[str, object]) -> None:
    kept = dressed("tools/list", result)
    assert {name: kept[name] for name in result if name != "_meta"} == {
        name: value for name, value in result.items() if name != "_meta"
    }
    assert ("x" in kept["_meta"]) is ("_meta" in result)
