"""Conversations that ask for it work in git worktrees of their own, and no work is lost with them."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from greenroom.demo.script import CommandStep, Quote, Text, rule
from tests.support.app_server import serve
from tests.support.client import Client, Message, RequestId, text, thread_id
from tests.support.deadline import until
from tests.support.exec import run_json
from tests.support.stage import Stage

WRITE = rule("write", [CommandStep(("sh", "-c", "pwd > written; cat written"))], [Quote("")])
CLEAN = rule("clean", [CommandStep(("rm", "written"))], [Text("Clean.")])
HELLO = rule("hello", [Text("Good day.")])


def git(directory: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    done = subprocess.run(["git", *identity, *arguments], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(stage: Stage) -> Path:
    git(stage.workspace, "init", "--quiet", "-b", "main")
    (stage.workspace / "file").write_text("one\n")
    git(stage.workspace, "add", ".")
    git(stage.workspace, "commit", "--quiet", "-m", "first")
    return stage.workspace


def begin(client: Client, stage: Stage, prompt: str, **more: object) -> RequestId:
    more = {"sandbox": "workspace-write", "approval_policy": "never", "worktree": True, **more}
    return client.codex(prompt, cwd=stage.cwd, **more)


def worktree(result: Message) -> dict[str, Any]:
    told: dict[str, Any] = result["structuredContent"]["worktree"]
    return told


def test_a_conversation_works_in_its_own_worktree_and_the_result_names_it(
    stage: Stage, repository: Path, engine: str
) -> None:
    stage.play(WRITE, HELLO)
    client = stage.serve(engine).client
    call = begin(client, stage, "write")
    result = client.result(call)
    told = worktree(result)
    path = Path(told["path"])
    assert path.parent.parent == stage.home.path / "worktrees"
    assert text(result).strip() == str(path)
    assert git(path, "branch", "--show-current") == told["branch"]
    assert told["path"] in client.event(call, "background_event")["message"]
    assert not (repository / "written").exists()
    assert f"<cwd>{path}</cwd>".encode() in stage.model.requests()[0].body
    plain = client.result(client.codex("hello", cwd=stage.cwd))
    assert "worktree" not in plain["structuredContent"]


def test_several_at_once_do_not_see_each_other(stage: Stage, repository: Path) -> None:
    stage.play(WRITE)
    client = stage.serve("fork").client
    calls = [begin(client, stage, "write") for _ in range(4)]
    paths = [worktree(client.result(call))["path"] for call in calls]
    assert len(set(paths)) == 4
    assert [Path(path, "written").read_text().strip() for path in paths] == paths
    assert git(repository, "status", "--porcelain") == ""


def test_it_is_kept_while_it_holds_work_and_removed_when_the_conversation_is_closed_without(
    stage: Stage, repository: Path
) -> None:
    stage.play(WRITE, CLEAN, HELLO)
    client = stage.serve("fork").client
    result = client.result(begin(client, stage, "write"))
    conversation, path = thread_id(result), Path(worktree(result)["path"])
    kept = client.result(client.call("codex-close", threadId=conversation))["structuredContent"]["worktree"]
    assert "files that are in no commit" in kept["reason"]
    assert (path / "written").exists()
    assert worktree(client.result(client.reply(conversation, "clean")))["path"] == str(path)
    gone = client.result(client.call("codex-close", threadId=conversation))["structuredContent"]["worktree"]
    assert gone == {"path": str(path), "branch": gone["branch"], "removed": True}
    assert not path.exists()
    assert git(repository, "branch", "--list", "greenroom/*") == ""
    again = client.result(client.reply(conversation, "write"))
    assert text(again).strip() == str(path)


def test_it_is_found_again_after_a_restart_and_made_again_where_it_is_missing(stage: Stage, repository: Path) -> None:
    stage.play(WRITE, HELLO)
    first = stage.serve("fork")
    result = first.client.result(begin(first.client, stage, "write"))
    conversation, path = thread_id(result), Path(worktree(result)["path"])
    assert first.leave() == 0
    second = stage.serve("fork")
    assert worktree(second.client.result(second.client.reply(conversation, "hello"))) == worktree(result)
    assert (path / "written").exists()
    assert second.leave() == 0
    git(repository, "worktree", "remove", "--force", str(path))
    client = stage.serve("fork").client
    assert text(client.result(client.reply(conversation, "write"))).strip() == str(path)


def test_a_killed_worker_goes_on_in_the_same_worktree(stage: Stage, repository: Path) -> None:
    stage.play(WRITE, HELLO)
    stage.kills_expected = True
    server = stage.serve("fork")
    client = server.client
    result = client.result(begin(client, stage, "write"))
    killed = server.workers()
    for worker in killed:
        worker.kill()
    until(lambda: not any(worker.is_running() for worker in killed))
    assert worktree(client.result(client.reply(thread_id(result), "hello"))) == worktree(result)


@pytest.mark.usefixtures("repository")
def test_an_archived_conversation_leaves_no_empty_worktree(stage: Stage) -> None:
    stage.play(HELLO)
    client = stage.serve("fork").client
    call = begin(client, stage, "hello")
    result = client.result(call)
    rollout = client.event(call, "session_configured")["rollout_path"]
    params = {"conversationId": thread_id(result), "rolloutPath": rollout}
    client.result(client.request("archiveConversation", params))
    assert not Path(worktree(result)["path"]).exists()


def test_what_has_no_worktree_is_refused_before_anything_is_done(stage: Stage) -> None:
    stage.play(HELLO)
    client = stage.serve("fork").client
    result = client.result(begin(client, stage, "hello"))
    assert result["isError"]
    assert "no worktree can be made" in text(result)
    assert "is not in a git repository" in text(result)
    assert stage.model.requests() == []


@pytest.mark.usefixtures("repository")
def test_a_script_can_ask_for_one_and_a_resumption_goes_on_in_it(stage: Stage) -> None:
    stage.play(WRITE, HELLO)
    began = run_json(stage, "--worktree", "-s", "workspace-write", "write")
    assert began.status == 0, began.err
    path = Path(str(began.items[-1]["text"]).strip())
    assert path.parent.parent == stage.home.path / "worktrees"
    assert (path / "written").exists()
    again = run_json(stage, "-s", "workspace-write", "resume", began.thread, "write")
    assert str(again.items[-1]["text"]).strip() == str(path)


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("method", ["thread/archive", "thread/delete"])
def test_a_thread_that_is_put_aside_leaves_no_empty_worktree(stage: Stage, method: str) -> None:
    stage.play(HELLO)
    first = stage.serve("fork")
    result = first.client.result(begin(first.client, stage, "hello"))
    assert first.leave() == 0
    path = Path(worktree(result)["path"])
    assert path.is_dir(), "the end of the server removes nothing"
    app = serve(stage).app
    app.result(app.request(method, {"threadId": thread_id(result)}))
    assert not path.exists()
