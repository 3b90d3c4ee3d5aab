"""A conversation that cannot be saved: its calls say so, their answers are not lost, and nor is anything later."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from greenroom.demo.script import FailStep, Text, rule
from tests.supervisor.frontend.conversation_api.api_client import event, heard, listen, say
from tests.support.client import Message, kind, text, thread_id
from tests.support.deadline import until
from tests.support.model import said
from tests.support.stage import Stage

HELLO: Final = rule("", [Text("Good day.")])


def assert_unsaved(result: Message) -> None:
    assert kind(result) == "session_unsaved"
    answer, complaint = (part["text"] for part in result["content"])
    assert answer == "Good day."
    assert "cannot be saved" in complaint
    assert result["structuredContent"]["content"] == "Good day."
    assert result["structuredContent"]["error"]["message"] == complaint


@contextmanager
def file_in_the_way(home: Path) -> Iterator[None]:
    (home / "sessions").write_text("in the way")
    yield
    (home / "sessions").unlink()


@contextmanager
def dangling_link(home: Path) -> Iterator[None]:
    (home / "sessions").symlink_to(home / "file" / "below")
    (home / "file").touch()
    yield
    (home / "sessions").unlink()


@contextmanager
def no_locks(home: Path) -> Iterator[None]:
    (home / "thread-writer-locks").write_text("in the way")
    yield
    (home / "thread-writer-locks").unlink()


@contextmanager
def full_disk(home: Path) -> Iterator[None]:
    """Mount a file system that has no room left over the place of the sessions."""
    sessions = home / "sessions"
    sessions.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", sessions], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nothing can be mounted here")
    try:
        filler = sessions / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        yield
        filler.unlink()
    finally:
        subprocess.run(["umount", "-l", sessions], check=True)


OBSTACLES: Final = (file_in_the_way, dangling_link, no_locks)


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_the_call_says_so_and_has_its_answer(
    stage: Stage, engine: str, obstacle: Callable[[Path], AbstractContextManager[None]]
) -> None:
    stage.play(HELLO)
    with obstacle(stage.home.path):
        client = stage.serve(engine).client
        call = client.codex("hello")
        result = client.result(call)
        assert_unsaved(result)
        (warning,) = [told for told in client.events(call) if told["type"] == "warning"]
        assert "cannot be saved" in warning["message"]
        assert_unsaved(client.result(client.reply(thread_id(result), "hello again")))
    healed = client.result(client.reply(thread_id(result), "once more"))
    assert not healed.get("isError")
    assert text(healed) == "Good day."


def test_a_turn_that_fails_says_it_beside_its_failure(stage: Stage) -> None:
    stage.play(rule("", [FailStep(400, {"error": {"message": "no such thing"}})]))
    with file_in_the_way(stage.home.path):
        client = stage.serve("fork").client
        result = client.result(client.codex("hello"))
        assert kind(result) == "model_error"
        assert "no such thing" in text(result)
        assert "cannot be saved either: " in text(result)


def test_what_was_not_saved_is_saved_once_it_can_be_and_is_in_the_next_servers_history(stage: Stage) -> None:
    stage.play(HELLO)
    server = stage.serve("fork")
    with file_in_the_way(stage.home.path):
        result = server.client.result(server.client.codex("one"))
        assert_unsaved(result)
    assert not server.client.result(server.client.reply(thread_id(result), "two")).get("isError")
    server.leave()
    client = stage.serve("fork").client
    assert not client.result(client.reply(thread_id(result), "three")).get("isError")
    assert said(stage.model.requests()[-1], "user")[-3:] == ["one", "two", "three"]


def test_a_disk_that_is_full_is_said_too(stage: Stage) -> None:
    stage.play(HELLO)
    with full_disk(stage.home.path):
        client = stage.serve("fork").client
        result = client.result(client.codex("hello" * 10_000))
        assert_unsaved(result)
        assert os.strerror(errno.ENOSPC) in result["content"][1]["text"]
        (stage.home.path / "sessions" / "filler").unlink()
        subprocess.run(["mount", "-o", "remount,size=16m", stage.home.path / "sessions"], check=True)
        assert not client.result(client.reply(thread_id(result), "hello")).get("isError")
        (stage.home.path / "sessions" / "filler").touch()


def test_an_unsaved_conversation_is_not_parked_for_its_idleness(stage: Stage) -> None:
    stage.play(HELLO, top="[greenroom]\npark_after_s = 0.05\nidle_workers = 0\n")
    server = stage.serve("fork")
    with file_in_the_way(stage.home.path):
        result = server.client.result(server.client.codex("one"))
        assert_unsaved(result)
    (unsaved,) = server.workers()
    server.client.result(server.client.codex("two"))
    until(lambda: server.workers() == [unsaved])  # the other one, which is saved, has left, though its turn came later
    reply = server.client.result(server.client.reply(thread_id(result), "three"))
    assert not reply.get("isError")
    assert said(stage.model.requests()[-1], "user")[-2:] == ["one", "three"]


def test_clients_of_the_conversation_api_are_warned_and_their_turn_ends(stage: Stage) -> None:
    stage.play(HELLO)
    with file_in_the_way(stage.home.path):
        client = stage.serve("fork").client
        begun = client.result(client.request("newConversation", {"cwd": stage.cwd}))
        listen(client, begun["conversationId"])
        say(client, begun["conversationId"], "hello")
        event(client, begun["conversationId"], "task_complete")
        kinds = [told["msg"]["type"] for told in heard(client, begun["conversationId"])]
        assert "agent_message" in kinds
        assert kinds.count("warning") == 1
