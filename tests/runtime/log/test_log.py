"""Nothing that looks like a secret leaves through the log."""

import io
import json
import logging
import os
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from greenroom.protocol.choices import LogFormat
from greenroom.runtime.log import log

ALPHABET = string.ascii_letters + string.digits + "_-"
long_words = st.text(ALPHABET, min_size=20, max_size=60)
tokens = st.one_of(
    long_words.map(lambda word: f"sk-{word}"),
    long_words.map(lambda word: f"sk-proj-{word}"),
    long_words.map(lambda word: f"rt_{word}"),
    long_words.map(lambda word: f"at-{word}"),
    st.tuples(long_words, long_words, long_words).map(lambda parts: "eyJ" + ".".join(parts)),
)
surroundings = st.text(string.ascii_letters + " \n:,='\"{}", max_size=20)


@given(surroundings, tokens, surroundings)
def test_tokens_are_masked_wherever_they_stand(before: str, token: str, after: str) -> None:
    assume(token[10:] not in before + after)
    shown = log.redact(f"{before} {token} {after}")
    assert token not in shown
    assert token[10:] not in shown
    assert log.MASK in shown


@given(surroundings, long_words)
def test_what_follows_bearer_is_masked(before: str, word: str) -> None:
    assume(word not in before)
    for form in ("Authorization: Bearer {}", "'authorization': 'bearer {}'"):
        assert word not in log.redact(f"{before} " + form.format(word))


@pytest.mark.parametrize("text", ["task-list", "risk-free", "sk-", "bearer of news", "a.b.c", "start_here", "skip", ""])
def test_ordinary_words_stay(text: str) -> None:
    assert log.redact(text) == text


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What goes to standard error, with the loggers as they were afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    monkeypatch.setattr(log._handler, "stream", written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)


def test_messages_arguments_and_tracebacks_are_masked(stream: io.StringIO) -> None:
    token = "sk-" + "a1" * 12
    log.set_up("worker 1", "debug")
    logger = logging.getLogger("some.library")
    logger.debug("sent %s", token)
    try:
        raise ValueError(token)
    except ValueError:
        logger.exception("it broke with %r", {"key": token})
    assert token not in stream.getvalue()
    assert stream.getvalue().count(log.MASK) >= 3


def test_each_line_names_its_process_and_level(stream: io.StringIO) -> None:
    log.set_up("worker 1", "info")
    logging.getLogger("x").info("hello")
    log.set_up("worker 2", "info")
    logging.getLogger("x").warning("hello")
    first, second = stream.getvalue().splitlines()
    assert first.startswith("worker 1 ")
    assert "INFO x: hello" in first
    assert second.startswith("worker 2 ")
    assert "WARNING x: hello" in second


@pytest.mark.parametrize("level", ["debug", "warning", "critical"])
def test_the_level_is_that_of_the_last_setting(stream: io.StringIO, level: str) -> None:
    log.set_up("x", "error")
    log.set_up("x", level)
    assert logging.getLogger().level == logging.getLevelNamesMapping()[level.upper()]


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter that has seen nothing."""
    monkeypatch.setattr(log, "_handler", logging.StreamHandler())
    log._handler.setFormatter(log._formatter)
    log._handler.addFilter(log.RepetitionFilter())


def test_lines_of_json_carry_the_ids_of_the_process_and_of_the_record(fresh: None, stream: io.StringIO) -> None:
    log.set_up("worker abc", "info", "json")
    log.carry({"conversation_id": "c-1"})
    logging.getLogger("x").warning("key sk-%s\nsecond line", "a1" * 12, extra={"call_id": "call-1"})
    (line,) = stream.getvalue().splitlines()
    found = json.loads(line)
    assert (found["process"], found["level"], found["conversation_id"], found["call_id"]) == (
        *("worker", "warning"),
        *("c-1", "call-1"),
    )
    assert found["message"] == f"key {log.MASK}\nsecond line"
    log.carry({})


@pytest.mark.parametrize("form", ["text", "json"])
def test_lines_in_the_journal_begin_with_their_priority(
    form: LogFormat, fresh: None, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.set_up("supervisor", "debug", form)
    monkeypatch.setattr(log._formatter, "in_journal", True)
    for level, number in (("debug", 7), ("info", 6), ("warning", 4), ("error", 3), ("critical", 2)):
        getattr(logging.getLogger("x"), level)("two\nlines of %s", level)
        lines = stream.getvalue().splitlines()
        assert all(line.startswith(f"<{number}>") for line in lines[-1 if form == "json" else -2 :])
    assert len(stream.getvalue().splitlines()) == (5 if form == "json" else 10)


def test_the_journal_is_told_by_device_and_inode(tmp_path: Path) -> None:
    with open(tmp_path / "stream", "w") as file:
        facts = os.fstat(file.fileno())
        assert log.leads_to_journal({"JOURNAL_STREAM": f"{facts.st_dev}:{facts.st_ino}"}, file.fileno())
        assert not log.leads_to_journal({"JOURNAL_STREAM": f"{facts.st_dev}:{facts.st_ino + 1}"}, file.fileno())
        assert not log.leads_to_journal({}, file.fileno())


def test_what_repeats_itself_is_left_out_and_counted(
    fresh: None, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("greenroom.runtime.log.log.time.monotonic", lambda: now[0])
    log.set_up("supervisor", "info", "json")

    def say(text: str, count: int, **ids: str) -> None:
        for _ in range(count):
            logging.getLogger("x").error(text, extra=ids)

    say("again", 100)
    say("again", 1, conversation_id="c-1")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == log.MOST_OF_TEXT + 1
    assert lines[-1]["conversation_id"] == "c-1"
    now[0] = 61.0
    logging.getLogger("y").error("something else")
    texts = [json.loads(line) for line in stream.getvalue().splitlines()[len(lines) :]]
    told = {line["message"]: line.get("left_out") for line in texts}
    assert "something else" in told
    assert sum(count for count in told.values() if count) == 100 - log.MOST_OF_TEXT


def test_a_place_that_floods_with_different_texts_is_limited_too(fresh: None, stream: io.StringIO) -> None:
    log.set_up("supervisor", "info", "text")
    for number in range(5 * log.MOST_OF_PLACE):
        logging.getLogger("x").error("number %d", number)
    assert len(stream.getvalue().splitlines()) == log.MOST_OF_PLACE
