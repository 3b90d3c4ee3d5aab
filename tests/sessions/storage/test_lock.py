"""One conversation has one writer, among all processes of all programs that follow the protocol."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from greenroom.protocol.errors import SessionBusyError
from greenroom.protocol.ids import ConversationId
from greenroom.runtime.files import filelock
from greenroom.sessions.storage.lock import COORDINATION, FOLDER, SWEPT, WriterLock

ID = ConversationId("6f9619ff-8b86-4d01-b42d-00c04fc964ff")
OTHER = ConversationId("7f9619ff-8b86-4d01-b42d-00c04fc964ff")


def names(home: Path) -> set[str]:
    return set(os.listdir(home / FOLDER))


def test_a_lock_is_a_file_as_long_as_it_is_held(tmp_path: Path) -> None:
    held = WriterLock(str(tmp_path), ID)
    assert names(tmp_path) == {COORDINATION, f"{ID}.lock"}
    held.release()
    assert names(tmp_path) == {COORDINATION}


def test_what_killed_writers_have_left_is_removed_and_what_others_hold_is_not(tmp_path: Path) -> None:
    held, leaving = WriterLock(str(tmp_path), ID), WriterLock(str(tmp_path), OTHER)
    (tmp_path / FOLDER / "8f9619ff-8b86-4d01-b42d-00c04fc964ff.lock").touch()
    leaving.release()
    assert names(tmp_path) == {COORDINATION, f"{ID}.lock"}
    with pytest.raises(SessionBusyError):
        WriterLock(str(tmp_path), ID)
    held.release()


def test_a_writer_that_leaves_looks_at_a_few_locks_of_others_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = WriterLock(str(tmp_path), ID)
    for number in range(3 * SWEPT):
        (tmp_path / FOLDER / f"8f9619ff-8b86-4d01-b42d-{number:012}.lock").touch()
    seen: list[int] = []
    try_lock = filelock.try_lock

    def counted(descriptor: int) -> bool:
        seen.append(descriptor)
        return try_lock(descriptor)

    monkeypatch.setattr(filelock, "try_lock", counted)
    while len(names(tmp_path)) > 2:
        leaving, before = WriterLock(str(tmp_path), OTHER), len(seen)
        leaving.release()
        assert len(seen) - before <= SWEPT + 1, "its turn among those that leave, and the locks that it looks at"
    held.release()
    assert names(tmp_path) == {COORDINATION}


def test_the_second_writer_is_refused_until_the_first_has_gone(tmp_path: Path) -> None:
    first = WriterLock(str(tmp_path), ID)
    with pytest.raises(SessionBusyError, match=str(ID)):
        WriterLock(str(tmp_path), ID)
    WriterLock(str(tmp_path), OTHER).release()
    first.release()
    WriterLock(str(tmp_path), ID).release()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/locks")
def test_a_foreign_holder_is_honoured_and_named(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    path = tmp_path / FOLDER / f"{ID}.lock"
    program = f"import fcntl; file = open({str(path)!r}, 'w'); fcntl.flock(file, fcntl.LOCK_EX); print(); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(SessionBusyError, match=rf"process {holder.pid} \(\w+"):
            WriterLock(str(tmp_path), ID)
        holder.communicate("\n")
    WriterLock(str(tmp_path), ID).release()


def test_no_descriptor_stays_open_after_a_refusal(tmp_path: Path) -> None:
    first = WriterLock(str(tmp_path), ID)
    before = sorted(os.listdir("/dev/fd"))
    with pytest.raises(SessionBusyError):
        WriterLock(str(tmp_path), ID)
    assert sorted(os.listdir("/dev/fd")) == before
    first.release()


def test_a_coordinator_that_never_ends_is_not_waited_for_long(tmp_path: Path) -> None:
    held = WriterLock(str(tmp_path), ID, timeout_s=0.02)
    with (tmp_path / FOLDER / COORDINATION).open("w") as coordination:
        fcntl.flock(coordination, fcntl.LOCK_EX)
        with pytest.raises(SessionBusyError, match="kept from everyone"):
            WriterLock(str(tmp_path), OTHER, timeout_s=0.02)
        held.release()
    assert names(tmp_path) == {COORDINATION, f"{ID}.lock"}
    WriterLock(str(tmp_path), ID).release()
