"""Where the service is that keeps the user's account: the setting `chatgpt_base_url`."""

from collections.abc import Sequence
from typing import Final

from greenroom.config.layers import layered
from greenroom.config.overrides import parse_assignment
from greenroom.config.section import Name, Section, check

DEFAULT: Final = "https://chatgpt.com/backend-api"
_HOSTS: Final = ("https://chatgpt.com", "https://chat.openai.com")
_BACKEND: Final = "/backend-api"
_OF_BACKENDS: Final = frozenset({"security-setup"})
"""Routes that are at the same place everywhere."""


class AccountServiceSettings(Section, frozen=True):
    """The top-level key about the service."""

    chatgpt_base_url: Name = DEFAULT


def account_service(home: str, cli_overrides: Sequence[str] = ()) -> str:
    """Return the base URL, by the home's file as it is now. Raises `ConfigError`."""
    table = layered(home, map(parse_assignment, cli_overrides))
    return check(AccountServiceSettings, table).chatgpt_base_url


def route_url(base_url: str, route: str) -> str:
    """Return the URL of what is for Codex; where it is depends on the kind of service that has this base."""
    base = base_url.rstrip("/")
    if base in _HOSTS:
        base += _BACKEND
    is_backend = _BACKEND in base or route in _OF_BACKENDS
    return f"{base}/{'wham' if is_backend else 'api/codex'}/{route}"
