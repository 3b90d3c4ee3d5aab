"""The logins that an administrator allows: `forced_login_method` and `forced_chatgpt_workspace_id`. Free of I/O.

The rules apply to a new login, and to the present store or environment: a credential that violates them is not served,
but nothing is removed because of them.
"""

from typing import Final

import msgspec

from greenroom.broker.credential.credential import Credential
from greenroom.protocol.choices import ForcedLogin
from greenroom.protocol.internal.broker.body import AuthMode

_MODES: Final[dict[ForcedLogin, AuthMode]] = {"chatgpt": "chatgpt", "api": "apikey"}
_TEXTS: Final[dict[ForcedLogin, str]] = {
    "chatgpt": "Logging in with an API key is switched off here (`forced_login_method`); log in with ChatGPT",
    "api": "Logging in with ChatGPT is switched off here (`forced_login_method`); log in with an API key",
}


class LoginRules(msgspec.Struct, frozen=True):
    """The rules of one home."""

    method: ForcedLogin | None = None
    workspaces: tuple[str, ...] = ()
    """Ids of the ChatGPT accounts that may log in; empty where all may."""

    def against_mode(self, mode: AuthMode) -> str | None:
        """Return why a credential of this mode is not allowed, as text; `None` where it is."""
        if self.method is None or _MODES[self.method] == mode:
            return None
        return _TEXTS[self.method]

    def against_account(self, account_id: str | None) -> str | None:
        """Return why this account may not log in; `None` where it may."""
        if not self.workspaces or account_id in self.workspaces:
            return None
        allowed = ", ".join(self.workspaces)
        return f"Only accounts of the workspace {allowed} may log in here (`forced_chatgpt_workspace_id`)"

    def applied(self, credential: Credential) -> Credential:
        """Return the credential, or one without a bearer that says why it may not be used."""
        if credential.mode == "none":
            return credential
        objection = self.against_mode(credential.mode)
        if objection is None and credential.mode == "chatgpt":
            objection = self.against_account(credential.identity.account_id)
        return credential if objection is None else Credential(unusable=objection)


ANY_LOGIN: Final = LoginRules()
