"""A warm-up is a whole conversation of which nothing is left."""

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from greenroom.workers import warmup
from greenroom.workers.warmup import TIMES, run_warmup


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Undo what the process of a test does not want: nothing that lives now would ever be collected."""
    yield
    gc.unfreeze()


def test_it_is_played_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bytes] = []
    monkeypatch.setattr(warmup._Silence, "emit", lambda _, event: told.append(event))
    for _ in run_warmup(str(tmp_path)):
        pass
    ends = [event for event in told if b'"task_complete"' in event]
    assert len(ends) == 2 * TIMES
    assert all(b'"last_agent_message":"Hello."' in end for end in ends)
    assert not any(b'"error"' in event.partition(b",")[0] for event in told)
    runs = [event for event in told if b'"exec_command_end"' in event]
    assert len(runs) == TIMES
    assert all(b'"exit_code":0' in run for run in runs)


def test_it_leaves_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in run_warmup(str(tmp_path)):
        pass
    before, children = set(os.listdir("/proc/self/fd")), set(psutil.Process().children())
    for _ in run_warmup(str(tmp_path)):
        pass
    assert set(os.listdir("/proc/self/fd")) == before
    assert list(tmp_path.iterdir()) == []
    assert threading.enumerate() == [threading.main_thread()]
    assert set(psutil.Process().children()) <= children, "others may have some"
    assert capfd.readouterr() == ("", "")


def test_where_there_is_no_room_it_is_not_played(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="warmup"):
        next(run_warmup(str(tmp_path / "missing")))


def test_who_forks_goes_on_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from greenroom.workers import entry

    for _ in entry.complete(str(tmp_path / "missing")):
        pass
    assert "no warm-up: FileNotFoundError" in caplog.text
