"""The structured log has one line for each record, with its ids and without secrets, and never outgrows its bound."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenroom.runtime.log import log as standard_error
from greenroom.runtime.log import logfile
from greenroom.runtime.log.log import MASK
from greenroom.runtime.log.logfile import KEPT, LogFile, encode_log_line, identify, log_path, open_log, recent
from greenroom.runtime.log.logline import about

TOKEN = "eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl"
KEY = "sk-proj-abcdefgh12345678"
log = logging.getLogger("greenroom.test")


@pytest.fixture(autouse=True)
def root() -> Iterator[logging.Logger]:
    """The root logger, which is as it was when the test is over."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    levels = [handler.level for handler in handlers]
    yield logger
    for handler in logger.handlers:
        if handler not in handlers:
            handler.close()
    logger.handlers[:] = handlers
    logger.setLevel(level)
    for handler, before in zip(handlers, levels, strict=True):
        handler.setLevel(before)


def lines(home: Path) -> list[dict[str, Any]]:
    with open(log_path(str(home)), "rb") as file:
        return [json.loads(line) for line in file]


def files(home: Path) -> list[str]:
    return sorted(path.name for path in (home / logfile.FOLDER).glob("*.jsonl"))


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    made = log.makeRecord(log.name, logging.INFO, "here.py", 1, message, args, None, extra=extra)
    made.created = 1795382296.72612
    return made


def test_a_line_has_time_process_message_and_ids(tmp_path: Path) -> None:
    open_log(str(tmp_path), "worker", instance=7, worker_id="w-1")
    identify(conversation_id="c-1", incarnation=2)
    log.warning("the turn took %d s", 3, extra={"turn_id": "t-1"})
    (line,) = lines(tmp_path)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "process": "worker",
        "pid": os.getpid(),
        "instance": 7,
        "worker_id": "w-1",
        "conversation_id": "c-1",
        "incarnation": 2,
        "turn_id": "t-1",
        "logger": "greenroom.test",
        "message": "the turn took 3 s",
    }


def test_times_are_in_utc_and_milliseconds() -> None:
    assert json.loads(encode_log_line(record("hello"), "p", {}))["time"] == "2026-11-22T21:18:16.726Z"


def test_ids_can_be_taken_back(tmp_path: Path) -> None:
    open_log(str(tmp_path), "worker")
    identify(turn_id="t-1")
    identify(turn_id=None)
    log.info("between two turns")
    assert "turn_id" not in lines(tmp_path)[0]


def test_what_a_record_is_about_wins_over_what_its_process_is_about(tmp_path: Path) -> None:
    open_log(str(tmp_path), "supervisor", conversation_id="c-1")
    log.info("another", extra={"conversation_id": "c-2"})
    assert lines(tmp_path)[0]["conversation_id"] == "c-2"


def test_secrets_are_masked_wherever_they_stand(tmp_path: Path) -> None:
    open_log(str(tmp_path), "broker")
    try:
        raise ValueError(f"refused {TOKEN}")
    except ValueError:
        log.exception("Authorization: Bearer %s", KEY, extra={"turn_id": KEY})
    text = Path(log_path(str(tmp_path))).read_text()
    assert TOKEN not in text
    assert KEY not in text
    assert text.count(MASK) >= 3
    (line,) = lines(tmp_path)
    assert line["exception"].startswith("Traceback")


@given(st.text(st.characters()), st.text(st.characters()))
def test_every_record_is_one_line_of_json(message: str, extra: str) -> None:
    line = encode_log_line(
        record("%s", message, turn_id=extra.encode("utf-8", "replace").decode()), "p", {"instance": 1}
    )
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    told = json.loads(line)
    assert told["instance"] == 1


@pytest.mark.parametrize("place", ["{}", 'a "{}" b', "x\n{}\ty", "Bearer {}", "é{}é"])
def test_masking_leaves_json_whole(place: str) -> None:
    told = json.loads(encode_log_line(record("%s", place.format(TOKEN)), "p", {}))
    assert TOKEN not in told["message"]
    assert MASK in told["message"]


def test_a_long_message_is_cut_and_says_so() -> None:
    told = json.loads(encode_log_line(record("x" * 1_000_000), "p", {}))
    assert len(told["message"]) < 10_000
    assert told["message"].endswith("… (1000000 characters)")


def test_a_call_that_does_not_fit_its_text_is_logged_all_the_same(tmp_path: Path) -> None:
    open_log(str(tmp_path), "p")
    log.info("%d of %d", "one")  # noqa: PLE1206 - that is what it is about
    log.info("fine", extra={"turn_id": object()})
    first, second = lines(tmp_path)
    assert first["message"].startswith("%d of %d")
    assert second["message"] == "fine"


def test_it_is_for_this_user_alone_and_made_by_the_first_line(tmp_path: Path) -> None:
    open_log(str(tmp_path), "p")
    assert not (tmp_path / "log").exists()
    log.info("hello")
    path = Path(log_path(str(tmp_path)))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_what_else_is_logged_to_keeps_its_level(tmp_path: Path, root: logging.Logger) -> None:
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    root.handlers[:] = [Ear()]
    root.setLevel(logging.WARNING)
    open_log(str(tmp_path), "p", "info")
    log.debug("neither")
    log.info("the file alone")
    log.warning("both")
    assert heard == ["both"]
    assert [line["message"] for line in lines(tmp_path)] == ["the file alone", "both"]


def test_a_forked_process_takes_the_log_of_its_parent_over_without_a_change_to_any_logger(
    tmp_path: Path, root: logging.Logger
) -> None:
    """A change of a level makes each logger forget what it knows, which writes to pages that the processes share."""
    root.handlers[:] = []
    standard_error.set_up("fork_server", "warning")
    parents = open_log(str(tmp_path), "fork_server", instance=1)
    known = [(log.isEnabledFor(level), level) for level in (logging.DEBUG, logging.INFO)]
    assert known == [(False, logging.DEBUG), (True, logging.INFO)]
    cache = dict(log._cache)  # type: ignore[attr-defined]
    standard_error.set_up("worker abc", "warning")
    assert open_log(str(tmp_path), "worker", worker_id="w-1") is parents
    assert log._cache == cache  # type: ignore[attr-defined]
    log.info("hello")
    (line,) = lines(tmp_path)
    assert (line["process"], line["worker_id"], "instance" in line) == ("worker", "w-1", False)


def test_a_process_that_takes_a_log_over_tells_of_its_own_first_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log").write_text("no folder")
    for process in ("fork_server", "worker"):
        open_log(str(tmp_path), process)
        log.info("one")
        log.info("two")
    told = [line.partition(" cannot write")[0] for line in capsys.readouterr().err.splitlines()]
    assert told == ["fork_server", "worker"]


