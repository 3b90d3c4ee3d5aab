"""The page about attackers names every one of them, and only tests that exist."""

import re
from typing import Final

import pytest

from tests.docs.test_generated import DOCS, ROOT

PAGE: Final = (DOCS / "threat-model.md").read_text("utf-8")
NAMED: Final = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)
ATTACKERS: Final = (
    "The model",
    "A repository",
    "A web page",
    "Another user of this machine",
    "A client",
    "A node",
    "The model's server",
    "A server of MCP tools",
    "The issuer of tokens",
)


@pytest.mark.parametrize("attacker", ATTACKERS)
def test_every_attacker_has_rows_and_each_row_a_test(attacker: str) -> None:
    (section,) = re.findall(rf"^## {re.escape(attacker)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    lines = section.splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith(("| It tries", "| What"))]
    assert rows
    assert [row for row in rows if "`tests/" not in row] == []


def test_every_test_that_the_page_names_exists() -> None:
    assert NAMED
    missing = [f"{path}::{name}" for path, name in NAMED if not _defines(path, name)]
    assert missing == []


def _defines(path: str, name: str) -> bool:
    file = ROOT / path
    return file.is_file() and (not name or re.search(rf"def {name}\(", file.read_text("utf-8")) is not None)
