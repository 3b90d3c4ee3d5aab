"""Sends requests to the model's server and yields what it streams back: the one place of a worker that speaks HTTP.

It holds no policy: `retry` decides what follows an attempt, `outcome` what its end means. Whatever ends the stream
early, a cancelled turn above all, drops the connection at once; after a complete answer it is kept for the next one.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from functools import partial
from random import random as standard_random
from typing import Final, Protocol, TypeAlias
from urllib.parse import urlsplit

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.items import JsonObject
from greenroom.protocol.telemetry.timings import AttemptOutcome, TokenUse
from greenroom.runtime.http import aiohttp, tls_context
from greenroom.workers.model.codec import Decoder
from greenroom.workers.model.credentials.credential import Bearer, Credentials, CredentialsDelayedError
from greenroom.workers.model.merged_deltas import merge_deltas
from greenroom.workers.model.outcome.account_limits import account_limits
from greenroom.workers.model.outcome.attempt import (
    IDLE_TEXT,
    AttemptResult,
    CredentialDelayed,
    HttpRefused,
    StreamBroken,
    Unreachable,
    judge,
)
from greenroom.workers.model.outcome.error_body import without
from greenroom.workers.model.outcome.finish import UNREADABLE
from greenroom.workers.model.outcome.retry import GiveUp, Retry, RetryLimits, RetryPolicy, waiting_text
from greenroom.workers.model.request_pace import RequestPace, SharedLimits, limit_key
from greenroom.workers.model.responses import Completed, ModelEvent, ResponseFailed, ResponsesDecoder
from greenroom.workers.model.transport.body import AnswerBody, NotAnAnswerError
from greenroom.workers.model.transport.body_reader import BodyReader
from greenroom.workers.model.transport.connection_failure import failure_text
from greenroom.workers.model.transport.content_coding import Expansion
from greenroom.workers.model.transport.endpoint import ModelEndpoint, visible_url
from greenroom.workers.model.transport.proxy import Proxy, applied, find_proxy, needs_tls
from greenroom.workers.model.transport.session import SessionFactory, new_session
from greenroom.workers.timings import RequestTimer, TurnTimings

READ_BUFFER: Final = 64 * 1024
"""Bytes read ahead, twice over; beyond them a consumer that stops holds up the server."""

LARGE_BODY: Final = 512 * 1024
"""Bytes of a request from which on it is written piece by piece, so that other tasks get their turn."""

REFUSAL_LIMIT: Final = 64 * 1024
"""Bytes of an error response that are read."""

REFUSAL_TIMEOUT: Final = 10.0
DRAIN_TIMEOUT: Final = 1.0
"""Seconds that the end of a body may take after the response is complete."""

EventBatch: TypeAlias = list[ModelEvent]
OnRetry: TypeAlias = Callable[[Retry], None]


class _AttemptFailedError(Exception):
    """One attempt is over, with `outcome`. Never leaves this module."""

    def __init__(self, outcome: AttemptResult, bearer: Bearer | None = None) -> None:
        super().__init__()
        self.outcome = outcome
        self.bearer = bearer


class Model(Protocol):
    """Whatever answers requests (`ModelClient`)."""

    def stream(self, body: bytes, on_retry: OnRetry) -> AsyncGenerator[list[ModelEvent], None]:
        """Send one request and yield its events, `Completed` last. After `on_retry` all is void that came before."""


class ModelClient:
    """Talks to one provider on behalf of one conversation. Close it with `aclose`."""

    def __init__(
        self,
        endpoint: ModelEndpoint,
        credentials: Credentials,
        conversation_id: ConversationId,
        *,
        new_decoder: Callable[[], Decoder] = ResponsesDecoder,
        limits: SharedLimits | None = None,
        timings: TurnTimings | None = None,
        session_factory: SessionFactory = new_session,
        new_body: Callable[[], AnswerBody] = AnswerBody,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = standard_random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`new_decoder` makes what reads one answer; `limits` knows of the rate limits that others have met;
        `timings` keeps how long requests take.

        The session is made with the first request. `new_body`, `sleep`, `random` and `clock` are for tests.
        """
        self._endpoint = endpoint
        self._credentials = credentials
        self._conversation_id = conversation_id
        self._new_decoder = new_decoder
        self._limits = limits
        self._timings = timings or TurnTimings()
        self._server = urlsplit(endpoint.url).netloc.rpartition("@")[2]
        self._session_factory = session_factory
        self._new_body = new_body
        self._sleep = sleep
        self._random = random
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[str, Proxy | None] = {}
        self._drains: set[asyncio.Task[None]] = set()
        self._kept = False
        self.account_limits: JsonObject | None = None
        """What a response has told last of the account's limits (`greenroom.workers.model.outcome.account_limits`)."""
        self.delta_window = endpoint.delta_window
        """How long deltas are gathered, in seconds (`greenroom.workers.model.transport.body_reader.EventRate`)."""

    async def aclose(self) -> None:
        """Drop all connections."""
        for drain in self._drains:
            drain.cancel()
        await asyncio.gather(*self._drains, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def stream(self, body: bytes, on_retry: OnRetry) -> AsyncGenerator[EventBatch, None]:
        """Send a request and yield its events in batches, `Completed` last; `ResponseFailed` is never yielded.

        When the stream has to start over, `on_retry` is called first: what was yielded until then is void. Wrap the
        generator in `contextlib.aclosing`, so that leaving it early drops the connection. Raises `ModelError`.
        """
        policy, pace = self._policy(), RequestPace(self._limits, self._endpoint.rate_limit_wait, self._sleep)

        def tell(seconds: float) -> None:
            on_retry(Retry(seconds, announce=True, text=waiting_text(seconds), is_paced=True))

        with self._timings.request(self._server) as timer:
            while True:
                try:
                    async with aclosing(self._attempt(body, pace, tell, timer)) as batches:
                        async for batch in batches:
                            timer.heard()
                            yield batch
                            break
                        async for batch in batches:
                            yield batch
                    return
                except _AttemptFailedError as failure:
                    failed = failure
                    timer.ended(_brief(failure.outcome))
                    decision = await self._decision(failure, policy)
                if decision is None:
                    continue
                if decision.is_paced and not pace.has_room_for(decision.after_seconds):
                    raise judge(failed.outcome, self._clock()).error from None
                if decision.announce:
                    on_retry(decision)
                if decision.is_paced and failed.bearer is not None:
                    await pace.refused(self._limit_key(failed.bearer), decision.told, decision.after_seconds)
                    continue
                await self._sleep(decision.after_seconds)

    def _policy(self) -> RetryPolicy:
        limits = RetryLimits(self._endpoint.request_max_retries, self._endpoint.stream_max_retries)
        return RetryPolicy(limits, self._random, self._clock)

    async def _decision(self, failure: _AttemptFailedError, policy: RetryPolicy) -> Retry | None:
        """Return when to try again, `None` for at once. Raises `ModelError`."""
        outcome = failure.outcome
        try:
            if await self._has_new_bearer(failure, policy):
                return None
        except CredentialsDelayedError as error:
            outcome = CredentialDelayed(str(error), error.retry_after, after_rejection=True)
        decision = policy.decide(outcome)
        if isinstance(decision, GiveUp):
            raise decision.error from None
        return decision

    async def _has_new_bearer(self, failure: _AttemptFailedError, policy: RetryPolicy) -> bool:
        bearer = failure.bearer
        refused = isinstance(failure.outcome, HttpRefused) and failure.outcome.status == 401
        if bearer is None or not bearer.renewable or not refused or not policy.may_recover():
            return False
        return await self._credentials.rejected(bearer, 401)

    def _limit_key(self, bearer: Bearer) -> str:
        return limit_key(visible_url(self._endpoint.url_for(bearer)), bearer)

    async def _attempt(
        self, body: bytes, pace: RequestPace, tell: Callable[[float], None], timer: RequestTimer
    ) -> AsyncGenerator[EventBatch, None]:
        """Yield the events of one attempt. Raises `_AttemptFailedError`."""
        try:
            bearer = await self._credentials.bearer()
            if await pace.enter(partial(self._limit_key, bearer), tell):
                bearer = await self._credentials.bearer()  # the wait may have outlived the first one
        except CredentialsDelayedError as error:
            raise _AttemptFailedError(CredentialDelayed(str(error), error.retry_after)) from None
        timer.sent()
        response = await self._response(body, bearer, timer.headers)
        self._credentials.answered(bearer, response.headers.get("date"))
        self.account_limits = account_limits(response.headers) or self.account_limits
        completed = False
        try:
            if not 200 <= response.status < 300:
                raise _AttemptFailedError(await self._refusal(response, bearer), bearer)
            async with aclosing(self._batches(response, bearer)) as batches:
                async for batch in batches:
                    completed = isinstance(batch[-1], Completed)
                    yield batch
        finally:
            if completed:
                timer.usage = _tokens(batch[-1])
                self._keep_connection(response)
            else:
                response.close()

    async def _response(self, body: bytes, bearer: Bearer, trace: Mapping[str, str]) -> aiohttp.ClientResponse:
        """Send the request and return the response as soon as its head is there."""
        try:
            async with asyncio.timeout(self._endpoint.idle_timeout):
                return await self._post_anew(body, bearer, trace)
        except aiohttp.ClientConnectorCertificateError as error:
            raise _AttemptFailedError(Unreachable(failure_text(error), permanent=True)) from error
        except (aiohttp.NonHttpUrlClientError, ValueError):
            # Its text may hold the value of a header.
            cause = "the URL, a header or the address of the proxy is not valid"
            raise _AttemptFailedError(Unreachable(cause, permanent=True)) from None
        except (aiohttp.ClientError, OSError) as error:
            idle = isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError)
            raise _AttemptFailedError(StreamBroken(IDLE_TEXT) if idle else Unreachable(failure_text(error))) from error

    async def _post_anew(self, body: bytes, bearer: Bearer, trace: Mapping[str, str]) -> aiohttp.ClientResponse:
        """Post, and again at once where it fails because the connection that was kept has died in the meantime."""
        kept, self._kept = self._kept, False
        try:
            return await self._post(body, bearer, trace)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if not kept or isinstance(error, aiohttp.ClientConnectorError):
                raise
            return await self._post(body, bearer, trace)

    async def _post(self, body: bytes, bearer: Bearer, trace: Mapping[str, str]) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = self._session_factory()
        url = self._endpoint.url_for(bearer)
        headers = {**self._endpoint.headers_for(bearer, self._conversation_id), **trace}
        proxy, proxy_headers = applied(self._proxy(url), url, headers)
        headers["content-length"] = str(len(body))
        return await self._session.post(
            url,
            data=body if len(body) < LARGE_BODY else _pieces(body),
            headers=headers,
            allow_redirects=False,
            read_bufsize=READ_BUFFER,
            timeout=aiohttp.ClientTimeout(total=None, connect=self._endpoint.connect_timeout),
            proxy=proxy,
            proxy_headers=proxy_headers,
            ssl=tls_context() if needs_tls(url, proxy) else True,
        )

    def _proxy(self, url: str) -> Proxy | None:
        if url not in self._proxies:
            self._proxies[url] = find_proxy(url)
        return self._proxies[url]

    async def _refusal(self, response: aiohttp.ClientResponse, bearer: Bearer) -> HttpRefused:
        body = bytearray()
        with suppress(aiohttp.ClientError, OSError, NotAnAnswerError):
            expansion = Expansion(response.headers.get("content-encoding", ""))
            async with asyncio.timeout(REFUSAL_TIMEOUT):
                while len(body) < REFUSAL_LIMIT and (chunk := await response.content.readany()):
                    body += b"".join(expansion.feed(chunk))
        return HttpRefused(
            status=response.status,
            headers=response.headers,
            body=without(bytes(body), self._endpoint.secrets(bearer)),
            url=visible_url(self._endpoint.url_for(bearer)),
            reason=response.reason or "",
        )

    async def _batches(self, response: aiohttp.ClientResponse, bearer: Bearer) -> AsyncGenerator[EventBatch, None]:
        body, decoder = self._new_body(), self._new_decoder()
        reader = BodyReader(response, self._endpoint.idle_timeout)
        try:
            expansion = Expansion(response.headers.get("content-encoding", ""))
            while not decoder.ended:
                chunk = await _read(reader, self.delta_window)
                if not chunk:
                    batch = [] if chunk is None else decoder.decode(body.end())
                    batch += decoder.end(broken=chunk is None)
                else:
                    payloads = [payload for piece in expansion.feed(chunk) for payload in body.feed(piece)]
                    reader.note(len(payloads))
                    batch = decoder.decode(payloads)
                    if self.delta_window:
                        batch = merge_deltas(batch)
                if batch and isinstance(failed := batch[-1], ResponseFailed):
                    if batch[:-1]:
                        yield batch[:-1]
                    raise _AttemptFailedError(StreamBroken(failed.message, failed.code), bearer)
                if batch:
                    yield batch
        except RemoteProtocolError as error:
            raise _AttemptFailedError(StreamBroken(str(error))) from error
        except NotAnAnswerError as error:
            said = without(str(error).encode(), self._endpoint.secrets(bearer)).decode()
            code = UNREADABLE if error.permanent else None
            raise _AttemptFailedError(StreamBroken(said, code)) from error
        finally:
            reader.close()

    def _keep_connection(self, response: aiohttp.ClientResponse) -> None:
        """Let the connection serve the next request, once the body has come to its end."""
        self._kept = True
        if response.content.is_eof():
            response.release()
            return
        drain = asyncio.create_task(_drain(response.content))
        self._drains.add(drain)
        drain.add_done_callback(self._drains.discard)
        # Not in the task itself: one that is cancelled before its first step runs none of its code.
        drain.add_done_callback(lambda _: response.close())


