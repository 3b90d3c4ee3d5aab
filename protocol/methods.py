"""The methods that need more than the connection: they wait until the supervision tree is up."""

from typing import Final

ACCOUNT_METHODS: Final = (
    "getAuthStatus",
    "loginChatGpt",
    "cancelLoginChatGpt",
    "loginApiKey",
    "logoutChatGpt",
    "account/read",
    "account/login/start",
    "account/login/cancel",
    "account/logout",
)
"""What clients see and change of the credential (spec/wire 4.10 to 4.12, spec/later 11.2)."""

LATER_METHODS: Final = frozenset({"tools/call", *ACCOUNT_METHODS})
