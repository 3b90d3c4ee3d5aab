"""Proxies: the environment's choice is followed, and no password ends up in a URL."""

import os
import re
from ipaddress import IPv4Address
from unittest import mock
from urllib.request import getproxies

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.model.transport.proxy import Proxy, _proxies, find_proxy, is_direct

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "https://a.example/x", None),
        ({"https_proxy": "http://p:3128"}, "https://a.example/x", Proxy("http://p:3128")),
        ({"HTTPS_PROXY": "http://p:3128"}, "http://a.example/x", None),
        ({"ALL_PROXY": "http://p"}, "http://a.example/x", Proxy("http://p")),
        ({"ALL_PROXY": "socks5://p"}, "http://a.example/x", None),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "a.example"}, "https://a.example/x", None),
        ({"HTTPS_PROXY": "http://ada:p%40w@p:1"}, "https://a.example/", Proxy("http://p:1", "Basic YWRhOnBAdw==")),
    ],
)
def test_proxy_is_that_of_the_environment(
    environment: dict[str, str], url: str, proxy: Proxy | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert find_proxy(url) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("", "http://a.example/", False),
        ("*", "http://a.example/", True),
        ("b.example, *", "http://a.example/", True),
        ("localhost,127.0.0.0/8", "http://127.0.0.1:8080/v1", True),
        ("localhost,127.0.0.0/8", "http://127.255.0.9/", True),
        ("127.0.0.0/8", "http://128.0.0.1/", False),
        ("10.1.2.3/8", "http://10.9.9.9/", True),
        ("10.0.0.0/33", "http://10.0.0.1/", False),
        ("10.0.0.0/8", "http://ten.example/", False),
        ("fd00::/8", "http://[fd12::1]:8080/", True),
        ("[fd00::]/8", "http://[fd12::1]/", True),
        ("fd00::/8", "http://[fe80::1]/", False),
        ("127.0.0.0/8", "http://[::ffff:127.0.0.1]/", True),
        ("0.0.0.0/0", "http://[::1]/", False),
        ("::1", "http://[::1]:11434/", True),
        ("[::1]", "http://[::1]:11434/", True),
        ("0:0:0:0:0:0:0:1", "http://[::1]/", True),
        ("[::1]:11434", "http://[::1]:11434/", True),
        ("[::1]:11434", "http://[::1]:8080/", False),
        ("127.0.0.1", "http://127.0.0.1:8080/", True),
        ("127.0.0.1:8080", "http://127.0.0.1:8080/", True),
        ("127.0.0.1:8080", "http://127.0.0.1:8081/", False),
        ("27.0.0.1", "http://127.0.0.1/", False),
        ("0.0.1", "http://127.0.0.1/", False),
        ("a.example", "http://a.example/", True),
        ("a.example", "http://b.a.example/", True),
        ("a.example", "http://ba.example/", False),
        ("a.example", "http://a.example.org/", False),
        (".a.example", "http://b.a.example/", True),
        (".a.example", "http://a.example/", True),
        ("*.a.example", "http://c.b.a.example/", True),
        ("*.a.example", "http://b.example/", False),
        ("A.Example", "http://a.EXAMPLE/", True),
        ("a.example.", "http://a.example/", True),
        ("a.example", "http://a.example./", True),
        ("a.example:443", "https://a.example/", True),
        ("a.example:80", "https://a.example/", False),
        ("a.example:8443", "https://b.a.example:8443/", True),
        ("x y\ta.example ,", "http://a.example/", True),
        (" , ,", "http://a.example/", False),
        (".", "http://a.example/", False),
        ("http://a.example", "http://a.example/", False),
        ("localhost", "http://127.0.0.1/", False),
    ],
)
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_no_proxy_is_read_as_other_programs_read_it(
    name: str, no_proxy: str, url: str, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://p")
    monkeypatch.setenv(name, no_proxy)
    assert (find_proxy(url) is None) == direct


VARIABLES = st.sampled_from(("http", "HTTPS", "All", "no", "ftp", "request", "")).flatmap(
    lambda scheme: st.sampled_from(
        (f"{scheme}_proxy", f"{scheme}_PROXY", f"{scheme}_Proxy", f"{scheme}_proxy_", scheme)
    )
)


@given(st.dictionaries(VARIABLES.filter(bool), st.sampled_from(("", "http://p:1", "a.example", "\udcff")), max_size=5))
def test_variables_are_found_by_the_standard_librarys_rules(environment: dict[str, str]) -> None:
    with mock.patch.dict(os.environ, environment, clear=True):
        assert _proxies() == getproxies()


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_network_covers_the_addresses_that_begin_like_it(address: int, network: int, length: int) -> None:
    covers = is_direct(str(IPv4Address(address)), 80, f"{IPv4Address(network)}/{length}")
    assert covers == (address >> (32 - length) == network >> (32 - length))


HOSTS = st.sampled_from(["a.b", "b", "10.0.0.1", "::1", "[::1]"])
ENTRIES = HOSTS | st.sampled_from(["10.0.0.0/8", ".b", "*.b", "b:80", "b:81", "[::1]:80", "*", "/", ":", "[", "1/33"])


@given(HOSTS | st.text(max_size=30), st.text(max_size=30) | st.lists(ENTRIES | st.text(max_size=5)).map(", ".join))
def test_a_list_covers_what_one_of_its_entries_covers(host: str, no_proxy: str) -> None:
    entries = re.split(r"[\s,]+", no_proxy)
    assert is_direct(host, 80, no_proxy) == any(is_direct(host, 80, entry) for entry in entries)
    assert is_direct(host, 80, f"{no_proxy},*")


def test_password_is_not_shown() -> None:
    assert "YWRhOnBAdw==" not in repr(Proxy("http://p:1", "Basic YWRhOnBAdw=="))
