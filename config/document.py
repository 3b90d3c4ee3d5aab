"""Parses one TOML file into plain values, and reports where it is malformed."""

import re
import tomllib
from typing import Final, TypeAlias

from greenroom.config.encoding import EncodingError, decode_text
from greenroom.config.reason import reason
from greenroom.protocol.errors import ConfigError

Table: TypeAlias = dict[str, object]
"""What TOML parses to: strings, numbers, booleans, dates, lists and further tables by key."""

_POSITION: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def read_document(path: str) -> Table:
    """Return the file's top-level table, empty if there is no file. Raises `ConfigError`."""
    try:
        with open(path, "rb") as stream:
            content = stream.read()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"failed to read {path}: {reason(error)}") from error
    return _parse(path, content)


def _parse(path: str, content: bytes) -> Table:
    try:
        text = decode_text(content)
    except EncodingError as error:
        raise ConfigError(f"failed to parse {path}: {error}") from None
    except UnicodeDecodeError as error:
        line, column = _end(error.object[: error.start].decode("utf-8"))
        raise ConfigError(f"failed to parse {path} at line {line}, column {column}: not UTF-8") from None
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"failed to parse {path}: nested too deeply") from None
    except ValueError as error:
        # `from None`: the chained error would contain the whole file, secrets included.
        raise ConfigError(f"failed to parse {path} {_fault(text, str(error))}") from None


def _fault(text: str, message: str) -> str:
    position = _POSITION.search(message)
    if position is None:
        return f"as TOML: {message}"
    line, column = (int(position[1]), int(position[2])) if position[1] else _end(text)
    return f"at line {line}, column {column}: {message[: position.start()]}"


def _end(text: str) -> tuple[int, int]:
    """Return the line and column, both from 1, of the position after `text`."""
    return text.count("\n") + 1, len(text) - text.rfind("\n")
