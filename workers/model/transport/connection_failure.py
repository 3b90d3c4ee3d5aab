"""Says in a few words why a server gave no answer. What libraries say may hold addresses with passwords."""

import os

from greenroom.runtime.http import aiohttp


def failure_text(error: BaseException) -> str:
    """Return the cause of a request without an answer, for people."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"the certificate of {error.host}:{error.port} is not trusted: {error.certificate_error}"
        case aiohttp.ClientConnectorError():
            return f"cannot connect to {error.host}:{error.port}: {_reason(error.os_error)}"
        case aiohttp.ServerTimeoutError():
            return "the connection could not be made in time"
        case aiohttp.ServerDisconnectedError():
            return "the server closed the connection without an answer"
        case aiohttp.ClientResponseError():
            return f"the answer is not valid HTTP, or a proxy refused with status {error.status}"
        case aiohttp.ClientOSError():
            return type(error).__name__ if error.errno is None else os.strerror(error.errno)
        case OSError():
            return _reason(error)
        case _:
            return type(error).__name__


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
