"""The model is offered the user's skills, and gets those that a message names."""

from pathlib import Path

from greenroom.demo.script import CommandStep, Quote, Text, rule
from tests.support.client import thread_id
from tests.support.model import inputs
from tests.support.stage import Stage


def save(folder: Path, name: str, body: str) -> Path:
    path = folder / name / "SKILL.md"
    path.parent.mkdir(parents=True)
    path.write_text(f"---\nname: {name}\ndescription: About {name}.\n---\n{body}\n")
    return path


def test_skills_are_offered_once_and_expanded_where_a_message_names_them(stage: Stage) -> None:
    path = save(stage.home.path / "skills", "tidy", "Sweep first.")
    save(stage.workspace / ".agents" / "skills", "local", "Mind the gap.")
    (stage.home.path / "skills" / "broken").mkdir()
    (stage.home.path / "skills" / "broken" / "SKILL.md").write_text("nothing")
    stage.play(rule("", [Text("Good day.")]))
    server = stage.serve("fork", HOME=str(stage.home.path))
    client = server.client
    first = client.codex("hello", cwd=stage.cwd)
    conversation = thread_id(client.result(first))
    assert "is no skill: it does not begin with front matter" in client.event(first, "warning")["message"]
    client.result(client.reply(conversation, "now use $tidy."))
    offered, named = stage.model.requests()
    assert f"- tidy: About tidy. (file: {path})".encode() in offered.body
    assert b"- local: About local." in offered.body
    assert b"Sweep first." not in offered.body
    texts = [str(part["text"]) for item in inputs(named) for part in item["content"] if "text" in part]
    assert [text for text in texts if "<skills_instructions>" in text] == [
        text for text in texts if "- tidy: About tidy." in text
    ]
    assert len([text for text in texts if "<skills_instructions>" in text]) == 1
    at = next(index for index, text in enumerate(texts) if "Sweep first." in text)
    assert texts[at + 1] == "now use $tidy."


def test_a_resumed_conversation_still_expands_and_the_user_sees_only_their_messages(stage: Stage) -> None:
    save(stage.home.path / "skills", "tidy", "Sweep first.")
    stage.play(rule("", [Text("Good day.")]))
    first = stage.serve("fork")
    conversation = thread_id(first.client.result(first.client.codex("use $tidy", cwd=stage.cwd)))
    assert first.leave() == 0
    client = stage.serve("fork").client
    client.result(client.reply(conversation, "and $tidy again"))
    last = stage.model.requests()[-1]
    assert last.body.count(b"Sweep first.") == 2
    assert last.body.count(b"<skills_instructions>") == 1


def test_a_confined_command_can_read_a_skill(stage: Stage) -> None:
    path = save(stage.home.path / "skills", "tidy", "Sweep first.")
    stage.play(rule("read", [CommandStep(("cat", str(path)))], [Quote("")]))
    client = stage.serve("fork").client
    result = client.result(client.codex("read", cwd=stage.cwd, sandbox="read-only", approval_policy="never"))
    assert "Sweep first." in str(result["structuredContent"]["content"])
