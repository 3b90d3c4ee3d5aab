"""The HTTP client library, imported without the certificates that it normally reads at import.

Reading them takes a third of the import time. Here they are read when the first `https` request needs them, or by a
fork server in an idle moment, so that all its later children share the result.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_PLACES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@contextmanager
def _no_certificates() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _PLACES}
    os.environ.update(dict.fromkeys(_PLACES, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


with _no_certificates():
    import aiohttp

__all__ = ["aiohttp", "tls_context"]


@cache
def tls_context() -> ssl.SSLContext:
    """Return the TLS context for verifying servers, shared by the whole process.

    Every request to an `https` URL must pass it: aiohttp's default context has no certificates here.
    """
    return ssl.create_default_context()
