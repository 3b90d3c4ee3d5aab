"""Reads the arguments that the model gave a tool; what is wrong with them is said to the model."""

from typing import Any, Final, TypeVar

import msgspec

from greenroom.workers.tools.types import ToolFailure

T = TypeVar("T")

PREFIX: Final = "failed to parse function arguments: "


_decoders: Final[dict[type, msgspec.json.Decoder[Any]]] = {}


def _decoder(form: type[T]) -> msgspec.json.Decoder[T]:
    decoder = _decoders.get(form)
    if decoder is None:
        decoder = _decoders[form] = msgspec.json.Decoder(form)
    return decoder


def parse(arguments: str, form: type[T]) -> T:
    """Decode JSON arguments into their form. Raises `ToolFailure` with what the model should know."""
    try:
        return _decoder(form).decode(arguments)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ToolFailure(f"{PREFIX}{error}") from error
