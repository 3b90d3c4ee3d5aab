"""The results and notifications about credentials, in the forms of both families of methods.

Pure functions from the broker's messages to JSON values. A notification is sent under every name it has had, the oldest
first; clients ignore names that they do not know.
"""

from typing import Final, NamedTuple, TypeAlias

from greenroom.protocol.internal.broker.answers import InForce, LoginStarted, Status
from greenroom.protocol.internal.broker.body import AuthMode
from greenroom.protocol.internal.broker.broadcasts import AuthChanged, LoginComplete

ResultMembers: TypeAlias = dict[str, object]

LOGIN_COMPLETE: Final = ("codex/event/login_chat_gpt_complete", "loginChatGptComplete")
STATUS_CHANGE: Final = ("codex/event/auth_status_change", "authStatusChange")
ACCOUNT_LOGIN_COMPLETED: Final = "account/login/completed"
ACCOUNT_UPDATED: Final = "account/updated"


class AccountNotification(NamedTuple):
    """A JSON-RPC notification."""

    method: str
    params: ResultMembers


def auth_status(status: Status, preferred: str, *, requires_openai_auth: bool | None = None) -> ResultMembers:
    """Return the result of `getAuthStatus`."""
    result: ResultMembers = {"preferredAuthMethod": preferred}
    if status.mode != "none":
        result["authMethod"] = status.mode
        if status.token:
            result["authToken"] = status.token
    if requires_openai_auth is not None:
        result["requiresOpenaiAuth"] = requires_openai_auth
    return result


def login_started(started: LoginStarted) -> ResultMembers:
    """Return the result of `loginChatGpt`."""
    return {"loginId": started.login_id, "authUrl": started.url}


def account_login_started(started: LoginStarted) -> ResultMembers:
    """Return the result of `account/login/start`."""
    if started.user_code is None:
        return {"type": "chatgpt", "loginId": started.login_id, "authUrl": started.url}
    return {
        "type": "chatgptDeviceCode",
        "loginId": started.login_id,
        "verificationUrl": started.url,
        "userCode": started.user_code,
    }


def account(status: Status, *, requires_openai_auth: bool) -> ResultMembers:
    """Return the result of `account/read`."""
    accounts: dict[AuthMode, ResultMembers | None] = {
        "none": None,
        "apikey": {"type": "apiKey"},
        "chatgpt": {"type": "chatgpt", "email": status.email, "planType": status.plan_type or "unknown"},
    }
    return {"account": accounts[status.mode], "requiresOpenaiAuth": requires_openai_auth}


def after_login(ending: LoginComplete) -> list[AccountNotification]:
    """Return the notifications at the end of a login: its completion and, after a success, the status."""
    params: ResultMembers = {"loginId": ending.login_id, "success": ending.success}
    if ending.error is not None:
        params["error"] = ending.error
    completed = [AccountNotification(method, params) for method in (*LOGIN_COMPLETE, ACCOUNT_LOGIN_COMPLETED)]
    return completed + (status_change(ending) if ending.success else [])


def after_request(in_force: InForce) -> list[AccountNotification]:
    """Return the notifications after the response to `logoutChatGpt` or `loginApiKey`."""
    return status_change(in_force)


def after_change(changed: AuthChanged) -> list[AccountNotification]:
    """Return the notifications after a change by another program: none where the mode is the same."""
    return status_change(changed) if changed.mode_changed else []


def status_change(told: AuthChanged | InForce | LoginComplete) -> list[AccountNotification]:
    """Return the notifications of the mode in force; the later of the two contains the plan."""
    method = None if told.mode == "none" else told.mode
    params: ResultMembers = {} if method is None else {"authMethod": method}
    updated = AccountNotification(ACCOUNT_UPDATED, {"authMode": method, "planType": told.plan_type})
    return [*(AccountNotification(name, params) for name in STATUS_CHANGE), updated]
