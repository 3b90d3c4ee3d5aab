"""Which changes a client is told of, and which not."""

import struct

import pytest

from greenroom.supervisor.frontend.app_server.files import inotify
from greenroom.supervisor.frontend.app_server.files.inotify import InotifyChange, read_changes
from greenroom.supervisor.frontend.app_server.files.watch_list import MOST_PATHS, Watched, WatchList


def watches() -> WatchList:
    found = WatchList()
    found.add(Watched("dir", "/w", 1))
    found.add(Watched("file", "/w/f", 1, "f"))
    found.add(Watched("other", "/o", 2))
    return found


@pytest.mark.parametrize(
    ("reported", "told"),
    [
        ([InotifyChange(1, inotify.CREATE, "f")], {"dir": ["/w/f"], "file": ["/w/f"]}),
        ([InotifyChange(1, inotify.MODIFY, "g"), InotifyChange(1, inotify.DELETE, "e")], {"dir": ["/w/e", "/w/g"]}),
        ([InotifyChange(1, inotify.DELETE_SELF, "")], {"dir": ["/w"], "file": ["/w/f"]}),
        ([InotifyChange(2, inotify.IGNORED, "")], {}),
        ([InotifyChange(3, inotify.MODIFY, "x")], {}),
        ([InotifyChange(-1, inotify.OVERFLOW, "")], {"dir": ["/w"], "file": ["/w/f"], "other": ["/o"]}),
        ([InotifyChange(2, inotify.MODIFY, f"{number}") for number in range(MOST_PATHS + 1)], {"other": ["/o"]}),
    ],
)
def test_changes_are_told_to_the_watches_that_they_belong_to(
    reported: list[InotifyChange], told: dict[str, list[str]]
) -> None:
    found = watches()
    assert found.take(reported) is bool(told)
    assert found.told() == told
    assert found.told() == {}


def test_the_kernel_watches_as_long_as_one_watch_needs_it() -> None:
    found = watches()
    found.take([InotifyChange(1, inotify.MODIFY, "f")])
    assert found.remove("dir") is None
    assert found.told() == {"file": ["/w/f"]}
    assert found.remove("file") == 1
    assert found.remove("file") is None
    assert "file" not in found
    assert len(found) == 1


def test_reports_are_read_as_the_kernel_writes_them() -> None:
    one = struct.pack("iIII", 7, inotify.CREATE, 0, 16) + b"name".ljust(16, b"\0")
    two = struct.pack("iIII", 8, inotify.DELETE_SELF, 0, 0)
    assert list(read_changes(one + two)) == [
        InotifyChange(7, inotify.CREATE, "name"),
        InotifyChange(8, inotify.DELETE_SELF, ""),
    ]
