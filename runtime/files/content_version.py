"""Names the content of a file, so that a later change of it is noticed."""

import hashlib


def version_of(path: str) -> str:
    """Return the version of a file; that of an empty one where there is none. Raises `OSError` for other reasons."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        content = b""
    return version_of_content(content)


def version_of_content(content: bytes) -> str:
    """Return the version of a file with this content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
