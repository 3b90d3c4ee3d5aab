"""A conversation whose file was packed meanwhile continues under its id, and its tools work."""

from pathlib import Path

from backports import zstd

from greenroom.demo.script import Text, rule
from tests.support.client import text, thread_id
from tests.support.model import said
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Good day.")])


def pack(home: Path) -> Path:
    (path,) = (home / "sessions").rglob("rollout-*.jsonl")
    target = path.with_name(path.name + ".zst")
    target.write_bytes(zstd.compress(path.read_bytes()))
    path.unlink()
    return target


def test_a_packed_conversation_is_found_forked_and_goes_on(stage: Stage) -> None:
    model = stage.play(HELLO)
    former = stage.serve("fork")
    conversation = thread_id(former.client.result(former.client.codex("hello")))
    former.leave()
    target = pack(stage.home.path)
    server = stage.serve("fork")
    listed = text(server.client.result(server.client.call("codex-list")))
    assert conversation in listed
    assert text(server.client.result(server.client.reply(conversation, "hello"))) == "Good day."
    assert said(model.requests()[-1], "assistant") == ["Good day."]
    assert not target.exists()
    assert target.with_suffix("").exists()
