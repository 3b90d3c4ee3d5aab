"""Generates the tables of docs/app-server.md from `greenroom.protocol.app_server`.

`make docs` writes them. `python tools/docs/app_server.py --check` only checks whether they are up to date, by its exit
status.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from generated import GeneratedPage

from greenroom.protocol.app_server.methods import METHODS, UNSUPPORTED, struct_of
from greenroom.protocol.app_server.notifications import NOTIFICATIONS
from greenroom.protocol.app_server.questions import QUESTIONS
from greenroom.protocol.app_server.wire import CODEX_VERSION

PAGE: Final = Path(__file__).parents[2] / "docs" / "app-server.md"
BEGIN: Final = "<!-- tables: made by tools/docs/app_server.py -->\n"
END: Final = "<!-- end of tables -->\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def members(struct: type[msgspec.Struct]) -> str:
    """Return the names of a struct's fields; optional ones end with a question mark."""
    fields = msgspec.structs.fields(struct)
    return ", ".join(f"`{field.encode_name}{'' if field.required else '?'}`" for field in fields) or "none"


def methods() -> str:
    """Return the table of methods that are served, and the list of those that are not."""
    rows = [(f"`{name}`", members(struct_of(method.params)), method.meaning) for name, method in METHODS.items()]
    groups = [
        (group, ", ".join(f"`{name}`" for name in refused.names), refused.reason)
        for group, refused in UNSUPPORTED.items()
    ]
    return (
        "## Methods\n\n"
        + table(("Supported", "Params", "Purpose"), rows)
        + f"\nThe other stable methods of {CODEX_VERSION} are answered with an error that names them:\n\n"
        + table(("Not supported", "Methods", "Reason"), groups)
    )


def messages(title: str, structs: Mapping[str, type[msgspec.Struct]]) -> str:
    """Return the table of messages that the server sends."""
    rows = [(f"`{name}`", members(struct), _first_line(struct)) for name, struct in structs.items()]
    return f"## {title}\n\n" + table(("Method", "Params", "When it is sent"), rows)


def _first_line(struct: type[msgspec.Struct]) -> str:
    return (struct.__doc__ or "").strip().partition("\n")[0]


def page() -> GeneratedPage:
    """Return the page."""
    parts = (methods(), messages("Notifications", NOTIFICATIONS), messages("Requests to the client", QUESTIONS))
    return GeneratedPage(PAGE, END, {BEGIN: "\n" + "\n".join(parts) + "\n"})


if __name__ == "__main__":
    sys.exit(page().bring_up_to_date(sys.argv[1:]))
