"""Passes HTTP requests on to another host of the home, which replaces this one or is replaced by it."""

from typing import Final

import aiohttp
from aiohttp import web

from greenroom.supervisor.frontend.http.posted import EVENT_STREAM
from greenroom.supervisor.frontend.http.refusal import RefusedRequest
from greenroom.supervisor.frontend.http.request_head import RequestHead

MARK: Final = "greenroom-forwarded"
"""A header of requests that were passed on once, and are not again; and of the answer that a session is not there."""
NO_SESSION: Final = 404
"""The status of an answer that has the header too, where there is no such session."""
_PIECE: Final = 64 * 1024
_OF_THE_CONNECTION: Final = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that are about one connection (RFC 9110, section 7.6.1), or are made anew."""


class Forwarder:
    """The way to one other host. Must be made on the running loop; `close` it at the end."""

    def __init__(self, path: str, *, closes: bool) -> None:
        """`path` is that of the Unix socket at which the other host takes requests.

        With `closes` the connections of clients end with what is passed on.
        """
        self._closes = closes
        self._client = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path, limit=0),
            timeout=aiohttp.ClientTimeout(total=None, connect=5.0),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
        )

    @staticmethod
    def may_pass(head: RequestHead) -> bool:
        """Tell whether a request has not been passed on yet."""
        return head.one(MARK) is None

    async def pass_on(self, request: web.BaseRequest, body: bytes | None) -> web.StreamResponse | None:
        """Return the answer of the other host; `None` where that is gone, or has no such session.

        Raises `RefusedRequest` where it has ended meanwhile.
        """
        headers = [(name, value) for name, value in request.headers.items() if _is_kept(name)]
        headers.append((MARK, "1"))
        try:
            answer = await self._client.request(
                request.method, f"http://host{request.rel_url}", headers=headers, data=body, allow_redirects=False
            )
        except aiohttp.ClientConnectorError:
            return None
        except aiohttp.ClientError:  # it may have begun: nothing is done twice
            text = "overloaded: the host that was to serve this has ended; try again"
            raise RefusedRequest(503, text, headers={"Retry-After": "1"}) from None
        try:
            if answer.status == NO_SESSION and answer.headers.get(MARK):
                return None
            return await self._relay(request, answer)
        finally:
            answer.close()

    async def _relay(self, request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        """Send an answer on as it comes; one that breaks off ends the connection, so that its client continues it."""
        headers = [(name, value) for name, value in answer.headers.items() if _is_kept(name)]
        try:
            if answer.content_type != EVENT_STREAM:
                return _with_headers(web.Response(status=answer.status, body=await answer.read()), headers)
            response = _with_headers(web.StreamResponse(status=answer.status), headers)
            response.enable_chunked_encoding()
            if self._closes:
                response.force_close()
            await response.prepare(request)
            async for piece in answer.content.iter_chunked(_PIECE):
                await response.write(piece)
            await response.write_eof()
        except aiohttp.ClientError:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the other host has broken off, or the client has left") from None
        return response

    async def close(self) -> None:
        """End the connections to the other host."""
        await self._client.close()


def _with_headers(response: web.StreamResponse, headers: list[tuple[str, str]]) -> web.StreamResponse:
    for name, value in headers:
        response.headers[name] = value
    return response


def _is_kept(name: str) -> bool:
    return name.lower() not in _OF_THE_CONNECTION
