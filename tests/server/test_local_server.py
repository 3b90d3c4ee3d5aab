"""`--oss` talks to a model server of this machine, and says at once what to do where none runs."""

import socket

from greenroom.demo.script import Text, rule
from tests.support.client import kind, text
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Good day.")])


def closed_port() -> int:
    """Return a local port on which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_local_server_is_asked_for_its_usual_model(stage: Stage, engine: str) -> None:
    model = stage.play(HELLO, top="sandbox_workspace_write.network_access = false")
    client = stage.serve(engine, "--oss", CODEX_OSS_BASE_URL=model.base_url).client
    assert text(client.result(client.codex("hello"))) == "Good day."
    client.result(client.codex("hello", model="llama3"))
    requests = model.requests()
    assert [request.json["model"] for request in requests] == ["gpt-oss:20b", "llama3"]
    assert all("messages" in request.json for request in requests)


def test_where_none_runs_the_call_says_what_to_start(stage: Stage, engine: str) -> None:
    stage.play(HELLO)
    port = closed_port()
    client = stage.serve(engine, "--oss", CODEX_OSS_BASE_URL=f"http://127.0.0.1:{port}/v1").client
    result = client.result(client.codex("hello"))
    assert kind(result) == "model_error"
    assert text(result).startswith(f"no local model server answers at http://127.0.0.1:{port}/v1, where ")
    assert "ollama serve" in text(result)
