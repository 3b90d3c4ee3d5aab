"""Clients read and change the configuration, run commands, search files and compare with a remote."""

import subprocess

import pytest

from greenroom.demo.script import Text, rule
from tests.supervisor.frontend.conversation_api.api_client import begin, refused
from tests.support import processes
from tests.support.deadline import until
from tests.support.stage import Stage
from tests.workers.jobs.planted import PLANTS, SECRET, prepare

HELLO = rule("", [Text("Good day.")])


def test_identity_is_told(stage: Stage) -> None:
    stage.play(HELLO)
    server = stage.start()
    greeting = server.client.initialize()
    client = server.client
    agent = client.result(client.request("getUserAgent"))["userAgent"]
    assert agent == greeting["serverInfo"]["user_agent"]
    assert "(promises; 1)" in agent
    assert client.result(client.request("userInfo")) == {"allegedUserEmail": None}


def test_the_default_model_is_written_and_counts_for_the_next_conversation(stage: Stage, engine: str) -> None:
    stage.play(HELLO, top='model_reasoning_effort = "high"  # think\n# mine\n')
    client = stage.serve(engine).client
    saved = client.result(client.request("getUserSavedConfig"))["config"]
    assert (saved["model"], saved["modelReasoningEffort"], saved["profiles"]) == ("scripted", "high", {})
    early = client.result(client.request("getConfigToml"))
    assert early == {name: saved[name] for name in ("approvalPolicy", "sandboxMode", "modelReasoningEffort")}
    assert client.result(client.request("setDefaultModel", {"model": "newer"})) == {}
    text = stage.home.config.read_text()
    assert 'model = "newer"' in text
    assert "model_reasoning_effort" not in text
    assert "# mine" in text
    assert client.result(client.request("newConversation", {}))["model"] == "newer"


def test_models_are_listed_with_the_one_that_is_configured(stage: Stage, engine: str) -> None:
    stage.play(HELLO, more="[greenroom.models.mine]\ncontext_window = 9000\nimage_input = true\n")
    client = stage.serve(engine).client
    first = client.result(client.request("model/list", {"limit": 1}))
    assert [(model["id"], model["isDefault"]) for model in first["data"]] == [("scripted", True)]
    rest = client.result(client.request("model/list", {"cursor": first["nextCursor"]}))
    (mine,) = rest["data"]
    assert (mine["model"], mine["inputModalities"]) == ("mine", ["text", "image"])
    assert (mine["isDefault"], rest["nextCursor"]) == (False, None)
    stage.home.config.write_text("model = [")
    code, text = refused(client, "model/list", {})
    assert (code, text[:23]) == (-32603, "failed to list models: ")


def test_a_broken_file_is_told_and_left_alone(stage: Stage) -> None:
    stage.play(HELLO)
    client = stage.serve("fork").client
    stage.home.config.write_text("model = [")
    for method in ("getUserSavedConfig", "getConfigToml"):
        code, text = refused(client, method)
        assert (code, text[:28]) == (-32603, "failed to load config.toml: ")
    stage.home.config.write_text('sandbox_mode = "none"')
    code, text = refused(client, "getUserSavedConfig")
    assert (code, text[:29]) == (-32603, "failed to parse config.toml: ")
    stage.home.config.write_text("model = [")
    code, text = refused(client, "setDefaultModel", {"model": "x"})
    assert (code, text[:29]) == (-32603, "failed to persist overrides: ")
    assert stage.home.config.read_text() == "model = ["


def test_a_command_runs_in_the_sandbox_that_it_is_given(stage: Stage, engine: str) -> None:
    stage.play(HELLO)
    client = stage.serve(engine).client
    echo = {
        "command": ["sh", "-c", "pwd; echo oh >&2; exit 3"],
        "cwd": stage.cwd,
        "sandboxPolicy": {"mode": "read-only"},
    }
    told = client.result(client.request("execOneOffCommand", echo))
    assert told == {"exitCode": 3, "stdout": f"{stage.cwd}\n", "stderr": "oh\n"}
    touch = {"command": ["touch", "made"], "cwd": stage.cwd}
    code, text = refused(client, "execOneOffCommand", {**touch, "sandboxPolicy": {"type": "read-only"}})
    assert code == -32603
    assert text.startswith("exec failed: sandbox error: ")
    assert not (stage.workspace / "made").exists()
    assert client.result(client.request("execOneOffCommand", touch))["exitCode"] == 0
    assert (stage.workspace / "made").exists(), "the configuration has no sandbox"


def test_commands_that_do_not_run_or_end_are_told(stage: Stage) -> None:
    stage.play(HELLO)
    client = stage.serve("fork").client
    assert refused(client, "execOneOffCommand", {"command": []}) == (-32600, "command must not be empty")
    slow = {"command": ["sleep", "600"], "timeoutMs": 50}
    assert refused(client, "execOneOffCommand", slow) == (-32603, "exec failed: sandbox error: command timed out")
    code, text = refused(client, "execOneOffCommand", {"command": ["/no/such/program"]})
    assert (code, text[:13]) == (-32603, "exec failed: ")
    assert refused(client, "execOneOffCommand", {"command": "ls"})[0] == -32602


