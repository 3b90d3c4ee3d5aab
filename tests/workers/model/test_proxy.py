"""Proxies: the environment's choice is followed, and no password ends up in a URL."""

import pytest

from greenroom.workers.model.proxy import Proxy, find_proxy

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


def test_password_is_not_shown() -> None:
    assert "YWRhOnBAdw==" not in repr(Proxy("http://p:1", "Basic YWRhOnBAdw=="))
