"""Addresses to listen on, and the names that stand for them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from greenroom.protocol.errors import ConfigError
from greenroom.supervisor.frontend.http.address import ListenAddress, Names, parse_address


@pytest.mark.parametrize(
    ("text", "address", "is_loopback"),
    [
        ("8765", ("127.0.0.1", 8765), True),
        ("0", ("127.0.0.1", 0), True),
        ("localhost:1", ("localhost", 1), True),
        ("127.8.8.8:1", ("127.8.8.8", 1), True),
        ("[::1]:1", ("::1", 1), True),
        ("0.0.0.0:1", ("0.0.0.0", 1), False),
        ("[::]:1", ("::", 1), False),
        ("Host.Example:1", ("host.example", 1), False),
        ("10.0.0.1:65535", ("10.0.0.1", 65535), False),
    ],
)
def test_an_address_is_read(text: str, address: tuple[str, int], is_loopback: bool) -> None:
    found = parse_address(text)
    assert (found, found.is_loopback) == (address, is_loopback)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        ":1",
        "h:",
        "1:2:3",
        "::1:1",
        "[::1]",
        "[x]:1",
        "65536",
        "-1",
        "1.5",
        "\u0661",
        "h:1x",
        "::1]:1",
        "a::1]:1",
        "[::1a:1",
    ],
)
def test_any_other_text_is_an_error_that_repeats_it(text: str) -> None:
    with pytest.raises(ConfigError, match="is no address to listen on"):
        parse_address(text)


@pytest.mark.parametrize(
    ("host", "text"), [("127.0.0.1", "127.0.0.1:1"), ("::1", "[::1]:1"), ("a.example", "a.example:1")]
)
def test_an_address_is_written_as_in_a_url_and_read_back(host: str, text: str) -> None:
    assert ListenAddress(host, 1).text == text
    assert parse_address(text) == (host, 1)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "name.example"])
def test_every_listener_is_known_by_the_names_of_loopback_and_its_own(host: str) -> None:
    address = ListenAddress(host, 12345)
    for known in (address.text, "localhost:12345", "127.0.0.1:12345", "[::1]:12345"):
        assert Names(address).is_host(known), known


@example("localhost:\u0668\u0667\u0666\u0665")
@example("localhost:")
@example("localhost:" + "0" * 5000)
@example("[::1x:8765")
@example("x::1]:8765")
@example("[localhost:8765")
@given(st.text())
def test_a_name_is_taken_only_if_it_is_known(host: str) -> None:
    names = Names(ListenAddress("127.0.0.1", 8765))
    assert names.is_host(host) == (host.lower() in {"localhost:8765", "127.0.0.1:8765", "[::1]:8765", "::1:8765"})


def test_addresses_are_taken_where_more_than_loopback_is_listened_at_and_names_are_not() -> None:
    names = Names(ListenAddress("0.0.0.0", 80), hosts=("mcp.example.org",))
    for host in ("192.168.1.5:80", "192.168.1.5", "[fd00::1]:80", "[fd00::1]", "MCP.example.org"):
        assert names.is_host(host), host
    for host in ("evil.example:80", "192.168.1.5:81", "mcp.example.org.evil", "[evil]:80", ""):
        assert not names.is_host(host), host
    assert not Names(ListenAddress("127.0.0.1", 80)).is_host("192.168.1.5")


def test_an_origin_is_taken_only_if_it_is_the_own_one_or_named() -> None:
    names = Names(ListenAddress("127.0.0.1", 8765), hosts=("mcp.example.org",), origins=("https://ide.example.org/",))
    for origin in ("http://127.0.0.1:8765", "HTTP://localhost:8765", "https://ide.example.org"):
        assert names.is_origin(origin), origin
    for origin in (
        "null",
        "",
        "https://127.0.0.1:8765",
        "http://127.0.0.1",
        "http://mcp.example.org",
        "127.0.0.1:8765",
        "ws://localhost:8765",
    ):
        assert not names.is_origin(origin), origin
