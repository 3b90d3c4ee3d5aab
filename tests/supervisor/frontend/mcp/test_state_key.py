"""The key that signs request states is the same for every run on a home, and private to its user."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from greenroom.supervisor.frontend.mcp.state_key import NAME, state_key


def test_every_run_finds_the_same_key(tmp_path: Path) -> None:
    key = state_key(str(tmp_path))
    assert state_key(str(tmp_path)) == key
    assert len(key) == 32
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_runs_that_start_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(lambda _: state_key(str(tmp_path)), range(8)))
    assert len(keys) == 1


def test_a_home_that_keeps_nothing_gets_a_key_for_one_run(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    assert state_key(gone) != state_key(gone)


def test_a_broken_key_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"short")
    assert state_key(str(tmp_path)) != state_key(str(tmp_path))
