"""Whether conversations of a home need the auth broker as a rule, so that workers on nodes connect to it in advance.

It is a guess that costs time at most: a worker that needs the broker all the same connects with its first credential.
"""

from collections.abc import Mapping, Sequence

from greenroom.config.layers import ConfigVersion, config_version
from greenroom.config.settings import ConversationOverrides, resolve_settings
from greenroom.protocol.errors import ConfigError


class CredentialNeed:
    """Of one home; looked up again where its `config.toml` is another one."""

    def __init__(self, home: str, cli_overrides: Sequence[str], environment: Mapping[str, str]) -> None:
        self._home = home
        self._cli_overrides = cli_overrides
        self._environment = environment
        self._known: tuple[ConfigVersion | None, bool] | None = None

    def expected(self) -> bool:
        """Tell whether the default provider has a credential that comes from the broker."""
        version = config_version(self._home)
        if self._known is None or self._known[0] != version:
            self._known = version, self._look()
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
