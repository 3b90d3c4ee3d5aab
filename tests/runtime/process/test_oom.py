"""That the kernel kills for want of memory is seen by its counter, and nothing is made up where there is none."""

from pathlib import Path

import pytest

from greenroom.runtime.process.oom import OomKills


def test_each_look_tells_of_what_happened_since_the_last_one(tmp_path: Path) -> None:
    counter = tmp_path / "memory.events"
    counter.write_text("low 0\noom 5\noom_kill 3\noom_group_kill 0\n")
    kills = OomKills(str(counter))
    assert not kills.happened()
    counter.write_text("low 0\noom 6\noom_kill 4\noom_group_kill 0\n")
    assert [kills.happened(), kills.happened()] == [True, False]


@pytest.mark.parametrize("text", ["", "oom_kill\n", "oom_kill many\n", None])
def test_without_a_counter_nothing_has_happened(tmp_path: Path, text: str | None) -> None:
    counter = tmp_path / "vmstat"
    if text is not None:
        counter.write_text(text)
    assert not OomKills(str(counter)).happened()


def test_without_a_kill_the_kernel_counts_none() -> None:
    assert not OomKills().happened()
