"""`greenroom exec` runs one turn, tells it as `codex exec` does, and leaves nothing behind."""

import base64
import json
import os
import signal
from pathlib import Path

import pytest

from greenroom.demo.request_log import credential_digest
from greenroom.demo.script import Call, CommandStep, FailStep, PatchStep, Quote, ReasoningStep, Stall, Text, rule
from tests.support import processes
from tests.support.deadline import until
from tests.support.exec import ANYWHERE, begin, run, run_json
from tests.support.faults import Faults
from tests.support.home import records
from tests.support.model import Model, inputs, members, said
from tests.support.stage import Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(90)]

HELLO = rule("", [Text(("Hel", "lo."))])
LOOK = rule(
    "look", [ReasoningStep("Hm."), Text("I look."), CommandStep(("sh", "-c", "echo here; exit 3"))], [Quote("It: ")]
)
FAIL = rule("fail", [FailStep(400, {"error": {"message": "nope"}})])
STALL = rule("stall", [Text("hm"), Stall()])
PATCH = rule("patch", [PatchStep("*** Begin Patch\n*** Add File: a.txt\n+hello\n*** End Patch")], [Text("Patched.")])
PLAN = rule(
    "plan",
    [Call("update_plan", {"plan": [{"step": "one", "status": "in_progress"}]})],
    [Call("update_plan", {"plan": [{"step": "one", "status": "completed"}]})],
    [Text("Planned.")],
)
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
REFUSED = "--skip-git-repo-check was not specified"


@pytest.fixture
def model(stage: Stage) -> Model:
    return stage.play(LOOK, FAIL, STALL, PATCH, PLAN, HELLO)


def message(model: Model) -> str:
    """Return what the user has said last, as the model was sent it."""
    return said(model.requests()[-1], "user")[-1]


# Events


def test_a_turn_is_told_as_events(stage: Stage, model: Model) -> None:
    ran = run_json(stage, "look")
    assert ran.status == 0, ran.err
    assert ran.kinds == [
        "thread.started",
        "turn.started",
        "item.completed reasoning",
        "item.completed agent_message",
        "item.started command_execution",
        "item.completed command_execution",
        "item.completed agent_message",
        "turn.completed",
    ]
    command = {
        "id": "item_2",
        "type": "command_execution",
        "command": "sh -c 'echo here; exit 3'",
        "aggregated_output": "here\n",
        "exit_code": 3,
        "status": "failed",
    }
    assert ran.items[2] == command
    assert ran.items[3]["text"] == "It: here"
    usage = {"input_tokens": 200, "cached_input_tokens": 0, "cache_write_input_tokens": 0, "output_tokens": 20}
    assert ran.events[-1]["usage"] == {**usage, "reasoning_output_tokens": 0}
    meta = next(records(stage.home.session(ran.thread)))[1]
    assert (meta["source"], meta["originator"]) == ("exec", "codex_exec")


def test_patches_and_plans_are_told_as_items(stage: Stage, model: Model) -> None:
    patched = run_json(stage, "patch").items[0]
    assert patched["changes"] == [{"path": str(stage.workspace / "a.txt"), "kind": "add"}]
    assert (patched["type"], patched["status"]) == ("file_change", "completed")
    planned = run_json(stage, "plan")
    assert [kind for kind in planned.kinds if "todo_list" in kind] == [
        f"item.{what} todo_list" for what in ("started", "updated", "completed")
    ]
    assert planned.items[-1]["items"] == [{"text": "one", "completed": True}]


def test_a_failed_turn_is_told_and_ends_with_1(stage: Stage, model: Model) -> None:
    ran = run_json(stage, "fail")
    assert ran.status == 1
    assert ran.kinds[-2:] == ["error", "turn.failed"]
    assert "nope" in ran.events[-1]["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-c", "model_provider=nope"), "Model provider `nope` not found"),
        (("-c", "approval_policy=bogus"), "unknown variant `bogus`"),
        (("-c", "foo"), "Invalid override (missing '=')"),
        (("-C", "/nonexistent"), "does not exist"),
        (("--output-schema", "/nonexistent/s.json"), "Failed to read output schema file"),
        (("-o", "/nonexistent/last.txt"), "Failed to open last message file"),
    ],
)
def test_what_cannot_begin_says_why_and_ends_with_1(
    stage: Stage, model: Model, arguments: tuple[str, ...], told: str
) -> None:
    ran = run_json(stage, "x", *arguments)
    assert (ran.status, ran.out) == (1, "")
    assert told in ran.err
    assert not model.requests()