async def _read(reader: BodyReader, window: float) -> bytes | None:
    """Return what has arrived; nothing at the body's end, `None` if it breaks off. Raises `_AttemptFailedError`."""
    try:
        return await reader.read(window)
    except aiohttp.ClientPayloadError:
        return None
    except TimeoutError as error:
        raise _AttemptFailedError(StreamBroken(IDLE_TEXT)) from error
    except (aiohttp.ClientError, OSError) as error:
        raise _AttemptFailedError(StreamBroken(f"Transport error: {failure_text(error)}")) from error


async def _drain(content: aiohttp.StreamReader) -> None:
    with suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout(DRAIN_TIMEOUT):
            while await content.readany():
                pass


_OUTCOMES: Final = {Unreachable: "unreachable", StreamBroken: "broken", CredentialDelayed: "no_credential"}


def _brief(outcome: AttemptResult) -> AttemptOutcome:
    """Return an outcome without anything that the server has said."""
    return str(outcome.status) if isinstance(outcome, HttpRefused) else _OUTCOMES[type(outcome)]


def _tokens(last: ModelEvent) -> TokenUse | None:
    """Return the tokens of a complete response, if its last event tells them."""
    usage = last.usage if isinstance(last, Completed) else None
    if usage is None:
        return None
    return TokenUse(
        input=usage.input_tokens,
        cached_input=usage.cached_input_tokens,
        output=usage.output_tokens,
        reasoning_output=usage.reasoning_output_tokens,
    )


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), LARGE_BODY):
        yield body[start : start + LARGE_BODY]
