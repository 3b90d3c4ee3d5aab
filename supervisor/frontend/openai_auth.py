"""Whether the configured model provider takes credentials of OpenAI."""

import os

from greenroom.config.settings import ConversationOverrides, resolve
from greenroom.protocol.errors import ConfigError
from greenroom.supervisor.conversations.host import ConversationHost


def requires_openai_auth(host: ConversationHost) -> bool | None:
    """Tell whether the configured provider takes credentials of OpenAI; `None` where the configuration is in error."""
    options = host.options
    try:
        settings = resolve(
            options.codex_home, options.config_overrides, ConversationOverrides(), os.getcwd(), host.environment
        )
    except ConfigError:
        return None
    return settings.provider.requires_openai_auth
