"""What a dead broker was about to do is there for the next one (docs/security.md, K25, K28)."""

import os
import tempfile
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from greenroom.broker.refresh.journal import Journal


def opened(path: Any) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def test_an_attempt_is_seen_by_the_next_holder(tmp_path: Any) -> None:
    lock = opened(tmp_path / "lock")
    first = Journal()
    first.open(lock)
    first.begin(lock, "token-a", 100.0)
    second = Journal()
    second.open(lock)
    assert list(second.attempts("token-a")) == [100.0]
    assert list(second.attempts("token-b")) == []
    second.begin(lock, "token-a", 130.0)
    first.open(lock)
    assert list(first.attempts("token-a")) == [100.0, 130.0]
    first.withdraw(lock)
    assert list(first.attempts("token-a")) == [100.0]
    first.settle(lock)
    second.open(lock)
    assert list(second.attempts("token-a")) == []
    os.close(lock)


def test_without_a_lock_file_memory_does() -> None:
    journal = Journal()
    journal.begin(None, "token-a", 1.0)
    journal.open(None)
    assert list(journal.attempts("token-a")) == [1.0]


def test_a_file_that_cannot_be_written_does_not_matter(tmp_path: Any) -> None:
    opened(tmp_path / "lock")
    lock = os.open(tmp_path / "lock", os.O_RDONLY)
    journal = Journal()
    journal.begin(lock, "token-a", 1.0)
    assert list(journal.attempts("token-a")) == [1.0]
    os.close(lock)


@given(st.binary(max_size=300))
def test_any_content_is_an_entry_or_none(content: bytes) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        journal = Journal()
        journal.open(file.fileno())
        journal.begin(file.fileno(), "token-a", 5.0)
        journal.open(file.fileno())
        assert list(journal.attempts("token-a"))[-1] == 5.0
