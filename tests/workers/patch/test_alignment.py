"""What counts as different between two sequences of lines."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.patch import alignment
from greenroom.workers.patch.alignment import Span, spans


def rebuilt(old: list[str], new: list[str]) -> list[str]:
    """Make the new lines of the old ones and the spans."""
    lines: list[str] = []
    at = 0
    for span in spans(old, new):
        lines += old[at : span.old_start]
        assert len(lines) == span.new_start
        lines += new[span.new_start : span.new_end]
        at = span.old_end
    return lines + old[at:]


def test_equal_sequences_have_no_spans() -> None:
    assert spans(["a", "b"], ["a", "b"]) == []
    assert spans([], []) == []


def test_a_changed_line_is_a_span_of_its_own() -> None:
    assert spans(list("abcde"), list("abXde")) == [Span(2, 3, 2, 3)]


def test_an_addition_and_a_removal_are_empty_on_one_side() -> None:
    assert spans(list("ab"), list("axb")) == [Span(1, 1, 1, 2)]
    assert spans(list("axb"), list("ab")) == [Span(1, 2, 1, 1)]


def test_lines_that_are_not_unique_are_aligned_by_a_shortest_edit() -> None:
    assert spans(list("xabxabx"), list("yabxaby")) == [Span(0, 1, 0, 1), Span(6, 7, 6, 7)]


FEW = st.lists(st.sampled_from("abc"), max_size=30)
MANY = st.lists(st.integers(0, 30).map(str), max_size=30)


@given(FEW | MANY, FEW | MANY)
def test_the_spans_make_the_new_lines_of_the_old(old: list[str], new: list[str]) -> None:
    assert rebuilt(old, new) == new


@given(FEW | MANY, FEW | MANY)
def test_between_two_spans_is_a_line_that_stayed(old: list[str], new: list[str]) -> None:
    found = spans(old, new)
    assert all(first.old_end < second.old_start for first, second in pairwise(found))


@given(FEW, FEW)
def test_without_anchors_the_edit_is_a_shortest_one(old: list[str], new: list[str]) -> None:
    old, new = old * 2, new * 2  # so no line is unique
    edits = sum(span.old_end - span.old_start + span.new_end - span.new_start for span in spans(old, new))
    assert edits == len(old) + len(new) - 2 * _longest_common(old, new)


def _longest_common(old: list[str], new: list[str]) -> int:
    row = [0] * (len(new) + 1)
    for line in old:
        above = row[:]
        for j, other in enumerate(new):
            row[j + 1] = above[j] + 1 if line == other else max(above[j + 1], row[j])
    return row[-1]


def test_what_would_cost_too_much_is_replaced_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignment, "_STEPS", 10_000)
    chance = random.Random(1)
    old, new = ([chance.choice("01") for _ in range(5_000)] for _ in range(2))
    assert rebuilt(old, new) == new
    assert sum(span.old_end - span.old_start for span in spans(old, new)) > 4_000
