"""The params of requests, and the refusal of a request with an error. Needed before there is an event loop."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from greenroom.protocol.jsonrpc import INVALID_PARAMS, Request

T = TypeVar("T")


class RefusedError(Exception):
    """The request is answered with an error."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


def decode(request: Request, kind: type[T], absent: bytes = b"null", *, quotes: bool = True) -> T:
    """Decode the params of a request; `absent` is the JSON that stands for missing ones. Raises `RefusedError`.

    `quotes` tells whether the error's text may say what is wrong: it then repeats parts of the params.
    """
    return read_params(request, msgspec.json.Decoder(kind).decode, absent, quotes=quotes)


def read_params(request: Request, read: Callable[[bytes], T], absent: bytes = b"null", *, quotes: bool = True) -> T:
    """Decode the params of a request with `read`, otherwise as `decode` does. Raises `RefusedError`."""
    try:
        return read(request.params or absent)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        reason = f": {error}" if quotes else ""
        raise RefusedError(INVALID_PARAMS, f"invalid params for {request.method}{reason}") from None
