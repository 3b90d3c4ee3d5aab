"""Links to credentials in a workspace: neither the model nor the session file learns what is behind them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from greenroom.demo.script import Call, CommandStep, PatchStep, Quote, Text, rule
from greenroom.protocol.policy import SandboxMode
from tests.supervisor.frontend.conversation_api.api_client import begin, event, listen, refused
from tests.support.client import text, thread_id
from tests.support.stage import Stage

KEY: Final = "sk-topsecret-0123456789abcdef"
MODES: list[SandboxMode] = ["read-only", "workspace-write", "danger-full-access"]
GOALS: Final = ("auth.json", ".env", "config.toml")
PATCH: Final = "*** Begin Patch\n*** Update File: {}\n@@\n-no such line\n+x\n*** End Patch"


def goals(stage: Stage) -> dict[str, Path]:
    """The files of the home that hold secrets, made if need be."""
    (stage.home.path / "auth.json").write_text(f'{{"OPENAI_API_KEY": "{KEY}"}}')
    (stage.home.path / ".env").write_text(f"SOME_API_KEY={KEY}\n")
    token = f'\n[model_providers.other]\nname = "o"\nexperimental_bearer_token = "{KEY}"\n'
    stage.home.config.write_text(stage.home.config.read_text() + token)
    return {name: stage.home.path / name for name in GOALS}


def assert_unseen(stage: Stage, client_lines: list[bytes]) -> None:
    assert stage.model.requests()
    assert [request for request in stage.model.requests() if KEY.encode() in request.body] == []
    assert [line for line in client_lines if KEY.encode() in line] == []
    files = [path for folder in ("sessions", "log") for path in (stage.home.path / folder).rglob("*") if path.is_file()]
    assert any("rollout" in path.name for path in files)
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert KEY not in stage.told()


@pytest.mark.parametrize(
    ("mode", "behind"),
    [("read-only", GOALS[:1]), ("workspace-write", GOALS[1:2]), ("danger-full-access", GOALS)],
    ids=MODES,
)
def test_a_projects_instructions_are_no_way_to_credentials(
    stage: Stage, engine: str, mode: SandboxMode, behind: Sequence[str]
) -> None:
    stage.play(rule("", [Text("Good day.")]), top='project_doc_fallback_filenames = ["NOTES.md"]')
    client = stage.serve(engine).client
    secret = goals(stage)
    for goal in map(secret.__getitem__, behind):
        for name in ("AGENTS.md", "AGENTS.override.md", "NOTES.md"):
            for plant in (os.symlink, os.link):
                place = stage.workspace / f"{goal.name}-{name}-{plant.__name__}"
                place.mkdir()
                plant(goal, place / name)
                call = client.codex("hello", cwd=str(place), sandbox=mode)
                assert text(client.result(call)) == "Good day."
                warning = client.event(call, "warning")
                assert str(place / name) in warning["message"]
                assert "Permission denied" in warning["message"]
    assert_unseen(stage, client.lines)


@pytest.mark.parametrize("mode", MODES)
def test_images_and_patches_are_no_way_to_credentials(stage: Stage, mode: SandboxMode) -> None:
    stage.play(
        rule("look", [Call("view_image", {"path": "link"})], [Quote()]),
        rule("patch", [PatchStep(PATCH.format("link"))], [Quote()]),
        rule("", [Text("Good day.")]),
    )
    client = stage.serve("fork").client
    begin(client)
    for goal in goals(stage).values():
        place = stage.workspace / goal.name
        place.mkdir()
        (place / "link").symlink_to(goal)
        for prompt in ("look", "patch"):
            assert "Permission denied" in text(client.result(client.codex(prompt, cwd=str(place), sandbox=mode)))
        begun = client.result(client.request("newConversation", {"cwd": str(place), "sandbox": mode}))
        conversation = begun["conversationId"]
        listen(client, conversation)
        items = [{"type": "localImage", "data": {"path": str(place / "link")}}]
        client.result(client.request("sendUserMessage", {"conversationId": conversation, "items": items}))
        event(client, conversation, "task_complete")
        assert b"could not be attached: Permission denied" in stage.model.requests()[-1].body
    assert_unseen(stage, client.lines)


@pytest.mark.parametrize("key", ["model_instructions_file", "experimental_compact_prompt_file"])
def test_files_of_settings_are_no_way_to_credentials(stage: Stage, key: str) -> None:
    stage.play(rule("", [Text("Good day.")]))
    client = stage.serve("fork").client
    for goal in goals(stage).values():
        place = stage.workspace / goal.name
        place.mkdir()
        (place / "prompt.md").symlink_to(goal)
        result = client.result(client.codex("hello", cwd=str(place), config={key: "prompt.md"}))
        assert result["isError"]
        assert "Permission denied" in text(result)
    client.result(client.codex("hello"))
    assert_unseen(stage, client.lines)


def test_a_saved_prompt_is_no_way_to_credentials(stage: Stage) -> None:
    stage.play(rule("", [Text("Good day.")]))
    (stage.home.path / "prompts").mkdir()
    for number, goal in enumerate(goals(stage).values()):
        (stage.home.path / "prompts" / f"p{number}.md").symlink_to(goal)
    (stage.home.path / "prompts" / "good.md").write_text("good")
    client = stage.serve("fork").client
    prompts = client.result(client.request("prompts/list", {}))["prompts"]
    assert [prompt["name"] for prompt in prompts] == ["good"]
    client.result(client.codex("hello"))
    assert_unseen(stage, client.lines)


def test_a_link_that_a_command_plants_gives_the_next_conversation_nothing(stage: Stage) -> None:
    goal = str(stage.home.path / "auth.json")
    stage.play(rule("plant", [CommandStep(("ln", "-s", goal, "AGENTS.md"))], [Quote()]), rule("", [Text("Good day.")]))
    goals(stage)
    client = stage.serve("fork").client
    client.result(client.codex("plant", cwd=stage.cwd, sandbox="workspace-write"))
    assert (stage.workspace / "AGENTS.md").is_symlink()
    assert text(client.result(client.codex("hello", cwd=stage.cwd, sandbox="read-only"))) == "Good day."
    assert_unseen(stage, client.lines)


@pytest.mark.parametrize("what", ["link", "pipe", "device"])
def test_a_session_file_that_a_client_names_is_judged_too(stage: Stage, what: str) -> None:
    stage.play(rule("", [Text("Good day.")]))
    (goal, *_) = goals(stage).values()
    client = stage.serve("fork").client
    client.result(client.codex("hello", cwd=stage.cwd))
    path = stage.workspace / "rollout.jsonl"
    if what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(goal if what == "link" else "/dev/zero")
    _, message = refused(client, "resumeConversation", {"path": str(path)})
    assert "cannot be read" in message
    assert_unseen(stage, client.lines)


def test_a_command_sees_no_secret_of_the_settings(stage: Stage, engine: str) -> None:
    stage.play(rule("look", [CommandStep(("cat", str(stage.home.config), str(stage.home.path / "zz")))], [Quote()]))
    client = stage.serve(engine).client
    early = client.result(client.codex("look", cwd=stage.cwd, sandbox="read-only"))
    assert "model_providers" in text(early), "there was nothing to hide yet"
    goal, *_ = goals(stage).values()
    os.link(goal, stage.home.path / "zz")
    assert KEY not in text(client.result(client.reply(thread_id(early), "look")))
    for mode in ("read-only", "workspace-write"):
        assert KEY not in text(client.result(client.codex("look", cwd=stage.cwd, sandbox=mode)))
    assert_unseen(stage, client.lines)


def test_a_command_cannot_replace_the_link_that_names_the_home(stage: Stage) -> None:
    (stage.workspace / "cfg").symlink_to(stage.home.path)
    poison = "mv cfg old; rm -f cfg; mkdir cfg; echo poison > cfg/config.toml; echo done"
    stage.play(rule("poison", [CommandStep(("sh", "-c", poison))], [Quote()]))
    client = stage.serve("fork", CODEX_HOME=str(stage.workspace / "cfg")).client
    said = text(client.result(client.codex("poison", cwd=stage.cwd, sandbox="workspace-write")))
    assert "done" in said
    assert (stage.workspace / "cfg").is_symlink()
    assert os.path.realpath(stage.workspace / "cfg") == os.path.realpath(stage.home.path)
    assert "poison" not in stage.home.config.read_text()
