"""Whether conversations of a home need the auth broker as a rule, so that workers on nodes connect to it in advance.

It is a guess that costs time at most: a worker that needs the broker all the same connects with its first credential.
"""

import os
from collections.abc import Mapping, Sequence

from greenroom.config.layers import CONFIG_FILE
from greenroom.config.settings import ConversationOverrides, resolve_settings
from greenroom.protocol.errors import ConfigError

_State = tuple[int, int, int]


class CredentialNeed:
    """Of one home; looked up again where its `config.toml` is another one."""

    def __init__(self, home: str, cli_overrides: Sequence[str], environment: Mapping[str, str]) -> None:
        self._home = home
        self._cli_overrides = cli_overrides
        self._environment = environment
        self._known: tuple[_State | None, bool] | None = None

    def expected(self) -> bool:
        """Tell whether the default provider has a credential that comes from the broker."""
        state = _state(os.path.join(self._home, CONFIG_FILE))
        if self._known is None or self._known[0] != state:
            self._known = state, self._look()
        return self._known[1]

    def _look(self) -> bool:
        try:
            settings = resolve_settings(
                self._home, self._cli_overrides, ConversationOverrides(), "/", self._environment
            )
        except ConfigError:  # which each conversation is told
            return True
        provider = settings.provider
        has_credential = provider.env_key is not None or provider.auth is not None or provider.requires_openai_auth
        return has_credential or bool(settings.mcp_servers)


def _state(path: str) -> _State | None:
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns, facts.st_size
