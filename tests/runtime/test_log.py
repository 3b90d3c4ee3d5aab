"""Nothing that looks like a secret leaves through the log."""

import io
import logging
import string
from collections.abc import Iterator

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from greenroom.runtime import log

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
