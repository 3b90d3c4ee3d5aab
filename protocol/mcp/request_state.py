"""The state that a client hands back with its answers (MCP 2026-07-28): sealed, so that only what we said comes back.

A state names the call that waits for the answers and its conversation. It counts for the very same tool and arguments
only, and for a limited time. It is signed, not encrypted: nothing in it is a secret.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import Final

import msgspec

from greenroom.protocol.ids import ConversationId

KEY_SIZE: Final = 32
"""Bytes of the key that signs."""
_TAG_SIZE: Final = hashlib.sha256().digest_size


class StateError(ValueError):
    """A state is not one of ours, was made for something else, or is too old. The text is for the log only."""


class CallState(msgspec.Struct, frozen=True, array_like=True):
    """What a state says."""

    call: str
    """The id that the call has had since its first round."""
    conversation_id: ConversationId
    request: str
    """Fingerprint of the tool and its arguments (`fingerprint`)."""
    run: str
    """The run of the server in which the call waits."""
    expires: float
    """Seconds since the epoch from which on it counts no more."""


_decode: Final = msgspec.json.Decoder(CallState).decode


def fingerprint(tool: str, arguments: bytes) -> str:
    """Return what a tool and its arguments have in common with no others, however their JSON is written."""
    value = msgspec.json.decode(arguments)
    return hashlib.sha256(msgspec.json.encode([tool, value], order="sorted")).hexdigest()


def seal(state: CallState, key: bytes) -> str:
    """Return the text that the client hands back."""
    payload = msgspec.json.encode(state)
    return urlsafe_b64encode(_tag(payload, key) + payload).decode()


def unseal(text: str, request: str, key: bytes, now: float) -> CallState:
    """Return what a state says that comes with a request of this fingerprint. Raises `StateError`."""
    try:
        data = urlsafe_b64decode(text.encode("ascii"))
    except (UnicodeEncodeError, Base64Error):
        raise StateError("it is no text of ours") from None
    tag, payload = data[:_TAG_SIZE], data[_TAG_SIZE:]
    if not hmac.compare_digest(tag, _tag(payload, key)):
        raise StateError("its signature is wrong")
    state = _decode(payload)
    if state.request != request:
        raise StateError("it was made for another request")
    if now >= state.expires:
        raise StateError("it is too old")
    return state


def _tag(payload: bytes, key: bytes) -> bytes:
    return hmac.digest(key, b"request state 1:" + payload, "sha256")