def test_unknown_arguments_end_with_2(stage: Stage, model: Model) -> None:
    for arguments in (("--bogus",), ("-s", "bogus"), ("--worktree", "--ephemeral"), ("resume",)):
        assert run(stage, *arguments).status == 2


# What people see


def test_people_get_the_answer_at_standard_output_and_the_rest_beside_it(stage: Stage, model: Model) -> None:
    ran = run(stage, ANYWHERE, "look")
    assert (ran.status, ran.out) == (0, "It: here\n")
    for line in ("model: scripted", "approval: never", "Hm.", " exited 3 in", "here", "tokens used", "220"):
        assert line in ran.err
    assert "\x1b" not in ran.err


def test_color_is_shown_on_request(stage: Stage, model: Model) -> None:
    assert "\x1b[1mmodel:\x1b[0m scripted" in run(stage, ANYWHERE, "--color", "always", "hi").err


def test_people_see_why_a_turn_has_failed(stage: Stage, model: Model) -> None:
    ran = run(stage, ANYWHERE, "fail")
    assert (ran.status, ran.out) == (1, "")
    assert "ERROR: " in ran.err
    assert "nope" in ran.err


# The prompt


def test_the_prompt_comes_from_standard_input(stage: Stage, model: Model) -> None:
    for arguments in ((), ("-",)):
        assert run_json(stage, *arguments, stdin="from there\n").status == 0
        assert message(model) == "from there\n"


def test_piped_text_is_context_below_the_prompt(stage: Stage, model: Model) -> None:
    assert run_json(stage, "do this", stdin="more").status == 0
    assert message(model) == "do this\n\n<stdin>\nmore\n</stdin>"


@pytest.mark.parametrize("stdin", [b"", b" \n", b"\xff\xfe"])
def test_without_a_prompt_nothing_begins(stage: Stage, model: Model, stdin: bytes) -> None:
    ran = run(stage, ANYWHERE, stdin=stdin)
    assert ran.status == 1
    assert not model.requests()


# Options


def test_a_directory_without_git_is_refused(stage: Stage, model: Model) -> None:
    refused = run(stage, "hi")
    assert (refused.status, refused.out) == (1, "")
    assert REFUSED in refused.err
    assert run(stage, "hi", "--dangerously-bypass-approvals-and-sandbox").status == 0
    below = stage.workspace / "below"
    below.mkdir()
    (stage.workspace / ".git").mkdir()
    assert run(stage, "hi", "-C", "below").status == 0


