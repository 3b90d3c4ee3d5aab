"""What is kept of a stream: everything unread, and of the rest as much as the limits allow."""

from hypothesis import given
from hypothesis import strategies as st

from greenroom.supervisor.frontend.http.event_log import OVERHEAD, EventId, EventLog

KEEP = 5 * (OVERHEAD + 10)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.booleans()),
        st.tuples(st.just("read"), st.integers(0, 4000)),
        st.tuples(st.just("begin"), st.integers(0, 60)),
        st.tuples(st.just("end"), st.none()),
        st.tuples(st.just("wait"), st.integers(0, 20)),
    ),
    max_size=60,
)


@given(STEPS)
def test_a_reader_gets_everything_in_order_or_is_told_what_is_lost(steps: list[tuple[str, int]]) -> None:
    log, now, position, is_reading = EventLog(3, KEEP, 10.0), 0.0, 0, False
    vital: set[int] = set()
    handed: set[int] = set()
    for deed, value in steps:
        match deed:
            case "add":
                log.add(b"x" * 10, now, is_vital=bool(value))
                if value:
                    vital.add(log.last)
            case "wait":
                now += value
                log.trim(now)
            case "begin":
                after = min(value, log.last)
                lost = log.begin_reading(after)
                left = [event.number for event in log if event.number > after]
                assert lost + len(left) == log.last - after
                assert left == sorted(set(left))
                position, is_reading = after, True
            case "end":
                log.end_reading(now)
                is_reading = False
            case "read" if is_reading:
                before = log.unread
                taken = log.read(value)
                assert [event.number for event in taken] == sorted({event.number for event in taken})
                assert all(event.number > position for event in taken)
                assert bool(taken) == (before > 0)
                assert before - log.unread == sum(event.size for event in taken)
                handed |= {event.number for event in taken}
                position = taken[-1].number if taken else position
        kept = {event.number for event in log}
        assert vital - handed <= kept, "what no reader has been handed of answers and questions is kept"
        if is_reading:
            missing = set(range(position + 1, log.last + 1)) - kept
            assert log.unread == (log.last - position - len(missing)) * (OVERHEAD + 10)
        else:
            rest = [event for event in log if not event.is_vital]
            assert sum(event.size for event in rest) <= KEEP + OVERHEAD + 10
        assert log.kept == sum(event.size for event in log)


@given(st.integers(0, 10**17), st.integers(0, 10**17))
def test_an_id_is_read_as_it_was_written(stream: int, number: int) -> None:
    assert EventId.parse(EventId(stream, number).text) == (stream, number)


@given(st.text())
def test_any_other_text_is_no_id(text: str) -> None:
    found = EventId.parse(text)
    if found is not None:
        assert text.strip().replace("-", "").isdigit()
