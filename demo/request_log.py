"""The requests received by the scripted model, bounded in number and size, and without credentials."""

import hashlib
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import msgspec

from greenroom.demo.model_request import DecodedRequest

_CONVERSATIONS: Final = 10_000
"""Steps whose attempts are counted before the oldest is dropped."""


def credential_digest(credential: str) -> str:
    """Return a digest of a credential for the log, so that a test can distinguish credentials."""
    return hashlib.sha256(credential.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class RecordedRequest:
    """One request as received."""

    number: int
    """Counts from 1."""
    arrived: float
    """When its head was read, in seconds of `time.monotonic()`, which all processes on a Linux machine share."""
    method: str
    path: str
    headers: Mapping[str, str]
    """By lower-case name, without `authorization`."""
    credential: str | None
    """The `credential_digest` of the credential in `Authorization`, `None` if there was no such header."""
    body: bytes = field(repr=False)

    @property
    def authorized(self) -> bool:
        """Whether there was an `Authorization` header."""
        return self.credential is not None

    @property
    def is_chat(self) -> bool:
        """Whether it asks for a chat completion."""
        return self.path.endswith("/chat/completions")

    @cached_property
    def json(self) -> dict[str, object]:
        """The body. Raises `msgspec.DecodeError` if it is not a JSON object."""
        return msgspec.json.decode(self.body, type=dict[str, object])

    @cached_property
    def request(self) -> DecodedRequest:
        """The body as seen by a script. Raises `msgspec.DecodeError` if it is not a model request."""
        return DecodedRequest.decode_chat(self.body) if self.is_chat else DecodedRequest.decode(self.body)


class RequestLog:
    """The newest requests, oldest first. Beyond either bound the oldest are dropped."""

    def __init__(self, max_requests: int = 10_000, max_bytes: int = 256 * 1024 * 1024) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._kept: deque[RecordedRequest] = deque()
        self._bytes = 0
        self._total = 0

    @property
    def total(self) -> int:
        """How many have arrived, including dropped ones."""
        return self._total

    def record(
        self, arrived: float, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> RecordedRequest:
        """Store one request."""
        open_headers = {name.lower(): value for name, value in headers.items()}
        authorization = open_headers.pop("authorization", None)
        credential = (
            None if authorization is None else credential_digest(authorization.partition(" ")[2] or authorization)
        )
        self._total += 1
        recorded = RecordedRequest(self._total, arrived, method, path, open_headers, credential, body)
        self._kept.append(recorded)
        self._bytes += len(body)
        while len(self._kept) > self._max_requests or (self._bytes > self._max_bytes and len(self._kept) > 1):
            self._bytes -= len(self._kept.popleft().body)
        return recorded

    def after(self, number: int) -> list[RecordedRequest]:
        """Return the stored requests after request `number`."""
        return [recorded for recorded in self._kept if recorded.number > number]

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[RecordedRequest]:
        return iter(tuple(self._kept))

    def __getitem__(self, index: int) -> RecordedRequest:
        return self._kept[index]


class Attempts:
    """Counts the requests of each conversation for the same step, so that a step can fail only at first."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str, int], int] = OrderedDict()

    def count(self, request: DecodedRequest) -> int:
        """Return the attempt number of this request, from 1."""
        key = (request.conversation, request.message, len(request.outputs))
        self._counts[key] = attempt = self._counts.pop(key, 0) + 1
        if len(self._counts) > _CONVERSATIONS:
            self._counts.popitem(last=False)
        return attempt
