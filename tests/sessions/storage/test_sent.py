"""Records whose file is elsewhere: the same lines, sent in order."""

import json
from collections.abc import Callable

from greenroom.protocol.ids import ConversationId, uuid7
from greenroom.sessions.records.format import SessionRecord, encode_line, response_item, session_meta
from greenroom.sessions.storage.sent import SentRecords


class Sender:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, bool]] = []
        self.closed = 0

    def write(self, lines: bytes, *, commit: bool) -> None:
        self.sent.append((lines, commit))

    def close(self) -> None:
        self.closed += 1


def clock(now: float = 1.0) -> Callable[[], float]:
    return lambda: now


def meta() -> SessionRecord:
    return session_meta(
        conversation_id=ConversationId(uuid7()),
        started=0.0,
        cwd="/node/x",
        originator="o",
        cli_version="1",
        model_provider="p",
        base_instructions="b",
    )


def test_nothing_is_sent_before_there_is_something_besides_the_first_line() -> None:
    sender = Sender()
    records = SentRecords.of_new(sender, "/home/file", meta(), 0.0)
    records.commit()
    records.flush()
    records.close()
    assert sender.sent == []
    assert sender.closed == 0


def test_lines_are_those_of_a_file_here_and_go_once() -> None:
    sender, first, item = Sender(), meta(), response_item({"type": "message"})
    records = SentRecords(sender, "/home/file", first=encode_line(first, 0.0), clock=clock())
    records.append((item,))
    records.flush()
    records.append((item, item))
    records.commit()
    records.commit()
    line = encode_line(item, 1.0)
    assert sender.sent == [(encode_line(first, 0.0) + line, False), (line + line, True)]


def test_a_conversation_is_begun_at_once_where_that_is_wanted() -> None:
    sender = Sender()
    records = SentRecords.of_new(sender, "/home/file", meta(), 0.0)
    records.begin()
    records.begin()
    assert len(sender.sent) == 1
    records.close()
    assert sender.closed == 1


def test_lines_of_a_paginated_file_are_counted_on() -> None:
    sender = Sender()
    records = SentRecords(sender, "/home/file", ordinal=7, clock=clock())
    records.append((response_item({}), response_item({})))
    records.flush()
    assert [json.loads(line)["ordinal"] for line in sender.sent[0][0].splitlines()] == [7, 8]
    assert records.history_mode == "paginated"


def test_a_commit_behind_a_flush_is_one_though_nothing_waits() -> None:
    sender = Sender()
    records = SentRecords(sender, "/home/file", clock=clock())
    records.append((response_item({"type": "message"}),))
    records.flush()
    records.commit()
    assert [commit for _, commit in sender.sent] == [False, True]
    assert sender.sent[1][0] == b""
