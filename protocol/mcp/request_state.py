"""The state that a client returns with its answers (MCP 2026-07-28), signed so that it cannot be forged.

A state identifies the waiting call and its conversation. It is valid only for the same tool and arguments, and for a
limited time. It is signed but not encrypted, since nothing in it is secret.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import Final

import msgspec

from greenroom.protocol.ids import ConversationId

KEY_SIZE: Final = 32
"""Bytes of the signing key."""
_TAG_SIZE: Final = hashlib.sha256().digest_size


class StateError(ValueError):
    """A state is forged, was made for another call, or is too old. The text is only for the log."""


class CallState(msgspec.Struct, frozen=True, array_like=True):
    """The content of a state."""

    call: str
    """The id of the call, constant since its first round."""
    conversation_id: ConversationId
    request: str
    """Fingerprint of the tool and its arguments (`fingerprint`)."""
    run: str
    """The run of the server in which the call is waiting."""
    expires: float
    """Expiry, in seconds since the epoch."""


_decode: Final = msgspec.json.Decoder(CallState).decode


def fingerprint(tool: str, arguments: bytes) -> str:
    """Return a fingerprint of a tool and its arguments that does not depend on how their JSON is written."""
    value = msgspec.json.decode(arguments)
    return hashlib.sha256(msgspec.json.encode([tool, value], order="sorted")).hexdigest()


def seal(state: CallState, key: bytes) -> str:
    """Return the text for the client to return."""
    payload = msgspec.json.encode(state)
    return urlsafe_b64encode(_tag(payload, key) + payload).decode()


def unseal(text: str, request: str, key: bytes, now: float) -> CallState:
    """Return the content of a state that came with a request of this fingerprint. Raises `StateError`."""
    try:
        data = urlsafe_b64decode(text.encode("ascii"))
    except (UnicodeEncodeError, Base64Error):
        raise StateError("it was not made here") from None
    tag, payload = data[:_TAG_SIZE], data[_TAG_SIZE:]
    if not hmac.compare_digest(tag, _tag(payload, key)):
        raise StateError("its signature is wrong")
    state = _decode(payload)
    if state.request != request:
        raise StateError("it was made for another request")
    if now >= state.expires:
        raise StateError("it is too old")
    return state


def run_named(text: str) -> str | None:
    """Return the run that a state names, which is not checked; `None` where it is no state at all."""
    try:
        return _decode(urlsafe_b64decode(text.encode("ascii"))[_TAG_SIZE:]).run
    except (UnicodeError, Base64Error, msgspec.MsgspecError):
        return None


def _tag(payload: bytes, key: bytes) -> bytes:
    return hmac.digest(key, b"request state 1:" + payload, "sha256")
