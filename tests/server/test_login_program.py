"""`greenroom login`, `login status` and `logout` as programs: what they leave in the home, say, and return."""

import json
import os

import pytest

from tests.broker.homes import tokens, write
from tests.supervisor.cli.test_login import issuer
from tests.support.server import MODULE, run
from tests.support.stage import Stage

KEY = "sk-typed-0123456789-abcdefghijkl"


def greenroom(stage: Stage, *arguments: str, typed: str = "", **environment: str) -> tuple[int, str]:
    """Run the program, and return its exit status and what it says, which never goes to standard output."""
    done = run((*MODULE, *arguments), stage.environment(**environment), stage.template, typed.encode())
    assert done.stdout == ""
    return done.returncode, done.stderr


def configure(stage: Stage, text: str) -> None:
    stage.home.config.write_text(text)


def test_a_key_that_is_typed_and_forgotten(stage: Stage) -> None:
    path = stage.home.path / "auth.json"
    assert greenroom(stage, "login", "status") == (1, "Not logged in\n")
    assert greenroom(stage, "login", "--with-api-key", typed=f"{KEY}\n") == (0, "Successfully logged in\n")
    assert json.loads(path.read_text()) == {"auth_mode": "apikey", "OPENAI_API_KEY": KEY}
    assert os.stat(path).st_mode & 0o777 == 0o600
    status, told = greenroom(stage, "login", "status")
    assert (status, KEY in told) == (0, False)
    assert told.startswith("Logged in using an API key - sk-typed***")
    assert greenroom(stage, "logout") == (0, "Successfully logged out\n")
    assert not path.exists()
    assert greenroom(stage, "logout") == (0, "Not logged in\n")


def test_a_device_code_and_a_revocation(stage: Stage) -> None:
    with issuer() as mock:
        status, told = greenroom(stage, "login", "--device-auth", GREENROOM_ISSUER=mock.url)
        assert status == 0
        assert f"{mock.url}/codex/device" in told
        assert "ABCD-1234" in told
        assert greenroom(stage, "login", "status") == (0, "Logged in using ChatGPT\n")
        (refresh_token,) = mock.live
        status, _ = greenroom(stage, "logout", "--revoke", GREENROOM_ISSUER=mock.url)
        assert (status, mock.revoked[0]["token"]) == (0, refresh_token)
    assert not (stage.home.path / "auth.json").exists()


def test_the_configuration_of_the_home_counts(stage: Stage) -> None:
    """What is forced, what is preferred, and where the login is kept."""
    configure(stage, 'forced_login_method = "chatgpt"')
    status, told = greenroom(stage, "login", "--with-api-key", typed=KEY)
    assert status == 1
    assert "`forced_login_method`" in told
    configure(stage, 'preferred_auth_method = "apikey"')
    write(str(stage.home.path), tokens("refresh-1") | {"OPENAI_API_KEY": KEY})
    assert "Logged in using an API key" in greenroom(stage, "login", "status")[1]
    configure(stage, 'cli_auth_credentials_store = "ephemeral"')
    status, told = greenroom(stage, "login", "--with-api-key", typed=KEY)
    assert status == 1
    assert "log in through it" in told
    configure(stage, "forced_login_method = 5")
    assert greenroom(stage, "login", "status")[0] == 1


@pytest.mark.parametrize("arguments", [("login", "--with-api-key"), ("logout",)])
def test_a_keyring_that_is_not_there_is_said_so(stage: Stage, arguments: tuple[str, ...]) -> None:
    """And the key is not put anywhere else."""
    configure(stage, 'cli_auth_credentials_store = "keyring"')
    nowhere = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
    status, told = greenroom(stage, *arguments, typed=KEY, **nowhere)
    assert status == 1
    assert "keyring: the keyring failed (NoKeyringError)" in told
    assert not (stage.home.path / "auth.json").exists()
    assert KEY not in told
