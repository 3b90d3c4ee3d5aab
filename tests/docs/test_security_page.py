"""The page about credentials names a test for every item and every scenario, and every test that it names exists."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "security.md").read_text("utf-8")
SCENARIOS: Final = 56

_TEST: Final = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows(heading: str) -> list[tuple[str, str]]:
    """Return the first cell of each row below a heading, and the row."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [(line.split(" | ")[0].removeprefix("| "), line) for line in lines[1:]]


def numbers(cell: str) -> list[int]:
    """Return the numbers that a cell names, one by one or as the ends of a range."""
    return [
        number
        for first, last in re.findall("(\\d+)(?:\u2013(\\d+))?", cell)
        for number in range(int(first), int(last or first) + 1)
    ]


def test_every_item_has_a_test() -> None:
    items = rows("The contract")
    assert [item for item, _ in items] == [f"K{number}" for number in range(1, 33)]
    assert [item for item, row in items if not _TEST.search(row)] == []


def test_every_scenario_has_a_test() -> None:
    scenarios = rows("Scenarios")
    assert sorted(number for cell, _ in scenarios for number in numbers(cell)) == list(range(1, SCENARIOS + 1))
    assert [cell for cell, row in scenarios if not _TEST.search(row)] == []


def test_every_promise_about_the_whole_has_a_test() -> None:
    assert len(whole := rows("All of it together")) == 6
    assert [promise for promise, row in whole if not _TEST.search(row)] == []


def test_every_test_that_is_named_exists() -> None:
    named = _TEST.findall(PAGE)
    assert [f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text("utf-8")] == []
