"""What waits for a watcher is bounded, whole and in order; what is missing is marked."""

from hypothesis import given
from hypothesis import strategies as st

from greenroom.supervisor.control.watch_buffer import GAP, WatchBuffer

LONGEST = 200


def drained(buffer: WatchBuffer) -> bytes:
    """Take everything out."""
    taken = b""
    while piece := buffer.next():
        taken += piece
        buffer.sent(len(piece))
    return taken


def numbered(number: int, size: int) -> bytes:
    return b"%d%b\n" % (number, b"." * size)


def test_lines_come_out_in_order() -> None:
    buffer = WatchBuffer()
    assert not buffer
    buffer.put(b"1\n")
    buffer.put(b"2\n")
    assert buffer
    assert drained(buffer) == b"1\n2\n"
    assert not buffer


def test_what_does_not_fit_takes_the_place_of_all_that_wait() -> None:
    buffer = WatchBuffer(60)
    buffer.put(b"a" * 50 + b"\n")
    buffer.put(b"b" * 20 + b"\n")
    assert drained(buffer) == GAP + b"b" * 20 + b"\n"


def test_a_line_that_was_begun_is_completed_before_the_gap() -> None:
    buffer = WatchBuffer(60)
    buffer.put(b"a" * 50 + b"\n")
    assert buffer.next()
    buffer.sent(10)
    buffer.put(b"b" * 50 + b"\n")
    buffer.put(b"c\n")
    buffer.put(b"d" * 20 + b"\n")
    assert drained(buffer) == b"a" * 40 + b"\n" + GAP + b"d" * 20 + b"\n"


def test_a_line_that_is_too_long_is_a_gap() -> None:
    buffer = WatchBuffer(60)
    buffer.put(b"x" * 1000)
    buffer.put(b"y\n")
    assert drained(buffer) == GAP + b"y\n"


@given(
    st.lists(st.tuples(st.integers(0, 2 * LONGEST), st.lists(st.integers(1, LONGEST), max_size=3)), max_size=40),
)
def test_whatever_is_read_when_no_more_waits_than_may_and_every_loss_is_marked(
    steps: list[tuple[int, list[int]]],
) -> None:
    buffer, taken = WatchBuffer(LONGEST), b""
    for number, (size, reads) in enumerate(steps):
        buffer.put(numbered(number, size))
        assert buffer.size <= LONGEST
        for count in reads:
            piece = buffer.next()[:count]
            taken += piece
            buffer.sent(len(piece))
    taken += drained(buffer)
    assert taken == b"" or taken.endswith(b"\n")
    expected = 0
    for line in taken.splitlines(keepends=True):
        if line == GAP:
            expected = -1
            continue
        number = int(line.partition(b".")[0])
        assert line == numbered(number, steps[number][0])
        assert number == expected or (expected == -1 and number >= 0), "none is missing without a mark"
        expected = number + 1
