"""An output of any length is kept in bounded memory, as its two ends, and cut at characters."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.workers.exec.capture import Captured, HeadTail, OutputBudget, cut

TEXTS = st.text(st.characters(codec="utf-8"), max_size=80)
MARKER = re.compile(r"…(\d+) chars truncated…")


def captured(data: bytes, budget: int, chunk: int = 7) -> Captured:
    recorder = HeadTail(budget)
    for start in range(0, len(data), chunk):
        recorder.feed(data[start : start + chunk])
    return recorder.captured()


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 64), st.integers(1, 50))
def test_never_keeps_more_than_its_budget(data: bytes, budget: int, chunk: int) -> None:
    kept = captured(data, budget, chunk)
    assert len(kept.head) + len(kept.tail) <= budget
    assert kept.length == len(data)


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 64), st.integers(1, 50))
def test_keeps_the_beginning_and_the_end_of_what_came(data: bytes, budget: int, chunk: int) -> None:
    kept = captured(data, budget, chunk)
    assert data.startswith(kept.head)
    assert data.endswith(kept.tail)
    if len(data) <= budget:
        assert kept.head + kept.tail == data


@settings(deadline=None)
@given(TEXTS, st.integers(1, 50))
def test_what_fits_is_rendered_unchanged(text: str, chunk: int) -> None:
    data = text.encode()
    assert captured(data, len(data), chunk).render(OutputBudget(len(data))) == text


@settings(deadline=None)
@given(TEXTS, st.integers(0, 40), st.integers(0, 40), st.integers(1, 9))
def test_cut_text_accounts_for_every_character(text: str, capture: int, size: int, chunk: int) -> None:
    rendered = captured(text.encode(), capture, chunk).render(OutputBudget(size))
    if rendered == text:
        return
    marker = MARKER.search(rendered)
    assert marker is not None
    head, tail = rendered[: marker.start()], rendered[marker.end() :]
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len((head + tail).encode()) <= size
    assert len(head) + int(marker[1]) + len(tail) == len(text)


@settings(deadline=None)
@given(TEXTS, st.integers(0, 200))
def test_cutting_a_text_is_the_same_as_capturing_it(text: str, size: int) -> None:
    assert cut(text, OutputBudget(size)) == captured(text.encode(), 400).render(OutputBudget(size))


@settings(deadline=None)
@given(st.binary(max_size=120), st.integers(0, 40))
def test_bytes_that_are_no_text_stay_within_the_budget_too(data: bytes, size: int) -> None:
    rendered = captured(data, 60).render(OutputBudget(size))
    assert len(MARKER.sub("", rendered).encode()) <= size


@pytest.mark.parametrize(
    ("text", "budget", "expected"),
    [
        ("0123456789", OutputBudget(10), "0123456789"),
        ("0123456789", OutputBudget(4), "01…6 chars truncated…89"),
        ("0123456789", OutputBudget(5), "01…5 chars truncated…789"),
        ("0123456789", OutputBudget.of_tokens(1), "01…2 tokens truncated…89"),
        ("ééééé", OutputBudget(6), "é…3 chars truncated…é"),
        ("x" * 100, OutputBudget(0), "…100 chars truncated…"),
    ],
)
def test_the_marker_says_how_much_is_missing(text: str, budget: OutputBudget, expected: str) -> None:
    assert cut(text, budget) == expected


def test_the_model_is_told_the_real_size_of_what_was_cut() -> None:
    text = "line\n" * 100 + "end"
    assert captured(text.encode(), 1000).render_for_model(OutputBudget(8)) == (
        "Warning: truncated output (original token count: 126)\n"
        "Total output lines: 101\n\n"
        "line…495 chars truncated…\nend"
    )
    assert captured(text.encode(), 1000).render_for_model(OutputBudget(1000)) == text


def test_a_flood_costs_no_more_memory_than_the_budget() -> None:
    recorder = HeadTail(1000)
    for _ in range(1000):
        recorder.feed(b"\xc3\xa9" * 4096)
    kept = recorder.captured()
    assert (len(kept.head), len(kept.tail), kept.length) == (500, 500, 8_192_000)
    assert kept.render(OutputBudget(0)) == "…4096000 chars truncated…"
