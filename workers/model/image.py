"""Images for models: types, maximum size, and encoding. Free of I/O.

An image is passed on unchanged. Servers scale down images that are too large for their models.
"""

import base64
import binascii
import re
from typing import Final

LARGEST: Final = 20 * 1024 * 1024
"""Maximum bytes of an image."""
TOO_LARGE: Final = f"it is larger than {LARGEST // 1024 // 1024} MiB"
UNSUPPORTED: Final = "invalid or unsupported image data"

_SIGNATURES: Final = (
    ("image/png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("image/jpeg", re.compile(rb"\xff\xd8\xff")),
    ("image/gif", re.compile(rb"GIF8[79]a")),
    ("image/webp", re.compile(rb"RIFF....WEBP", re.DOTALL)),
)
_LONGEST_SIGNATURE: Final = 12
_DATA: Final = re.compile(r"data:image/[\w.+-]+;base64,", re.ASCII | re.IGNORECASE)
_PLAIN: Final = re.compile(r"https?://", re.IGNORECASE)


class ImageError(ValueError):
    """Not an image, or of an unsupported type. The text completes a sentence."""


def data_url(data: bytes) -> str:
    """Return an image as a data URL. Raises `ImageError`."""
    if len(data) > LARGEST:
        raise ImageError(TOO_LARGE)
    return f"data:{_media_type(data)};base64,{base64.b64encode(data).decode('ascii')}"


def checked_url(url: str) -> str:
    """Return the URL of an image if it may be sent to a server, with its media type corrected.

    Raises `ImageError` if it is neither on the web nor an image in base64. The URL is not decoded as a whole, because
    it is long and the server checks it anyway.
    """
    if _PLAIN.match(url):
        return url
    head = _DATA.match(url)
    if head is None:
        raise ImageError("it is given neither as https: nor as data: in base64")
    if len(url) - head.end() > -(-LARGEST // 3) * 4:
        raise ImageError(TOO_LARGE)
    try:
        start = base64.b64decode(url[head.end() : head.end() + -(-_LONGEST_SIGNATURE // 3) * 4], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError(UNSUPPORTED) from error
    return f"data:{_media_type(start)};base64,{url[head.end() :]}"


def _media_type(data: bytes) -> str:
    """Determine the type from the content, not the name: servers reject the whole request if the two differ."""
    media_type = next((kind for kind, signature in _SIGNATURES if signature.match(data)), None)
    if media_type is None:
        raise ImageError(UNSUPPORTED)
    return media_type
