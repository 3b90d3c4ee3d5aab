"""Connects one conversation to its model server."""

import os

from greenroom.config.settings import Settings
from greenroom.config.tables.providers import LOCAL_PROVIDERS
from greenroom.protocol.ids import ConversationId
from greenroom.runtime.originator import originator
from greenroom.workers.model.client import ModelClient
from greenroom.workers.model.codec import decoder_factory
from greenroom.workers.model.credentials.bearer import ProviderCredentials
from greenroom.workers.model.transport.endpoint import ModelEndpoint
from greenroom.workers.model.transport.session import SessionFactory
from greenroom.workers.timings import TurnTimings


async def model_client(
    settings: Settings,
    conversation_id: ConversationId,
    user_agent: str,
    credentials: ProviderCredentials,
    session_factory: SessionFactory,
    timings: TurnTimings,
) -> ModelClient:
    """Return the client. For a local provider, first check that a server is running.

    Headers from environment variables have their current values. Raises `StartError`.
    """
    provider = settings.provider
    if settings.provider_id in LOCAL_PROVIDERS:
        from greenroom.workers.model import local_server

        await local_server.require(provider.base(chatgpt=False), settings.provider_id)
    values = await credentials.variables(tuple(provider.env_http_headers.values()))
    from_variables = {
        header: values[name] for header, name in provider.env_http_headers.items() if values.get(name, "").strip()
    }
    endpoint = ModelEndpoint(
        url=provider.url(chatgpt=False),
        chatgpt_url=provider.url(chatgpt=True),
        headers={**provider.http_headers, **from_variables},
        wire_api=provider.wire_api,
        originator=originator(os.environ),
        user_agent=user_agent,
        request_max_retries=provider.request_max_retries,
        stream_max_retries=provider.stream_max_retries,
        rate_limit_wait=settings.rate_limit_wait,
        idle_timeout=provider.stream_idle_timeout_ms / 1000,
        delta_window=settings.delta_window,
    )
    return ModelClient(
        endpoint,
        credentials,
        conversation_id,
        limits=credentials,
        timings=timings,
        new_decoder=decoder_factory(provider.wire_api),
        session_factory=session_factory,
    )
