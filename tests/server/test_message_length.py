"""A message that cannot fit into the model's context is refused with the length that can, and has no other effect."""

from greenroom.demo.script import Text, rule
from tests.support.client import Message, kind, text, thread_id
from tests.support.model import Gate, said
from tests.support.stage import Stage

TOO_LONG = 2_000_000
"""Characters, more than the context window of the model below holds."""
MODEL = "gpt-5"


def allowed_length(result: Message, characters: int) -> int:
    """Check that a result refuses a message of so many characters, and return the length that it allows."""
    assert kind(result) == "prompt_too_long"
    error = result["structuredContent"]["error"]
    assert error["characters"] == characters
    allowed = error["max_characters"]
    assert isinstance(allowed, int)
    assert 0 < allowed < characters
    assert f"{allowed:,}" in text(result)
    return allowed


def test_a_prompt_that_is_too_long_is_refused_with_the_length_that_is_not(stage: Stage) -> None:
    stage.play(rule("hello", [Text("Good day.")]))
    client = stage.serve("fork").client
    prompt = "hello".ljust(TOO_LONG, "x")
    first = client.result(client.codex(prompt, model=MODEL))
    allowed = allowed_length(first, TOO_LONG)
    thread = thread_id(first)
    assert allowed_length(client.result(client.reply(thread, prompt)), TOO_LONG) == allowed
    assert stage.model.requests() == []
    assert text(client.result(client.reply(thread, prompt[:allowed]))) == "Good day."
    (request,) = stage.model.requests()
    assert said(request, "user")[-1] == prompt[:allowed]


def test_a_steering_message_that_is_too_long_is_refused_at_once_and_the_turn_goes_on(stage: Stage) -> None:
    gate, end = Gate(), Gate()
    stage.play(
        rule("long", [Text("hm"), gate.wait, Text("so")]),
        rule("rather", [end.wait, Text("Rather this.")]),
    )
    client = stage.serve("fork").client
    call = client.codex("long", model=MODEL)
    client.event(call, "agent_message_delta")
    thread = client.event(call, "session_configured")["session_id"]
    taken = client.call("codex-steer", threadId=thread, prompt="rather")
    refused = client.result(client.call("codex-steer", threadId=thread, prompt="x" * TOO_LONG))
    allowed_length(refused, TOO_LONG)
    assert thread_id(refused) == thread
    stage.model.open(gate)
    assert client.result(taken)["structuredContent"] == {"threadId": thread}
    stage.model.open(end)  # only now may the turn end: both were answered while it ran
    assert text(client.result(call)) == "Rather this."
    assert said(stage.model.requests()[-1], "user")[-2:] == ["long", "rather"]
    assert "x" * 100 not in str(stage.model.requests()[-1].json)
    events = [event["type"] for event in client.all_events(call)]
    assert events.count("task_started") == 1, "what was refused became no turn of its own"
