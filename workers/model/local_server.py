"""Checks whether a local model server is running, and says what to do if none is."""

import asyncio
import contextlib
from typing import Final
from urllib.parse import urlsplit

from greenroom.protocol.errors import ModelError
from greenroom.workers.model.transport.endpoint import visible_url
from greenroom.workers.model.transport.proxy import find_proxy

TIMEOUT: Final = 2.0
"""Seconds for the server to accept a connection."""
_PORTS: Final = {"http": 80, "https": 443}


async def require(base_url: str, provider: str) -> None:
    """Return if something listens at the address of a local provider. Raises `ModelError`, with advice, if not.

    It is not retried: a user who forgot to start the server should be told at once.
    """
    if find_proxy(base_url) is not None:  # with a proxy, only the proxy can tell
        return
    address = urlsplit(base_url)
    port = address.port or _PORTS.get(address.scheme, 80)
    try:
        async with asyncio.timeout(TIMEOUT):
            _, writer = await asyncio.open_connection(address.hostname, port)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"no local model server answers at {visible_url(base_url)}, where the provider `{provider}` expects one. "
            "Start it (`ollama serve`, LM Studio's local server, or `llama-server`), or say where it is: "
            f"CODEX_OSS_PORT, CODEX_OSS_BASE_URL, or `base_url` in `[model_providers.{provider}]`"
        ) from error
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
