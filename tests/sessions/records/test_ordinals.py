"""The lines of a paginated file are numbered without a gap, whichever program wrote the earlier ones."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.sessions.records.ordinals import next_ordinal


def line(ordinal: object = None, **payload: Any) -> bytes:
    number = {} if ordinal is None else {"ordinal": ordinal}
    return json.dumps({"timestamp": "t", **number, "type": "event_msg", "payload": payload}).encode() + b"\n"


def paginated(ordinal: object = 0) -> bytes:
    return line(ordinal, history_mode="paginated")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], None),
        ([b"no JSON\n"], None),
        ([b'{"id":"i","timestamp":"t","instructions":null}\n', line()], None),
        ([line(history_mode="legacy"), line()], None),
        ([line()], None),
        ([paginated()], 1),
        ([paginated(), line(1), line(2)], 3),
        ([paginated(), line(1), line(), line()], 4),
        ([paginated(), line(1), b"\n", b"no JSON\n", line(2)], 3),
        ([paginated(), line(7)], 8),
        ([paginated(40), line(41)], 42),
        ([paginated(), line("1"), line(2)], 3),
    ],
)
def test_the_next_line_gets_the_next_number(lines: Sequence[bytes], expected: int | None) -> None:
    assert next_ordinal(lines) == expected


@given(st.lists(st.booleans()))
def test_lines_that_lack_their_number_are_counted(numbered: list[bool]) -> None:
    lines = [line(place if has else None) for place, has in enumerate(numbered, 1)]
    assert next_ordinal([paginated(), *lines]) == len(numbered) + 1
