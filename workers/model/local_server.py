"""Sees whether a model server of this machine runs, and says what to do where none does."""

import asyncio
import contextlib
from typing import Final
from urllib.parse import urlsplit

from greenroom.protocol.errors import ModelError
from greenroom.workers.model.endpoint import visible_url
from greenroom.workers.model.proxy import find_proxy

TIMEOUT: Final = 2.0
"""Seconds that the server has for taking a connection."""
_PORTS: Final = {"http": 80, "https": 443}


async def require(base_url: str, provider: str) -> None:
    """Return if something listens where a local provider should be. Raises `ModelError`, with advice, if not.

    Retrying would help nobody: whoever forgot to start a server wants to be told at once.
    """
    if find_proxy(base_url) is not None:  # then only the proxy can tell
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