def test_a_killed_worker_fails_its_job_alone(stage: Stage) -> None:
    stage.kills_expected = True
    stage.play(HELLO)
    server = stage.serve("fork", "-c", "greenroom.idle_workers=0")
    client = server.client
    sleep = client.request("execOneOffCommand", {"command": ["sleep", "600"], "timeoutMs": 600_000})
    until(lambda: any(processes.name_of(one) == "sleep" for one in processes.marked(stage.run)), 20)
    (worker,) = server.workers()
    worker.kill()
    error = client.answer(sleep)["error"]
    assert error["code"] == -32603
    assert error["message"].startswith("exec failed: its process died")
    sleeping = [one for one in processes.marked(stage.run) if processes.name_of(one) == "sleep"]
    assert not processes.remaining(sleeping, 2)
    assert begin(client)


def test_an_job_is_answered_when_the_server_leaves(stage: Stage) -> None:
    stage.play(HELLO)
    server = stage.serve("fork")
    sleep = server.client.request("execOneOffCommand", {"command": ["sleep", "600"], "timeoutMs": 600_000})
    until(lambda: any(processes.name_of(one) == "sleep" for one in processes.marked(stage.run)), 20)
    server.client.hang_up()
    server.client.read_to_end()
    assert server.client.answer(sleep)["error"]["message"] == "the server is shutting down"
    assert server.wait() == 0


def test_files_are_found_and_the_workers_of_searches_leave(stage: Stage, engine: str) -> None:
    stage.play(HELLO)
    server = stage.serve(engine)
    client = server.client
    for name in ("abc", "abcde", "abexy", "zzz.txt", "sub/abce", "ignored/abe", ".gitignore"):
        path = stage.workspace / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("ignored/\n" if name == ".gitignore" else "")
    params = {"query": "abe", "roots": [stage.cwd, "/no/such/root"], "cancellationToken": "t"}
    files = client.result(client.request("fuzzyFileSearch", params))["files"]
    assert [(file["path"], file["score"], file["indices"]) for file in files] == [
        ("abexy", 88, [0, 1, 2]),
        ("abcde", 74, [0, 1, 4]),
        ("sub/abce", 72, [4, 5, 7]),
    ]
    assert {file["root"] for file in files} == {stage.cwd}
    for nothing in ({"query": "", "roots": [stage.cwd]}, {"query": "abe", "roots": []}):
        assert client.result(client.request("fuzzyFileSearch", nothing)) == {"files": []}
    server.settle(2)


def test_a_search_that_another_one_replaces_is_answered_too(stage: Stage) -> None:
    stage.play(HELLO)
    client = stage.serve("fork").client
    (stage.workspace / "abe").touch()
    params = {"query": "abe", "roots": [stage.cwd], "cancellationToken": "t"}
    first, second = client.request("fuzzyFileSearch", params), client.request("fuzzyFileSearch", params)
    assert len(client.result(second)["files"]) == 1
    assert "files" in client.result(first)


def test_a_working_tree_is_compared_with_its_remote(stage: Stage) -> None:
    stage.play(HELLO)
    client = stage.serve("fork").client
    remote, clone = stage.workspace / "remote", stage.workspace / "clone"
    git("init", "-q", "-b", "main", str(remote))
    (remote / "cart.js").write_text("one\n")
    git("-C", str(remote), "add", ".")
    git("-C", str(remote), "commit", "-qm", "first")
    git("clone", "-q", str(remote), str(clone))
    (clone / "cart.js").write_text("two\n")
    (clone / "new.js").write_text("three\n")
    told = client.result(client.request("gitDiffToRemote", {"cwd": str(clone)}))
    assert told["sha"] == git("-C", str(remote), "rev-parse", "HEAD").strip()
    assert "-one\n+two\n" in told["diff"]
    assert "+++ b/new.js\n" in told["diff"]
    code, text = refused(client, "gitDiffToRemote", {"cwd": str(remote)})
    assert (code, text) == (-32600, f'failed to compute git diff to remote for cwd: "{remote}"')


@pytest.mark.parametrize("plant", ["lazy fetch", "submodule"])
def test_programs_of_a_repository_stay_in_a_sandbox_in_every_mode(stage: Stage, plant: str) -> None:
    """The configuration has no sandbox for commands; what Greenroom runs for itself has one all the same."""
    look_where_a_program_is_planted(stage, "fork", plant)


@pytest.mark.both_engines
def test_a_filter_of_a_repository_stays_in_the_sandbox_of_each_engine(stage: Stage, engine: str) -> None:
    look_where_a_program_is_planted(stage, engine, "filter.x.clean")


def look_where_a_program_is_planted(stage: Stage, engine: str, plant: str) -> None:
    """Search and compare in a repository, and check that its program has done nothing."""
    ground = prepare(stage.workspace.parent)
    PLANTS[plant](ground)
    stage.play(HELLO, top='sandbox_mode = "danger-full-access"')
    client = stage.serve(engine).client
    ground.marker.unlink(missing_ok=True)
    assert client.result(client.request("fuzzyFileSearch", {"query": "new", "roots": [stage.cwd]}))["files"]
    told = client.answer(client.request("gitDiffToRemote", {"cwd": stage.cwd}))
    assert ground.harm() == []
    assert SECRET not in str(told)


def git(*arguments: str) -> str:
    command = ("git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
