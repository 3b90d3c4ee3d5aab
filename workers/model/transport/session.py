"""The HTTP session of a model client, with its pool of connections."""

from collections.abc import Callable
from typing import Final, TypeAlias

from greenroom.runtime.http import aiohttp

KEEP_ALIVE: Final = 60.0
"""Seconds that an idle connection is kept."""

SessionFactory: TypeAlias = Callable[[], aiohttp.ClientSession]


def new_session() -> aiohttp.ClientSession:
    """Return a session without cookies, limits or knowledge of the environment. Needs a running loop.

    What is compressed is left so (`greenroom.workers.model.transport.content_coding`).
    """
    return aiohttp.ClientSession(
        auto_decompress=False,
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )
