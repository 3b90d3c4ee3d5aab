"""Tells whether a settings file contains a secret. Free of I/O.

The table has the keys that are meant for secrets. Other values that look like one count as well, even in comments: a
key that was commented out still works. A file that cannot be parsed counts as containing one.
"""

import re
import tomllib
from collections.abc import Iterator
from typing import Final, NamedTuple

from greenroom.config.encoding import decode_text
from greenroom.protocol.secrecy import is_secret_name


class _Key(NamedTuple):
    """A key that is meant for secrets."""

    path: tuple[str, ...]
    """The last parts of the key; `*` matches any one part."""
    why: str


SECRET_KEYS: Final = (
    _Key(("model_providers", "*", "experimental_bearer_token"), "a bearer token"),
    _Key(("model_providers", "*", "http_headers"), "headers, of which any may be a credential"),
    _Key(("model_providers", "*", "query_params"), "parameters, of which any may be a key"),
    _Key(("model_providers", "*", "auth", "args"), "arguments of the program that prints a token"),
    _Key(("mcp_servers", "*", "bearer_token"), "a bearer token, which is refused but stands there"),
    _Key(("mcp_servers", "*", "env"), "variables of the server's process"),
    _Key(("mcp_servers", "*", "http_headers"), "headers, of which any may be a credential"),
    _Key(("mcp_servers", "*", "oauth", "client_secret"), "the secret of an OAuth client"),
    _Key(("otel", "*", "*", "headers"), "headers for a collector of traces"),
)
"""Keys with non-empty values that make a file secret, wherever in it their table is: profiles have them too."""

NAMES_ONLY: Final = frozenset(
    {"env_key", "env_key_instructions", "bearer_token_env_var", "env_http_headers", "env_vars"}
)
"""Keys that look like secrets but hold names of variables."""

SEEN_BY_COMMANDS: Final = ("shell_environment_policy",)
"""Tables whose values are passed to every command anyway."""

_QUICK: Final = re.compile(
    rb"token|secret|key|passw|headers|query_params|env|args|auth|://[^/\s\"']*@|\?[\w.-]+=|\\u|sk-|gh[pousr]_|eyJ",
    re.IGNORECASE,
)
"""Without any of these a file contains no secret and need not be parsed."""
_TOKEN: Final = re.compile(
    r"\b(?:sk-|gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|npm_|hf_|AKIA|AIza|eyJ)[\w.-]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
)
_URL_WITH_SECRET: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:[^/\s]*@|\S*\?\S*=)", re.IGNORECASE)
_OPTION: Final = re.compile(
    r"(?i)-{0,2}[\w-]*(?:token|secret|passw|api[_-]?key|authorization)[\w-]*\s*[=:]?.*", re.DOTALL
)
_COMMENTED: Final = re.compile(
    r"(?im)^[^\n#]*#[^\n]*?"
    r"(?:\b(?:experimental_)?bearer_token|\bhttp_headers|\bquery_params|\benv|\w*(?:secret|token|password|api_?key))"
    r"[\"']?[ \t]*=[ \t]*[\"'{\[]"
)


def holds_secret(content: bytes) -> bool:
    """Tell whether the content of a file contains, or may contain, a secret."""
    if not _QUICK.search(content) and content.isascii():
        return False
    try:
        text = decode_text(content)
        table = tomllib.loads(text)
    except (ValueError, RecursionError):
        return True
    return bool(_TOKEN.search(text) or _COMMENTED.search(text)) or any(
        is_secret_value(*entry) for entry in _values(table)
    )


def secret_values(table: dict[str, object]) -> Iterator[str]:
    """Yield the values of a table of settings that are or may be secrets."""
    for path, value in _values(table):
        if isinstance(value, str) and is_secret_value(path, value):
            yield value


def _values(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield every value that is neither a table nor a list, with its keys."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _values(member, (*path, key))
    elif isinstance(value, list):
        for member in value:
            yield from _values(member, path)
    else:
        yield path, value


def is_secret_value(path: tuple[str, ...], value: object) -> bool:
    """Tell whether the value at a place of the settings is, or may be, a secret."""
    if not isinstance(value, str) or not value or not path or path[0] in SEEN_BY_COMMANDS:
        return False
    if any(_leads_to(key.path, path) for key in SECRET_KEYS) or _URL_WITH_SECRET.search(value):
        return True
    name = path[-1]
    if not NAMES_ONLY.isdisjoint(path):
        return False
    return is_secret_name(name) or "passw" in name.lower() or (name == "args" and _OPTION.fullmatch(value) is not None)


def _leads_to(key: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Tell whether a key occurs in a path."""
    return any(
        all(part in {"*", step} for part, step in zip(key, path[start:], strict=False))
        for start in range(len(path) - len(key) + 1)
    )
