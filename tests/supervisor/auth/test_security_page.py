"""The page about credentials names a test for every item of the contract, and every test that it names exists."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = (ROOT / "docs" / "security.md").read_text("utf-8")

_TEST: Final = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_item_has_a_test() -> None:
    rows = dict(re.findall(r"^\| (K\d+) \| (.*)$", PAGE, re.MULTILINE))
    assert list(rows) == [f"K{number}" for number in range(1, 33)]
    assert [item for item, row in rows.items() if not _TEST.search(row)] == []


def test_every_test_that_is_named_exists() -> None:
    named = _TEST.findall(PAGE)
    assert [f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text("utf-8")] == []