def test_settings_of_the_command_line_are_in_force(stage: Stage, model: Model) -> None:
    other = stage.workspace / "other"
    other.mkdir()
    ran = run(
        stage, ANYWHERE, "-m", "another", "-C", "other", "-s", "workspace-write", "--add-dir", "more", "-c",
        "model_reasoning_effort=high", "hi",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    assert members(model.requests()[-1])["model"] == "another"
    told = ran.err.splitlines()
    assert f"workdir: {other}" in told
    assert "model: another" in told
    assert "reasoning effort: high" in told
    assert next(line for line in told if line.startswith("sandbox: workspace-write")).endswith(f"{other / 'more'}]")


def test_a_profile_is_chosen(stage: Stage, model: Model) -> None:
    with stage.home.config.open("a") as file:
        file.write('[profiles.work]\nmodel = "of-the-profile"\n')
    assert run_json(stage, "-p", "work", "hi").status == 0
    assert members(model.requests()[-1])["model"] == "of-the-profile"


def test_an_output_schema_is_sent(stage: Stage, model: Model, tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(SCHEMA))
    assert run_json(stage, "hi", "--output-schema", str(path)).status == 0
    assert members(model.requests()[-1])["text"]["format"] == {
        "type": "json_schema",
        "strict": True,
        "schema": SCHEMA,
        "name": "codex_output_schema",
    }
    path.write_text("{")
    assert "is not valid JSON" in run_json(stage, "hi", "--output-schema", str(path)).err


def test_the_last_message_is_written_to_a_file(stage: Stage, model: Model, tmp_path: Path) -> None:
    path = tmp_path / "last.txt"
    path.write_text("something longer than what comes")
    assert run_json(stage, "hi", "-o", str(path)).status == 0
    assert path.read_text() == "Hello."
    failed = run_json(stage, "fail", "-o", str(path))
    assert path.read_text() == ""
    assert "no last agent message" in failed.err


def test_images_are_shown_to_the_model(stage: Stage, model: Model, tmp_path: Path) -> None:
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    for path in (one, two):
        path.write_bytes(PIXEL)
    for arguments in (("-i", f"{one},{two}", "hi"), ("--image", str(one), str(two), "hi")):
        assert run_json(stage, *arguments).status == 0
        content = inputs(model.requests()[-1])[-1]["content"]
        assert [part["type"] for part in content] == ["input_image", "input_image", "input_text"]
        assert content[-1]["text"] == "hi"
    missing = run_json(stage, "hi", "-i", str(tmp_path / "none.png"))
    assert missing.status == 0
    assert "cannot be read" in missing.err


def test_an_ephemeral_run_saves_nothing(stage: Stage, model: Model) -> None:
    assert run_json(stage, "look", "--ephemeral").status == 0
    assert not stage.home.sessions()


def test_the_source_of_a_thread_is_kept(stage: Stage, model: Model) -> None:
    ran = run_json(stage, "hi", "--thread-source", "nightly")
    assert next(records(stage.home.session(ran.thread)))[1]["thread_source"] == "nightly"


def test_the_caller_can_name_itself(stage: Stage, model: Model) -> None:
    assert run_json(stage, "hi", CODEX_INTERNAL_ORIGINATOR_OVERRIDE="codex_sdk_ts").status == 0
    headers = model.requests()[-1].headers
    assert headers["originator"] == "codex_sdk_ts"
    assert headers["user-agent"].startswith("codex_sdk_ts/")


@pytest.mark.executed  # it looks at what processes were executed with
def test_a_key_of_the_environment_goes_to_the_model_alone(stage: Stage) -> None:
    show = rule("show", [CommandStep(("sh", "-c", "env; cat /proc/$PPID/environ /proc/self/environ"))], [Text("Done.")])
    model = stage.play(show, more="requires_openai_auth = true")
    (stage.home.path / "auth.json").write_text('{"OPENAI_API_KEY": "sk-of-the-login"}')
    ran = run_json(stage, "show", "--log-level", "debug", CODEX_API_KEY="sk-of-the-environment")
    assert ran.status == 0, ran.err
    assert model.requests()[-1].credential == credential_digest("sk-of-the-environment")
    written = ran.out + ran.err + stage.home.session(ran.thread).read_text()
    written += "".join(path.read_text(errors="replace") for path in stage.home.path.rglob("*.log*"))
    assert "sk-of-the-environment" not in written


# Going on


def test_a_conversation_is_resumed_by_id_or_as_the_last_one(stage: Stage, model: Model) -> None:
    thread = run_json(stage, "first").thread
    by_id = run_json(stage, "resume", thread, "second")
    assert by_id.thread == thread
    assert by_id.events[-1]["usage"]["input_tokens"] == 200  # of the whole conversation
    last = run_json(stage, "resume", "--last", stdin="third")
    assert last.thread == thread
    assert said(model.requests()[-1], "user")[-3:] == ["first", "second", "third"]
    assert len(stage.home.sessions()) == 1


def test_a_conversation_is_resumed_by_its_name(stage: Stage, model: Model) -> None:
    thread = run_json(stage, "first").thread
    (stage.home.path / "session_index.jsonl").write_text(json.dumps({"id": thread, "thread_name": "mine"}) + "\n")
    assert run_json(stage, "resume", "mine", "second").thread == thread


def test_nothing_is_begun_in_place_of_what_cannot_be_resumed(stage: Stage, model: Model) -> None:
    for session in ("01a22689-2499-79a2-a72c-1ae8d7824261", "unknown", "--last"):
        ran = run_json(stage, "resume", session, "x")
        assert (ran.status, ran.out) == (1, "")
    assert not model.requests()


def test_the_last_conversation_is_one_of_the_directory(stage: Stage, model: Model, tmp_path: Path) -> None:
    thread = run_json(stage, "first").thread
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert run_json(stage, "-C", str(elsewhere), "resume", "--last", "x").status == 1
    assert run_json(stage, "-C", str(elsewhere), "resume", "--last", "--all", "x").thread == thread


def test_a_resumed_conversation_goes_by_the_settings_of_today(stage: Stage, model: Model) -> None:
    thread = run_json(stage, "-m", "another", "first").thread
    assert run_json(stage, "resume", thread, "second").status == 0
    assert members(model.requests()[-1])["model"] == "scripted"


# Approvals


def test_what_would_have_to_be_asked_is_refused_and_said(stage: Stage) -> None:
    stage.play(rule("touch", [CommandStep(("touch", "made"))], [Quote("So: ")]))
    ran = run_json(stage, "touch", "-c", "approval_policy=untrusted", "-s", "workspace-write")
    assert ran.status == 0, ran.err
    assert not (stage.workspace / "made").exists()
    (warning,) = (item for item in ran.items if item["type"] == "error")
    assert "`touch made` was refused" in warning["message"]
    (command,) = (item for item in ran.items if item["type"] == "command_execution")
    assert command["status"] == "declined"
    assert "nobody can be asked" in ran.items[-1]["text"]


# Ends


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 1), (signal.SIGTERM, -15), (signal.SIGHUP, -1)])
def test_a_signal_interrupts_the_turn(stage: Stage, model: Model, number: signal.Signals, status: int) -> None:
    process = begin(stage, "--json", ANYWHERE, "stall")
    model.until(lambda counted: counted.requests == 1)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == status, err
    assert json.loads(out.splitlines()[-1])["type"] == "turn.failed"
    assert not stage.left_over()
    thread = json.loads(out.splitlines()[0])["thread_id"]
    assert run_json(stage, "resume", thread, "again").status == 0


