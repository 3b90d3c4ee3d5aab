"""The secrets of the surroundings, which are removed from every text of the report as its last step.

The checks themselves show none; what servers, programs and libraries say may repeat one.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from greenroom.config.document import read_document
from greenroom.config.overrides import assign, parse_assignment
from greenroom.config.secrets.secret_settings import secret_values
from greenroom.protocol.display import clean
from greenroom.protocol.errors import ConfigError
from greenroom.protocol.secrecy import is_secret_name
from greenroom.runtime.log.log import MASK, redact
from greenroom.supervisor.cli.doctor.check_context import CheckContext
from greenroom.workers.model.outcome.error_body import SHORTEST_SECRET, redacted

FILES: Final = ("auth.json", ".credentials.json")
"""Files of the home in which every longer text counts as a secret, but for those under `PLAIN`."""
PLAIN: Final = frozenset({"auth_mode", "last_refresh", "account_id", "server_name", "server_url", "scopes", "issuer"})
LARGEST: Final = 1024 * 1024
"""Bytes that are read of such a file."""
_WORD: Final = re.compile(r"[^\s\"'`=,;:&|<>()]{12,}")
_WORDS: Final = ("_PROXY", "_URL")
"""Variables that may hold an address with a password in it end like this."""


class SecretTexts:
    """Texts that must not appear."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        wanted = {value for value in values if len(value) >= SHORTEST_SECRET}
        self._values = sorted(wanted, key=len, reverse=True)  # the longest first: one may contain another

    def cleared(self, text: str) -> str:
        """Return a text for people, in one line and without secrets."""
        for value in self._values:
            text = text.replace(value, MASK)
        return clean(redacted(redact(text)))


def find_secrets(context: CheckContext) -> SecretTexts:
    """Return the secrets of the environment, the settings and the logins. What cannot be read is left out."""
    return SecretTexts([*environment_secrets(context), *_of_settings(context), *_of_files(context.home)])


def environment_secrets(context: CheckContext) -> Iterator[str]:
    """Yield the secrets in the variables of the environment."""
    for name, value in context.environment.items():
        if is_secret_name(name) or "PASSW" in name.upper():
            yield value.strip()
        elif name.upper().endswith(_WORDS):
            yield from _in_url(value)


def _of_settings(context: CheckContext) -> Iterator[str]:
    table = {}
    with contextlib.suppress(ConfigError):
        table = read_document(os.path.join(context.home, "config.toml"))
    for override in context.config_overrides:
        with contextlib.suppress(ConfigError):
            assign(table, parse_assignment(override))
    for value in secret_values(table):
        yield value
        yield from _in_url(value)
        yield from _WORD.findall(value)  # a program may repeat a part of its arguments
    yield from _named_variables(table, context)


def _named_variables(table: object, context: CheckContext) -> Iterator[str]:
    """Yield the values of variables that the settings name, such as in `env_key`."""
    if isinstance(table, dict):
        for key, value in table.items():
            if key in ("env_key", "bearer_token_env_var") and isinstance(value, str):
                yield context.environment.get(value, "").strip()
            elif key == "env_http_headers" and isinstance(value, dict):
                yield from (context.environment.get(str(name), "").strip() for name in value.values())
            else:
                yield from _named_variables(value, context)


def _of_files(home: str) -> Iterator[str]:
    for name in FILES:
        with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeError, RecursionError):
            with open(os.path.join(home, name), "rb") as file:
                content = msgspec.json.decode(file.read(LARGEST))
            yield from _texts(content)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)
    elif isinstance(value, dict):
        for key, member in value.items():
            if key not in PLAIN:
                yield from _texts(member)


def _in_url(text: str) -> Iterator[str]:
    with contextlib.suppress(ValueError):
        address = urlsplit(text)
        if address.password:
            yield address.password
            yield unquote(address.password)
        yield from (value for _, value in parse_qsl(address.query))
