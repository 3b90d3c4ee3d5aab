"""Clients are told in the shapes that they know."""

import pytest

from greenroom.broker import account_results as answers
from greenroom.protocol.internal.broker.answers import InForce, LoginStarted, Status
from greenroom.protocol.internal.broker.broadcasts import AuthChanged, LoginComplete

KEY = Status(mode="apikey", state="API_KEY", generation=2, token="sk-demo")
CHATGPT = Status(mode="chatgpt", state="FRESH", generation=2, email="a@b.c", plan_type="pro")
NOBODY = Status(mode="none", state="SIGNED_OUT", generation=1)


def test_auth_status() -> None:
    """scenarios 13 to 15."""
    assert answers.auth_status(KEY, "chatgpt") == {
        "authMethod": "apikey",
        "preferredAuthMethod": "chatgpt",
        "authToken": "sk-demo",
    }
    assert answers.auth_status(NOBODY, "apikey") == {"preferredAuthMethod": "apikey"}
    assert answers.auth_status(CHATGPT, "chatgpt", requires_openai_auth=False) == {
        "authMethod": "chatgpt",
        "preferredAuthMethod": "chatgpt",
        "requiresOpenaiAuth": False,
    }


@pytest.mark.parametrize(
    ("status", "account"),
    [(KEY, {"type": "apiKey"}), (CHATGPT, {"type": "chatgpt", "email": "a@b.c", "planType": "pro"}), (NOBODY, None)],
)
def test_account(status: Status, account: dict[str, object] | None) -> None:
    expected = {"account": account, "requiresOpenaiAuth": True}
    assert answers.account(status, requires_openai_auth=True) == expected


def test_login_started() -> None:
    started = LoginStarted(login_id="id", url="https://x")
    assert answers.login_started(started) == {"loginId": "id", "authUrl": "https://x"}
    assert answers.account_login_started(started) == {"type": "chatgpt", "loginId": "id", "authUrl": "https://x"}
    device = LoginStarted(login_id="id", url="https://x", user_code="AB-CD")
    assert answers.account_login_started(device) == {
        "type": "chatgptDeviceCode",
        "loginId": "id",
        "verificationUrl": "https://x",
        "userCode": "AB-CD",
    }


def test_after_a_login_the_completion_comes_first() -> None:
    """K16: under every name, the oldest first."""
    said = answers.after_login(LoginComplete(login_id="id", success=True, mode="chatgpt"))
    assert [name for name, _ in said] == [
        "codex/event/login_chat_gpt_complete",
        "loginChatGptComplete",
        "account/login/completed",
        "codex/event/auth_status_change",
        "authStatusChange",
        "account/updated",
    ]
    assert said[0].params == {"loginId": "id", "success": True}
    assert said[3].params == {"authMethod": "chatgpt"}


def test_after_a_failed_login_nothing_has_changed() -> None:
    said = answers.after_login(LoginComplete(login_id="id", success=False, error="Login timed out"))
    assert len(said) == 3
    assert said[0].params == {"loginId": "id", "success": False, "error": "Login timed out"}


def test_after_a_logout() -> None:
    """No method means signed out."""
    assert answers.after_request(InForce(mode="none"))[0].params == {}
    assert answers.after_request(InForce(mode="apikey"))[1] == ("authStatusChange", {"authMethod": "apikey"})


@pytest.mark.parametrize(("mode_changed", "count"), [(True, 3), (False, 0)])
def test_a_change_elsewhere_is_told_where_the_mode_changed(mode_changed: bool, count: int) -> None:
    """K16: and a refresh, which changes no mode, never is."""
    change = AuthChanged(
        generation=3,
        state="API_KEY",
        mode="apikey",
        identity_changed=True,
        mode_changed=mode_changed,
        reason="external",
    )
    assert len(answers.after_change(change)) == count
