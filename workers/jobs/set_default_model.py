"""Writes the default model of new conversations into `config.toml`, preserving everything else."""

import codecs
import os
import tempfile
from collections.abc import MutableMapping

import msgspec
import tomlkit
from tomlkit.exceptions import TOMLKitError

from greenroom.config.encoding import EncodingError, decoded
from greenroom.config.layers import CONFIG_FILE
from greenroom.protocol.conversation_api import SetDefaultModel
from greenroom.sessions.directory import make_private, sync
from greenroom.workers.jobs.context import JobError, Setting


async def run(params: bytes, setting: Setting) -> bytes:
    """Change the file. Raises `JobError`; the file is then unchanged."""
    wanted = msgspec.json.decode(params, type=SetDefaultModel)
    path = os.path.realpath(os.path.join(setting.home, CONFIG_FILE))
    try:
        make_private(os.path.dirname(path))
        content = _read(path)
        mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
        _replace(path, mark + changed(decoded(content), wanted).encode())
    except OSError as error:
        raise JobError(f"{path}: {error.strerror}") from error
    except EncodingError as error:
        raise JobError(f"{path} cannot be read: {error}") from None
    except (TOMLKitError, ValueError) as error:  # the error's text may quote the file
        raise JobError(f"{path} is no TOML ({type(error).__name__})") from None
    return b"{}"


def changed(text: str, wanted: SetDefaultModel) -> str:
    """Return the file's text with the model and its effort set in the active profile, or else at the top level.

    Raises `TOMLKitError` if the text is not TOML.
    """
    document = tomlkit.parse(text)
    table: MutableMapping[str, object] = document
    profile = document.get("profile")
    if isinstance(profile, str):
        profiles = document.setdefault("profiles", tomlkit.table(is_super_table=True))
        table = profiles.setdefault(profile, tomlkit.table())
    for key, value in (("model", wanted.model), ("model_reasoning_effort", wanted.reasoning_effort)):
        if value is not None:
            table[key] = value
        else:
            table.pop(key, None)
    return tomlkit.dumps(document)


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
