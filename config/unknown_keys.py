"""Finds the keys of `config.toml` that mean nothing here, and for each the known key that may have been meant.

Unknown keys are no error, because much of the file is for other programs. One that is nearly a known key is probably a
slip of the pen, and then a setting that the user believes in has no effect. Free of I/O.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, get_args, get_origin

from msgspec.structs import fields

from greenroom.config.document import Table
from greenroom.config.invalid_value import is_table, value_forms
from greenroom.config.mcp_logins import McpLoginSettings
from greenroom.config.schema import ConfigFile, Profile
from greenroom.config.tables.account_service import AccountServiceSettings
from greenroom.config.tables.greenroom import CredentialSettings
from greenroom.config.tables.otel import KEY as OTEL
from greenroom.config.tables.otel import OtelTable

SIMILAR: Final = 0.8
"""Share of equal characters (`difflib`) from which on a key counts as misspelt."""

FOREIGN: Final = frozenset(
    {
        *("agents", "analytics", "apps", "audio", "auto_review", "check_for_update_on_startup"),
        *("commit_attribution", "debug", "default_permissions", "desktop", "disable_paste_burst", "experimental_mode"),
        *("experimental_use_freeform_apply_patch", "experimental_use_unified_exec_tool", "features", "feedback"),
        *("file_opener", "ghost_snapshot", "hide_agent_reasoning", "hooks", "include_apply_patch_tool", "instructions"),
        *("js_repl_node_path", "log_dir", "marketplaces", "memories", "model_catalog_json", "model_instructions"),
        *("network", "notice", "orchestrator", "permissions", "personality", "plan_mode_reasoning_effort"),
        *("plugins", "projects", "realtime", "review_model", "service_tier", "skills", "sqlite_home", "tool_suggest"),
        *("disable_response_storage", "suppress_unstable_features_warning", "tui", "windows", "zsh_path"),
    }
)
"""Top-level keys of Codex that have no effect here, or are read elsewhere. None is a misspelling of another."""

_TOP: Final = frozenset(
    field.encode_name
    for kind in (ConfigFile, CredentialSettings, McpLoginSettings, AccountServiceSettings)
    for field in fields(kind)
) | {OTEL}


class UnknownKey(NamedTuple):
    """A key that has no effect."""

    path: tuple[str, ...]
    nearest: str | None
    """The last part of the known key that it resembles; `None` where it resembles none."""


def unknown_keys(table: Table) -> list[UnknownKey]:
    """Return the keys of a file that mean nothing here, in the order of the file; not those of `FOREIGN`."""
    found = [UnknownKey((key,), _nearest(key, _TOP)) for key in table if key not in _TOP | FOREIGN]
    known = {**{field.encode_name: field.type for field in fields(ConfigFile)}, OTEL: OtelTable}
    below = [unknown for key, value in table.items() if key in known for unknown in _below(value, known[key], (key,))]
    return [*found, *below]


def _below(value: object, kind: object, path: tuple[str, ...]) -> Iterator[UnknownKey]:
    for form in value_forms(kind):
        if isinstance(value, dict) and is_table(form.kind):
            yield from _in_table(value, form.kind, path)
        elif isinstance(value, dict) and get_origin(form.kind) is dict:
            for name, member in value.items():
                yield from _below(member, get_args(form.kind)[1], (*path, name))
        elif isinstance(value, list | tuple) and get_origin(form.kind) is tuple:
            for member in value:
                yield from _below(member, get_args(form.kind)[0], path)


def _in_table(table: Mapping[str, object], kind: type, path: tuple[str, ...]) -> Iterator[UnknownKey]:
    known = {field.encode_name: field.type for field in fields(kind)}
    allowed = known.keys() | (_TOP | FOREIGN if kind is Profile else frozenset())
    for key, value in table.items():
        if key in known:
            yield from _below(value, known[key], (*path, key))
        elif key not in allowed and key != kind.__struct_config__.tag_field:  # type: ignore[attr-defined]
            yield UnknownKey((*path, key), _nearest(key, frozenset(known)))


def _nearest(key: str, known: frozenset[str]) -> str | None:
    """Return the known key that resembles another the most; of several equally near ones the first by name."""
    matches = difflib.get_close_matches(key, sorted(known), n=1, cutoff=SIMILAR)
    return matches[0] if matches else None