def test_a_run_ends_with_its_reader(stage: Stage, model: Model) -> None:
    process = begin(stage, "--json", ANYWHERE, "stall")
    assert process.stdout is not None
    assert "thread.started" in process.stdout.readline()
    model.until(lambda counted: counted.requests == 1)
    process.stdout.close()
    assert process.wait(20) == 1
    assert not stage.left_over()


def test_a_killed_worker_is_told_and_the_conversation_goes_on(stage: Stage, model: Model) -> None:
    process = begin(stage, "--json", ANYWHERE, "stall")
    model.until(lambda counted: counted.requests == 1)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2)]
    (worker,) = until(lambda: processes.named(processes.tree(process.pid), "gr-worker"))
    until(stage.home.sessions)  # it is written while the model answers
    os.kill(worker.pid, signal.SIGKILL)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    failed = json.loads(out.splitlines()[-1])
    assert (failed["type"], failed["error"]["kind"]) == ("turn.failed", "worker_crashed")
    thread = json.loads(lines[0])["thread_id"]
    assert run_json(stage, "resume", thread, "again").status == 0


def test_a_worker_that_dies_before_it_was_needed_is_replaced(stage: Stage, model: Model, tmp_path: Path) -> None:
    faults = Faults(tmp_path / "orders")
    faults.order("before it is ready")
    ran = run(stage, "--json", ANYWHERE, "hi", program=(*faults.program[:-1], "exec"))
    assert (ran.status, ran.items[-1]["text"]) == (0, "Hello."), ran.err
    assert faults.carried_out()


def test_commands_that_still_run_end_with_the_run(stage: Stage) -> None:
    run_on = Call("exec_command", {"cmd": "echo begun; sleep 1000", "tty": True, "yield_time_ms": 250})
    stage.play(rule("background", [run_on], [Text("Left.")]))
    ran = run_json(stage, "-m", "gpt-5.4", "background")
    assert ran.status == 0, ran.err
    assert [(item["type"], item.get("status")) for item in ran.items] == [
        ("agent_message", None),
        ("command_execution", "failed"),
    ]
    assert not stage.left_over()
