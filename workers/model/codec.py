"""Encoders and decoders for the two APIs of providers."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from greenroom.workers.model.request import ModelRequest, RequestEncoder
from greenroom.workers.model.responses import ModelEvent, ResponsesDecoder

if TYPE_CHECKING:
    from greenroom.config.tables.providers import WireApi


class Encoder(Protocol):
    """Makes the bodies of one turn's requests."""

    @property
    def takes_members(self) -> bool:
        """The server gets back the other members of its answers (`History.encoded_input`)."""
        ...

    def body(self, encoded_input: bytes) -> bytes:
        """Return the body for the JSON array of items from `History.encoded_input`."""
        ...


class Decoder(Protocol):
    """Decodes one streamed answer."""

    @property
    def ended(self) -> bool:
        """The last event has been decoded: `Completed` or `Failed`."""
        ...

    def decode(self, payloads: list[bytes]) -> list[ModelEvent]:
        """Return the events of some payloads, in order. `Completed` or `Failed` comes last."""
        ...

    def end(self, *, broken: bool = False) -> list[ModelEvent]:
        """Return the last events, with `Completed` or `Failed` at their end, if the stream ends here; none if `ended`.

        `broken`: the connection broke, so the server may have had more to send.
        """
        ...


def make_encoder(wire_api: "WireApi", request: ModelRequest) -> Encoder:
    """Return the encoder of a turn's requests."""
    if wire_api == "chat":
        # Imported where it is used: most conversations never need it.
        from greenroom.workers.model.chat.request import ChatRequestEncoder

        return ChatRequestEncoder(request)
    return RequestEncoder(request)


def decoder_factory(wire_api: "WireApi") -> Callable[[], Decoder]:
    """Return the factory of decoders, one per answer."""
    if wire_api == "chat":
        from greenroom.workers.model.chat.completion import ChatDecoder

        return ChatDecoder
    return ResponsesDecoder
