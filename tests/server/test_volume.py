"""Much at once arrives complete, in order, and where it belongs."""

import itertools

from greenroom.demo.script import CommandStep, Deltas, Quote, Text, rule
from tests.support.client import deltas, kinds, text, thread_id
from tests.support.model import said
from tests.support.stage import Stage

MANY = 5_000
CONVERSATIONS = 40
MEGABYTE = 1_000_000


def test_thousands_of_deltas_arrive_complete_and_in_order(stage: Stage, engine: str) -> None:
    pieces = [f"{number} " for number in range(MANY)]
    stage.play(rule("count", [Text(pieces)]))
    client = stage.serve(engine).client
    call = client.codex("count")
    result = client.result(call)
    assert "".join(deltas(client.events(call))) == "".join(pieces)
    assert text(result) == "".join(pieces)
    assert kinds(client.events(call))[-3:] == ["agent_message", "token_count", "task_complete"]


def test_forty_conversations_at_once_do_not_mix(stage: Stage) -> None:
    """Each sends its marker through the model, a command and back."""
    markers = [f"marker-{number:02d}" for number in range(CONVERSATIONS)]
    stage.play(
        *(
            rule(f"{marker};", [Text(("I am ", marker)), CommandStep(("sh", "-c", f"echo {marker} $PPID"))], [Quote()])
            for marker in markers
        )
    )
    client = stage.serve("fork").client
    calls = {marker: client.codex(f"This is {marker};", cwd=stage.cwd) for marker in markers}
    for marker, call in calls.items():
        result = client.result(call, within=50)
        assert text(result).split()[0] == marker
        told = {message["params"]["_meta"]["threadId"] for message in client.notifications(call)}
        assert told == {thread_id(result)}
        assert client.event(call, "agent_message")["message"].endswith(marker)
    results = [client.result(call) for call in calls.values()]
    assert len({text(result).split()[1] for result in results}) == CONVERSATIONS, "each in a process of its own"
    assert len({thread_id(result) for result in results}) == CONVERSATIONS
    for request in stage.model.requests():
        mentioned = {marker for marker in markers if marker.encode() in request.body}
        assert len(mentioned) == 1, "no request mentions another conversation"


def test_a_prompt_of_8_megabytes_reaches_the_model(stage: Stage, engine: str) -> None:
    stage.play(rule("", [Text("Long.")]), top="model_context_window = 1_000_000_000")
    client = stage.serve(engine).client
    prompt = "".join(itertools.islice(itertools.cycle('äöü "\\\n'), 8 * MEGABYTE // 2))
    assert len(prompt.encode()) > 5 * MEGABYTE
    call = client.codex(prompt)
    result = client.result(call, within=40)
    assert text(result) == "Long."
    (request,) = stage.model.requests()
    assert said(request, "user")[-1] == prompt
    (echo,) = [event["message"] for event in client.events(call) if event["type"] == "user_message"]
    assert echo == prompt


def test_an_answer_of_5_megabytes_reaches_the_client(stage: Stage, engine: str) -> None:
    piece = "0123456789 \u00e9\n" * 40_000
    stage.play(rule("tell", [Deltas(10, piece)]))
    client = stage.serve(engine).client
    call = client.codex("tell")
    result = client.result(call, within=40)
    assert len(text(result)) > 5 * MEGABYTE
    assert text(result) == piece * 10 == "".join(deltas(client.events(call)))
