"""Generates the tables of docs/wire.md from `greenroom.protocol.methods`, `catalog`, `events` and
`greenroom.protocol.mcp.toolset`.

`make docs` writes them. `python tools/docs/wire.py --check` only checks whether they are up to date, by its exit
status.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, get_type_hints

import msgspec
from generated import GeneratedPage
from msgspec import UNSET

from greenroom.protocol import catalog
from greenroom.protocol.catalog import SentMessage, params_models
from greenroom.protocol.events.event import Event
from greenroom.protocol.events.table import EVENTS
from greenroom.protocol.mcp.toolset import TOOLS
from greenroom.protocol.methods import METHODS, Eras

PAGE: Final = Path(__file__).parents[2] / "docs" / "wire.md"
BEGIN: Final = "<!-- tables: made by tools/docs/wire.py -->\n"
END: Final = "<!-- end of tables -->\n"
_ERAS: Final[dict[Eras, str]] = {"all": "all", "handshake": "handshake", "stateless": "2026-07-28"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def members(models: Iterable[type[msgspec.Struct]]) -> str:
    """Return the names of the structs' fields; optional ones end with a question mark."""
    fields = {field.encode_name: field for model in models for field in msgspec.structs.fields(model)}
    return ", ".join(f"`{name}{'' if field.required else '?'}`" for name, field in fields.items()) or "none"


def methods() -> str:
    """Return the table of methods."""
    rows = [
        (f"`{name}`", _ERAS[method.eras], members(params_models(method)), method.meaning)
        for name, method in METHODS.items()
    ]
    return "## Methods\n\n" + table(("Method", "Eras", "Params", "Purpose"), rows)


def tools() -> str:
    """Return the table of tools."""
    rows = []
    for tool in TOOLS:
        schema = msgspec.convert(tool["inputSchema"], dict[str, object])
        required = msgspec.convert(schema.get("required", []), list[str])
        names = msgspec.convert(schema["properties"], dict[str, object])
        arguments = ", ".join(f"`{name}{'' if name in required else '?'}`" for name in names)
        rows.append((f"`{tool['name']}`", arguments, str(tool["description"])))
    return "## Tools\n\n" + table(("Tool", "Arguments", "What it does"), rows)


def messages(title: str, sent: tuple[SentMessage, ...]) -> str:
    """Return the table of messages that the server sends."""
    rows = [(f"`{message.name}`", message.params, message.meaning) for message in catalog.served(sent)]
    return f"## {title}\n\n" + table(("Method", "Params", "When it is sent"), rows)


def events() -> str:
    """Return the table of events, in the order of a turn."""
    rows = [(f"`{name}`", _fields(model), _first_line(model), model.since) for name, model in EVENTS.items()]
    return "## Events\n\n" + table(("`type`", "Members", "When it is sent", "Since"), rows)


def errors() -> str:
    """Return the tables of error codes and of kinds of failed calls."""
    codes = [(f"`{code.number}`", code.name, code.cause) for code in catalog.CODES]
    kinds = [(f"`{kind}`", cause) for kind, cause in catalog.KINDS.items()]
    return (
        "## Errors\n\nA request that cannot be served is answered with an error.\n\n"
        + table(("Code", "Name", "Cause"), codes)
        + "\nA call of a tool that fails is answered with a result whose `isError` is true. Once there is a "
        "conversation, `structuredContent.error.kind` is one of these.\n\n" + table(("Kind", "Cause"), kinds)
    )


def _fields(model: type[Event]) -> str:
    hints = get_type_hints(model)
    names = {field.name: field.default is UNSET for field in msgspec.structs.fields(model) if field.name in hints}
    return ", ".join(f"`{name}{'?' if may_be_absent else ''}`" for name, may_be_absent in names.items()) or "none"


def _first_line(model: type[Event]) -> str:
    return (model.__doc__ or "").partition("\n")[0]


def tables() -> str:
    """Return the generated part of the page."""
    parts = (
        methods(),
        tools(),
        messages("Notifications to the client", catalog.NOTIFICATIONS),
        messages("Requests to the client", catalog.QUESTIONS),
        events(),
        errors(),
    )
    return "\n" + "\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(GeneratedPage(PAGE, END, {BEGIN: tables()}).bring_up_to_date(sys.argv[1:]))