def test_a_log_of_another_home_takes_the_place_of_the_first(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    open_log(str(first), "fork_server")
    open_log(str(second), "worker")
    log.info("hello")
    assert not (first / "log").exists()
    assert [line["process"] for line in lines(second)] == ["worker"]


@pytest.mark.parametrize("level", ["debug", "info", "error"])
def test_standard_error_has_its_own_level_also_where_it_is_set_after_the_log_was_opened(
    tmp_path: Path, root: logging.Logger, level: str
) -> None:
    root.handlers[:] = []
    standard_error.set_up("worker", "warning")
    open_log(str(tmp_path), "worker", "info")
    standard_error.set_up("worker", level)
    number = logging.getLevelNamesMapping()[level.upper()]
    assert standard_error._handler.level == number
    assert root.level == min(number, logging.INFO)
    log.info("hello")
    assert [line["message"] for line in lines(tmp_path)] == ["hello"]


def test_a_forked_process_that_sets_up_anew_writes_its_own_ids_once(tmp_path: Path) -> None:
    open_log(str(tmp_path), "fork_server")
    log.info("before")
    pid = os.fork()
    if pid == 0:
        open_log(str(tmp_path), "worker", worker_id="w-1")
        log.info("after")
        os._exit(0)
    os.waitpid(pid, 0)
    log.info("still here")
    told = [(line["process"], line["pid"] == pid, line["message"]) for line in lines(tmp_path)]
    assert told == [("fork_server", False, "before"), ("worker", True, "after"), ("fork_server", False, "still here")]


# Rotation


def append(home: Path, count: int, max_bytes: int, text: str = "x") -> LogFile:
    handler = LogFile(str(home), "p", {}, max_bytes)
    for number in range(count):
        handler.handle(record("%d %s", number, text))
    return handler


def test_a_full_file_is_turned_over_and_so_many_are_kept(tmp_path: Path) -> None:
    append(tmp_path, 200, max_bytes=1000).close()
    names = [f"greenroom.{number}.jsonl" for number in range(1, KEPT + 1)]
    assert set(names) <= set(files(tmp_path)) <= {*names, "greenroom.jsonl"}
    size = sum(path.stat().st_size for path in (tmp_path / logfile.FOLDER).glob("*.jsonl"))
    assert size < (KEPT + 1) * 1300
    newest = (tmp_path / logfile.FOLDER / "greenroom.1.jsonl").read_text().splitlines()
    numbers = [int(json.loads(line)["message"].split()[0]) for line in newest]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert numbers[-1] >= 190


def test_others_follow_when_one_turns_the_file_over(tmp_path: Path) -> None:
    other = append(tmp_path, 1, max_bytes=10_000)
    append(tmp_path, 1, max_bytes=1).close()
    other.handle(record("after"))
    other.close()
    assert [line["message"] for line in lines(tmp_path)] == ["after"]


def test_a_file_that_somebody_removed_comes_back(tmp_path: Path) -> None:
    handler = append(tmp_path, 1, max_bytes=10_000)
    os.unlink(log_path(str(tmp_path)))
    handler.handle(record("again"))
    handler.close()
    assert [line["message"] for line in lines(tmp_path)] == ["again"]


WRITER = """
import logging, sys
from greenroom.runtime.log.logfile import LogFile
handler = LogFile(sys.argv[1], "p", {}, 20_000)
log = logging.getLogger("writer")
log.addHandler(handler)
log.setLevel("INFO")
for number in range(300):
    log.info("%s %d %s", sys.argv[2], number, "x" * 300)
"""


def test_processes_that_write_at_once_lose_and_mix_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five files of 20 kB hold the last of what three processes write, in the order in which each wrote it."""
    writers = [subprocess.Popen([sys.executable, "-I", "-c", WRITER, str(tmp_path), name]) for name in ("a", "b", "c")]
    assert [writer.wait(30) for writer in writers] == [0, 0, 0]
    seen: dict[str, list[int]] = {}
    for number in range(KEPT, -1, -1):
        path = tmp_path / logfile.FOLDER / (f"greenroom.{number}.jsonl" if number else "greenroom.jsonl")
        for line in path.read_bytes().splitlines() if path.exists() else ():
            name, count, _ = json.loads(line)["message"].split()
            seen.setdefault(name, []).append(int(count))
    assert seen
    for numbers in seen.values():
        assert sorted(numbers) == list(range(min(numbers), 300))


# What goes wrong


def test_a_disk_that_fails_is_told_once_and_stops_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log").write_text("a file where a directory should be")
    handler = append(tmp_path, 3, max_bytes=1000)
    told = capsys.readouterr().err
    assert told.count("cannot write") == 1
    (tmp_path / "log").unlink()
    handler.handle(record("well again"))
    handler.close()
    assert [line["message"] for line in lines(tmp_path)] == ["well again"]


def test_a_link_is_not_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "target"
    (tmp_path / logfile.FOLDER).mkdir(parents=True)
    os.symlink(target, log_path(str(tmp_path)))
    append(tmp_path, 1, max_bytes=1000).close()
    assert not target.exists()
    assert "cannot write" in capsys.readouterr().err


# Reading


def test_the_last_lines_about_something_are_found(tmp_path: Path) -> None:
    open_log(str(tmp_path), "p")
    for number in range(10):
        log.info("line %d", number, extra={"worker_id": f"w-{number % 2}", "instance": 1})
    assert recent(str(tmp_path), 2, worker_id="w-1") == ["info line 7", "info line 9"]
    assert recent(str(tmp_path), 2, worker_id="w-1", instance=2) == []
    assert recent(str(tmp_path), 0, worker_id="w-1") == []
    assert recent(str(tmp_path / "missing"), 5) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_a_log_of_anything_can_be_read(tmp_path: Path, data: bytes) -> None:
    path = Path(log_path(str(tmp_path)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    assert isinstance(recent(str(tmp_path), 5), list)


def test_lines_of_a_task_carry_the_ids_of_what_it_is_about(tmp_path: Path) -> None:
    open_log(str(tmp_path), "worker")

    async def work(call_id: str) -> None:
        with about(call_id=call_id):
            await asyncio.sleep(0)
            log.warning("at work for %s", call_id)
            await asyncio.create_task(helper(call_id))
        log.warning("done with %s", call_id)

    async def helper(call_id: str) -> None:
        log.warning("helping %s", call_id)

    async def both() -> None:
        await asyncio.gather(work("a"), work("b"))

    asyncio.run(both())
    found = {line["message"]: line.get("call_id") for line in lines(tmp_path)}
    assert found == {
        **{f"at work for {call}": call for call in "ab"},
        **{f"helping {call}": call for call in "ab"},
        **{f"done with {call}": None for call in "ab"},
    }
