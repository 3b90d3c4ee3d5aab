"""Writes the default model of new conversations into `config.toml`, preserving everything else."""

from collections.abc import MutableMapping

import msgspec
import tomlkit

from greenroom.protocol.conversation_api import SetDefaultModel
from greenroom.workers.job_context import Setting
from greenroom.workers.jobs.config_file import change_config


async def run(params: bytes, setting: Setting) -> bytes:
    """Change the file. Raises `JobError`; the file is then unchanged."""
    wanted = msgspec.json.decode(params, type=SetDefaultModel)
    change_config(setting.home, lambda text, _: with_default_model(text, wanted))
    return b"{}"


def with_default_model(text: str, wanted: SetDefaultModel) -> str:
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
