"""Identifiers are unique and sort by their time."""

import time
from uuid import UUID

from greenroom.protocol.ids import uuid7


def test_ids_are_uuids_of_version_7_and_all_different() -> None:
    ids = [uuid7() for _ in range(2_000)]
    assert len(set(ids)) == len(ids)
    for text in ids:
        uuid = UUID(text)
        assert str(uuid) == text, "in canonical form"
        assert (uuid.version, uuid.variant) == (7, "specified in RFC 4122")


def test_ids_tell_their_time() -> None:
    before = time.time_ns() // 1_000_000
    milliseconds = UUID(uuid7()).int >> 80
    assert before <= milliseconds <= time.time_ns() // 1_000_000
