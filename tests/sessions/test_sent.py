"""Records whose file is elsewhere: the same lines, sent in order, with the host's names of directories."""

import json
from collections.abc import Callable

from greenroom.config.path_map import PathMap
from greenroom.protocol.ids import ConversationId, uuid7
from greenroom.sessions.format import SessionRecord, encode_line, response_item, session_meta
from greenroom.sessions.sent import SentRecords, at_home

HERE = PathMap({})


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


def meta(cwd: str = "/node/x") -> SessionRecord:
    return session_meta(
        conversation_id=ConversationId(uuid7()),
        started=0.0,
        cwd=cwd,
        originator="o",
        cli_version="1",
        model_provider="p",
        base_instructions="b",
    )


def test_nothing_is_sent_before_there_is_something_besides_the_first_line() -> None:
    sender = Sender()
    records = SentRecords.of_new(sender, "/home/file", HERE, meta(), 0.0)
    records.commit()
    records.flush()
    records.close()
    assert sender.sent == []
    assert sender.closed == 0


def test_lines_are_those_of_a_file_here_and_go_once() -> None:
    sender, first, item = Sender(), meta(), response_item({"type": "message"})
    records = SentRecords(sender, "/home/file", HERE, first=encode_line(first, 0.0), clock=clock())
    records.append((item,))
    records.flush()
    records.append((item, item))
    records.commit()
    records.commit()
    line = encode_line(item, 1.0)
    assert sender.sent == [(encode_line(first, 0.0) + line, False), (line + line, True)]


def test_a_conversation_is_begun_at_once_where_that_is_wanted() -> None:
    sender = Sender()
    records = SentRecords.of_new(sender, "/home/file", HERE, meta(), 0.0)
    records.begin()
    records.begin()
    assert len(sender.sent) == 1
    records.close()
    assert sender.closed == 1


def test_lines_of_a_paginated_file_are_counted_on() -> None:
    sender = Sender()
    records = SentRecords(sender, "/home/file", HERE, ordinal=7, clock=clock())
    records.append((response_item({}), response_item({})))
    records.flush()
    assert [json.loads(line)["ordinal"] for line in sender.sent[0][0].splitlines()] == [7, 8]
    assert records.history_mode == "paginated"


def test_directories_are_told_as_the_host_names_them() -> None:
    paths = PathMap({"/projects": "/node"})
    assert b'"cwd":"/projects/x"' in encode_line(at_home(meta("/node/x"), paths), 0.0)
    assert b'"cwd":"/elsewhere"' in encode_line(at_home(meta("/elsewhere"), paths), 0.0)
    item = response_item({"cwd": "/node/x"})
    assert at_home(item, paths) is item, "what was said stays as it was said"


def test_a_commit_behind_a_flush_is_one_though_nothing_waits() -> None:
    sender = Sender()
    records = SentRecords(sender, "/home/file", HERE, clock=clock())
    records.append((response_item({"type": "message"}),))
    records.flush()
    records.commit()
    assert [commit for _, commit in sender.sent] == [False, True]
    assert sender.sent[1][0] == b""
