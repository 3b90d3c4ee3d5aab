"""Whether the configured model provider takes credentials of OpenAI."""

import os

from greenroom.protocol.errors import ConfigError
from greenroom.supervisor.conversations.host import ConversationHost


def requires_openai_auth(host: ConversationHost) -> bool | None:
    """Tell whether the configured provider takes credentials of OpenAI; `None` where the configuration is in error."""
    from greenroom.config.settings import ConversationOverrides, resolve_settings  # a first call need not wait for it

    options = host.options
    try:
        settings = resolve_settings(
            options.codex_home, options.config_overrides, ConversationOverrides(), os.getcwd(), host.environment
        )
    except ConfigError:
        return None
    return settings.provider.requires_openai_auth
