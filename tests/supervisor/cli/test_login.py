"""`greenroom login` and `logout` work on the store, say what they did, and show no secret."""

import asyncio
import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest

from greenroom.broker.credential.rules import LoginRules
from greenroom.broker.login import server as login_server
from greenroom.broker.storage.file import FileStore
from greenroom.supervisor.cli import login as login_command
from tests.broker.homes import read, tokens, write
from tests.broker.issuer import MockIssuer
from tests.broker.login.test_logins import free_port


@contextmanager
def issuer() -> Iterator[MockIssuer]:
    """Give an issuer that serves in a thread, because the commands have loops of their own."""
    mock, ready, loop = MockIssuer(), threading.Event(), asyncio.new_event_loop()
    done = asyncio.Event()

    async def serve() -> None:
        async with mock:
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait()
    try:
        yield mock
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


def test_status_without_a_login(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert login_command.login_status(FileStore(str(tmp_path)), {}) == 1
    assert capsys.readouterr().err == "Not logged in\n"


def test_status_of_a_key(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Scenario 24: masked."""
    write(str(tmp_path), {"OPENAI_API_KEY": "sk-proj-1234567890ABCDE"})
    assert login_command.login_status(FileStore(str(tmp_path)), {}) == 0
    assert capsys.readouterr().err == "Logged in using an API key - sk-proj-***ABCDE\n"


def test_status_of_the_environment(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert login_command.login_status(FileStore(str(tmp_path)), {"OPENAI_API_KEY": "sk-proj-12345"}) == 0
    first, second = capsys.readouterr().err.splitlines()
    assert first == "Logged in using an API key - ***"
    assert second == "   API loaded from OPENAI_API_KEY environment variable or .env file"


def test_status_of_a_login(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write(str(tmp_path), tokens("refresh"))
    assert login_command.login_status(FileStore(str(tmp_path)), {}) == 0
    assert capsys.readouterr().err == "Logged in using ChatGPT\n"


def test_status_of_a_broken_store(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "auth.json").write_text("{")
    assert login_command.login_status(FileStore(str(tmp_path)), {}) == 1
    assert capsys.readouterr().err == "Error checking login status: auth.json is not JSON\n"


@pytest.mark.parametrize(("key", "shown"), [("sk-proj-1234567890ABCDE", "sk-proj-***ABCDE"), ("sk-proj-12345", "***")])
def test_masking(key: str, shown: str) -> None:
    """Scenario 24."""
    assert login_command.masked(key) == shown


def test_a_key_comes_from_standard_input(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "new"
    assert login_command.login_with_api_key(FileStore(str(home)), io.StringIO(" sk-typed-12345678\n")) == 0
    assert read(str(home)) == {"auth_mode": "apikey", "OPENAI_API_KEY": "sk-typed-12345678"}
    assert login_command.login_with_api_key(FileStore(str(home)), io.StringIO("\n")) == 1
    said = capsys.readouterr().err
    assert said == "Successfully logged in\nThere is no API key on standard input.\n"


def test_a_login_that_is_switched_off(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    home, only_keys, only_accounts = str(tmp_path), LoginRules("api"), LoginRules("chatgpt")
    assert login_command.login_with_browser(FileStore(home), {}, only_keys) == 1
    assert login_command.login_with_device_code(FileStore(home), {}, only_keys) == 1
    assert login_command.login_with_api_key(FileStore(home), io.StringIO("sk-1"), only_accounts) == 1
    assert capsys.readouterr().err.count("`forced_login_method`") == 3
    assert os.listdir(home) == []
    assert login_command.login_status(FileStore(home), {"OPENAI_API_KEY": "sk-1"}, only_accounts) == 1
    assert capsys.readouterr().err.startswith("Not logged in: Logging in with an API key is switched off")


def test_logout(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write(str(tmp_path), tokens("refresh"))
    assert login_command.logout(FileStore(str(tmp_path)), {}) == 0
    assert login_command.logout(FileStore(str(tmp_path)), {}) == 0
    assert capsys.readouterr().err == "Successfully logged out\nNot logged in\n"
    assert not (tmp_path / "auth.json").exists()


def test_logout_with_revocation(tmp_path: Any) -> None:
    """Scenario 38: the refresh token is revoked; the store goes even where the issuer says no."""
    write(str(tmp_path), tokens("refresh-to-revoke"))
    with issuer() as mock:
        assert login_command.logout(FileStore(str(tmp_path)), {"GREENROOM_ISSUER": mock.url}, with_revocation=True) == 0
        (asked,) = mock.revoked
    assert asked["token"] == "refresh-to-revoke"
    assert asked["token_type_hint"] == "refresh_token"
    assert asked["client_id"]
    assert not (tmp_path / "auth.json").exists()


def test_logout_that_fails(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "auth.json").mkdir()
    assert login_command.logout(FileStore(str(tmp_path)), {}) == 1
    assert capsys.readouterr().err.startswith("Error logging out: ")


def test_a_browser_login(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert login_server.PORTS == (1455, 1457), "the issuer knows no others"
    port = free_port()

    def browse(url: str) -> None:
        query = parse_qs(urlsplit(url).query)
        threading.Thread(
            target=lambda: urlopen(f"{query['redirect_uri'][0]}?code=c&state={query['state'][0]}").read()
        ).start()

    with issuer() as mock:
        environment, store = {"GREENROOM_ISSUER": mock.url}, FileStore(str(tmp_path))
        assert login_command.login_with_browser(store, environment, open_url=browse, ports=(port,)) == 0
    said = capsys.readouterr().err
    assert said.startswith(f"Starting local login server on http://localhost:{port}.\n")
    assert said.endswith("Successfully logged in\n")
    assert read(str(tmp_path))["auth_mode"] == "chatgpt"


def test_a_device_login(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with issuer() as mock:
        assert login_command.login_with_device_code(FileStore(str(tmp_path)), {"GREENROOM_ISSUER": mock.url}) == 0
        mock.code_status = 401
        assert login_command.login_with_device_code(FileStore(str(tmp_path)), {"GREENROOM_ISSUER": mock.url}) == 1
        mock.device_status = 404
        assert login_command.login_with_device_code(FileStore(str(tmp_path)), {"GREENROOM_ISSUER": mock.url}) == 1
    said = capsys.readouterr().err
    assert "ABCD-1234" in said
    assert "Error logging in: device auth failed with status 401" in said
    assert "Error logging in: device code login is not enabled" in said
