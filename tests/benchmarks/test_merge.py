"""Rows that are measured later find their place in the page, and nothing else of it is lost."""

import pytest

from benchmarks.budgets import AtMost
from benchmarks.figures import Figure
from benchmarks.merge import merged
from benchmarks.report import page, rows
from benchmarks.subject import GREENROOM

REPLY, START, KILL = (Figure(key, f"a {key}", "ms", AtMost(8)) for key in ("reply", "start", "kill"))
FIGURES = (REPLY, START, KILL)
WHEN = "2026-11-29, load before the run 0.50"


def written(*figures: Figure, value: float = 5.0) -> str:
    measured = rows(figures, {(figure.key, GREENROOM): [value] for figure in figures})
    sections = {"Machine": ["2 cores"], "Programs": ["Greenroom: 1"], "Method": ["once"], "Notes": ["a", "b"]}
    return page(measured, sections, "![](a.svg)")


def put(text: str, *figures: Figure, value: float = 7.0, **sections: list[str]) -> str:
    measured = rows(figures, {(figure.key, GREENROOM): [value] for figure in figures})
    return merged(text, FIGURES, measured, {"Machine": ["4 cores"], **sections}, WHEN)


def table_of(text: str) -> dict[str, str]:
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {cells[0]: cells[2] for cells in lines[2:]}


def test_a_new_row_comes_where_the_order_of_the_figures_has_it() -> None:
    text = put(written(REPLY, KILL), START)
    assert list(table_of(text).items()) == [("a reply", "5 ms"), ("a start", "7 ms"), ("a kill", "5 ms")]


def test_a_row_that_is_there_is_replaced_and_one_that_is_no_figure_any_more_goes() -> None:
    text = put(written(REPLY, START, Figure("old", "an old one", "ms", None)), START)
    assert list(table_of(text).items()) == [("a reply", "5 ms"), ("a start", "7 ms")]


def test_the_sections_tell_of_both_runs() -> None:
    text = put(written(REPLY), START, Programs=["Greenroom: 1", "Reference: 2"], Method=["twice"])
    assert f"## Machine\n\n* 2 cores\n* In a run of their own, {WHEN}: a start\n\n## Programs" in text
    assert "## Programs\n\n* Greenroom: 1\n* Reference: 2\n\n## Method\n\n* twice\n\n## Notes\n\n* a\n* b\n" in text
    assert "|\n\n![](a.svg)\n\n## Machine" in text
    again = put(text, START, value=6.0)
    assert again.count("In a run of their own") == 2


def test_the_same_row_put_in_changes_the_table_no_further() -> None:
    once = put(written(REPLY, KILL), START)
    assert table_of(put(once, START)) == table_of(once)


def test_a_page_without_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no table"):
        put("# Benchmarks\n", START)
