"""Changes `config.toml` and preserves everything else: comments, order, blanks, byte order mark and permissions."""

import codecs
import os
import tempfile
from collections.abc import Callable
from typing import NamedTuple

from tomlkit.exceptions import TOMLKitError

from greenroom.config.encoding import EncodingError, decode_text
from greenroom.config.layers import CONFIG_FILE
from greenroom.runtime.files.content_version import version_of_content
from greenroom.sessions.storage.directory import make_private, sync
from greenroom.workers.job_context import JobError


class Written(NamedTuple):
    """The file after a change."""

    path: str
    """With links followed."""
    version: str
    """Of its content."""


def change_config(home: str, change: Callable[[str, str], str]) -> Written:
    """Replace the text of the file by what `change` makes of it and its version. Raises `JobError`.

    The file is unchanged if that raises.
    """
    path = os.path.realpath(os.path.join(home, CONFIG_FILE))
    try:
        make_private(os.path.dirname(path))
        content = _read(path)
        mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
        changed = mark + change(decode_text(content), version_of_content(content)).encode()
        _replace(path, changed)
    except OSError as error:
        raise JobError(f"{path}: {error.strerror}") from error
    except EncodingError as error:
        raise JobError(f"{path} cannot be read: {error}") from None
    except (TOMLKitError, ValueError) as error:  # the error's text may quote the file
        raise JobError(f"{path} is no TOML ({type(error).__name__})") from None
    return Written(path, version_of_content(changed))


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def _replace(path: str, content: bytes) -> None:
    """Replace the file atomically, preserving its permissions."""
    folder = os.path.dirname(path)
    descriptor, temporary = tempfile.mkstemp(prefix=".config.toml.", dir=folder)
    try:
        with open(descriptor, "wb") as file:
            if os.path.exists(path):
                os.fchmod(descriptor, os.stat(path).st_mode & 0o777)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    sync(folder)
