"""Checks of the configuration: whether it can be used, where its values come from, and keys without effect."""

import os
from collections.abc import Iterator, Sequence
from typing import Final

from greenroom.config.document import read_document
from greenroom.config.error_text import dotted
from greenroom.config.home import PROTECTED_PREFIX
from greenroom.config.layers import CONFIG_FILE
from greenroom.config.overrides import parse_assignment
from greenroom.config.provenance import chosen_profile, value_origins
from greenroom.config.rules.rules_files import FOLDER, SUFFIX
from greenroom.config.settings import Settings
from greenroom.config.tables.greenroom import credential_settings, server_settings
from greenroom.config.tables.otel import otel_settings
from greenroom.config.unknown_keys import UnknownKey, unknown_keys
from greenroom.protocol.errors import ConfigError
from greenroom.runtime.originator import ORIGINATOR
from greenroom.runtime.threads.daemon_thread import in_thread
from greenroom.supervisor.cli.doctor.check_context import CheckContext, settings_of, table_of
from greenroom.supervisor.cli.doctor.finding import Detail, Finding, Problem, combined_finding

VARIABLES: Final = (
    *("CODEX_HOME", "CODEX_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "CODEX_OSS_PORT", "CODEX_OSS_BASE_URL"),
    *("GREENROOM_LOG", "GREENROOM_LOG_FORMAT", ORIGINATOR),
)
"""Variables that act on the settings; only whether they are set is told."""

CORRECT: Final = "Correct it, or take it out; then run `greenroom doctor` again."


async def layers(context: CheckContext) -> Finding:
    """Tell whether every layer of the configuration can be read, and which layer each value comes from."""
    details: dict[str, Detail] = {"layers": await in_thread(lambda: list(_layers(context)))}
    if context.home_fault:
        return Finding("fail", context.home_fault, details, "Set CODEX_HOME to an existing directory, or unset it.")
    if context.dotenv_fault:
        return Finding("fail", context.dotenv_fault, details, "Make the file readable UTF-8, or remove it.")
    try:
        settings = await context.shared(settings_of)
        details |= await in_thread(lambda: _values(context, settings))
        await in_thread(lambda: _check_server(context))
    except ConfigError as error:
        return Finding("fail", str(error), details, f"{_culprit(str(error))} {CORRECT}")
    problems = [Problem("warning", warning, CORRECT) for warning in settings.warnings]
    problems += await in_thread(lambda: list(_otel_problems(context)))
    return combined_finding(problems, "every layer can be read", details)


async def keys(context: CheckContext) -> Finding:
    """Find keys that have no effect, above all those that are nearly a known key."""
    unknown = unknown_keys(await context.shared(table_of))
    misspelt = [key for key in unknown if key.nearest is not None]
    others = [dotted(key.path) for key in unknown if key.nearest is None]
    details: dict[str, Detail] = {"unknown, without effect": others} if others else {}
    remedies = [f"write {_in_place_of(key)}" for key in misspelt]
    problems = [
        Problem(
            "warning", f"`{dotted(key.path)}` is not a known key; `{key.nearest}` is", f"In {CONFIG_FILE}, {remedy}."
        )
        for key, remedy in zip(misspelt, remedies, strict=True)
    ]
    return combined_finding(problems, "no key looks misspelt", details)


def _in_place_of(key: UnknownKey) -> str:
    return f"`{dotted((*key.path[:-1], str(key.nearest)))}` for `{dotted(key.path)}`, or remove it"


def _culprit(fault: str) -> str:
    return "The message names the place." if "`" in fault or " at line " in fault else "See the message."


def _check_server(context: CheckContext) -> None:
    """Read the settings of the server itself. Raises `ConfigError`."""
    server_settings(context.home, context.config_overrides)
    credential_settings(context.home)


def _otel_problems(context: CheckContext) -> Iterator[Problem]:
    """Yield what is wrong with `[otel]`, which costs a server nothing but its telemetry."""
    try:
        otel_settings(context.home, context.config_overrides)
    except ConfigError as error:
        yield Problem("warning", f"{error}; no telemetry is sent", CORRECT)


def _layers(context: CheckContext) -> Iterator[str]:
    """Name the layers, the weakest first."""
    yield "built-in defaults"
    path = os.path.join(context.home, CONFIG_FILE)
    yield f"{path} ({os.path.getsize(path)} bytes)" if os.path.isfile(path) else f"{path} (there is none)"
    dotenv = os.path.join(context.home, ".env")
    if os.path.lexists(dotenv):
        yield f"{dotenv} (variables of the environment, but for {PROTECTED_PREFIX}…)"
    rules = _rules(os.path.join(context.home, FOLDER))
    if rules:
        yield f"{os.path.join(context.home, FOLDER)} ({len(rules)} files of rules)"
    present = [name for name in VARIABLES if context.environment.get(name, "").strip()]
    if present:
        yield f"the environment: {', '.join(present)}"
    if context.config_overrides:
        yield f"-c ({len(context.config_overrides)} settings)"


def _rules(folder: str) -> Sequence[str]:
    try:
        return [name for name in os.listdir(folder) if name.endswith(SUFFIX)]
    except OSError:
        return ()


def _values(context: CheckContext, settings: Settings) -> dict[str, Detail]:
    file = read_document(os.path.join(context.home, CONFIG_FILE))
    assignments = [parse_assignment(text) for text in context.config_overrides]
    given = next((str(one.value) for one in reversed(assignments) if one.path == ("profile",)), None)
    profile = chosen_profile(file, given)
    found = value_origins(file, assignments, profile)
    known = {origin.key: origin.layer for origin in found}
    main = {
        "model": settings.model,
        "model_provider": settings.provider_id,
        "approval_policy": settings.approval_policy,
        "sandbox_mode": settings.sandbox_policy.type,
    }
    lines = [f"{key} = {value} ({known.get(key, 'default')})" for key, value in main.items()]
    lines += [f"{origin.key} = {origin.value} ({origin.layer})" for origin in found if origin.key not in main]
    details: dict[str, Detail] = {"values": lines}
    return details if profile is None else {**details, "profile": profile}
