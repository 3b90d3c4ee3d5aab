"""A call without a handshake that needs its user takes several rounds, and its turn waits for each of them."""

from typing import Any

import pytest

from greenroom.demo.script import CommandStep, Quote, Stall, Text, rule
from greenroom.supervisor.frontend.elicitor import CANNOT_ASK, too_late
from tests.support.client import Message, RequestId, kind, text, thread_id
from tests.support.modern import Modern
from tests.support.stage import Stage

ASKS: dict[str, object] = {"elicitation": {}}
ACCEPT = {"action": "accept", "content": {}}
DECLINE = {"action": "decline"}
INVALID_PARAMS = -32602
REJECTED = "exec command rejected by user"

TOUCH = CommandStep(("touch", "it"))
RULES = (
    rule("touch", [TOUCH], [Quote("")]),
    rule("both", [TOUCH], [CommandStep(("touch", "that"))], [Quote("")]),
    rule("stall", [TOUCH], [Stall()]),
    rule("again", [Text("Good day.")]),
)


def play(stage: Stage, greenroom: str = "") -> None:
    stage.play(*RULES, more=greenroom)


def serve(stage: Stage, engine: str = "fork") -> Modern:
    return Modern(stage.start("--engine", engine).client, ASKS)


def call(client: Modern, stage: Stage, prompt: str = "touch", request_id: str | None = None, **more: Any) -> RequestId:
    """Call for something, under a policy by which nearly everything needs consent; return the request's id."""
    return client.call("codex", more, request_id, prompt=prompt, cwd=stage.cwd, approval_policy="untrusted")


def asked(client: Modern, stage: Stage, prompt: str = "touch") -> Message:
    """Call for something that needs consent, and return the result that asks."""
    result = client.result(call(client, stage, prompt))
    assert result["resultType"] == "input_required", result
    return result


def again(client: Modern, stage: Stage, first: Message, answer: object = ACCEPT, prompt: str = "touch") -> Message:
    """Make the call again with one answer to all that was asked, and return the response."""
    responses = dict.fromkeys(first["inputRequests"], answer)
    retry = call(client, stage, prompt, requestState=first["requestState"], inputResponses=responses)
    return client.answer(retry)


def test_an_approval_takes_two_rounds(stage: Stage, engine: str) -> None:
    play(stage)
    client = serve(stage, engine)
    first = asked(client, stage)
    (request,) = first["inputRequests"].values()
    assert request["method"] == "elicitation/create"
    assert request["params"]["message"].startswith("Allow Codex to run `touch it` in ")
    assert not (stage.workspace / "it").exists()
    result = again(client, stage, first)["result"]
    assert (result["resultType"], result.get("isError")) == ("complete", None)
    assert (stage.workspace / "it").exists()
    assert request["params"]["threadId"] == thread_id(result)
    assert not [message for message in client.messages if "method" in message], "no request and no event goes out"


def test_a_refusal_is_told_to_the_model(stage: Stage) -> None:
    play(stage)
    client = serve(stage)
    assert text(again(client, stage, asked(client, stage), DECLINE)["result"]) == REJECTED
    assert not (stage.workspace / "it").exists()


def test_each_question_takes_a_round_of_its_own(stage: Stage) -> None:
    play(stage)
    client = serve(stage)
    first = asked(client, stage, "both")
    second = again(client, stage, first, prompt="both")["result"]
    assert second["resultType"] == "input_required"
    assert not set(first["inputRequests"]) & set(second["inputRequests"]), "keys are never used twice"
    assert again(client, stage, second, prompt="both")["result"]["resultType"] == "complete"
    assert sorted(path.name for path in stage.workspace.iterdir()) == ["it", "that"]


def test_a_round_without_the_answer_is_asked_again(stage: Stage) -> None:
    play(stage)
    client = serve(stage)
    first = asked(client, stage)
    second = client.result(
        client.call(
            "codex", {"requestState": first["requestState"]}, prompt="touch", cwd=stage.cwd, approval_policy="untrusted"
        )
    )
    assert second["inputRequests"] == first["inputRequests"]
    assert again(client, stage, second)["result"]["resultType"] == "complete"


def test_a_client_that_cannot_ask_in_a_round_is_not_asked(stage: Stage) -> None:
    play(stage)
    client = serve(stage)
    mute = Modern(client.raw)
    result = mute.result(call(mute, stage, request_id="x"))
    assert text(result) == f"{REJECTED}: {CANNOT_ASK.reason}"
    first = asked(client, stage)
    more = {"requestState": first["requestState"]}
    result = mute.result(
        mute.call("codex", more, request_id="y", prompt="touch", cwd=stage.cwd, approval_policy="untrusted")
    )
    assert text(result) == f"{REJECTED}: {CANNOT_ASK.reason}"


FORGED: list[Any] = ["", "x", "A" * 200]


@pytest.mark.parametrize("state", FORGED)
def test_a_forged_state_is_refused(stage: Stage, state: str) -> None:
    play(stage)
    client = serve(stage)
    error = client.answer(call(client, stage, requestState=state))["error"]
    assert (error["code"], error["data"]) == (INVALID_PARAMS, {"reason": "invalid_request_state"})


def test_a_state_counts_once_and_for_its_call_only(stage: Stage) -> None:
    play(stage)
    client = serve(stage)
    first = asked(client, stage)
    assert again(client, stage, first, prompt="again")["error"]["code"] == INVALID_PARAMS
    assert again(client, stage, first)["result"]["resultType"] == "complete"
    assert again(client, stage, first)["error"]["code"] == INVALID_PARAMS


@pytest.mark.parametrize("more", [{"requestState": 7}, {"inputResponses": []}])
def test_malformed_rounds_are_refused(stage: Stage, more: dict[str, Any]) -> None:
    play(stage)
    client = serve(stage)
    assert client.answer(call(client, stage, **more))["error"]["code"] == INVALID_PARAMS


def test_a_cancelled_round_ends_the_turn_unanswered(stage: Stage) -> None:
    play(stage)
    client = serve(stage)
    first = asked(client, stage, "stall")
    answers = dict.fromkeys(first["inputRequests"], ACCEPT)
    given_up = call(client, stage, "stall", requestState=first["requestState"], inputResponses=answers)
    stage.model.until(lambda now: now.streaming == 1 and now.requests == 2)
    client.cancel(given_up)
    stage.model.until(lambda now: now.abandoned == 1)
    assert text(client.result(client.call("codex", prompt="again"))) == "Good day."
    assert not [answer for answer in client.raw.answers() if answer["id"] == given_up]


def test_an_answer_that_comes_too_late_finds_what_came_of_the_turn(stage: Stage) -> None:
    play(stage, "\n[greenroom]\napproval_timeout_s = 0.5\n")
    client = serve(stage)
    first = asked(client, stage)
    stage.model.until(lambda now: now.requests == 2 and now.streaming == 0)
    assert text(again(client, stage, first)["result"]) == f"{REJECTED}: {too_late(0.5).reason}"


def test_a_state_outlives_the_server_and_the_turn_is_reported_as_interrupted(stage: Stage, engine: str) -> None:
    play(stage)
    client = serve(stage, engine)
    first = asked(client, stage)
    assert stage.servers[0].leave() == 0
    client = serve(stage, engine)
    result = again(client, stage, first)["result"]
    assert (kind(result), result["structuredContent"]["error"]["reason"]) == ("turn_aborted", "interrupted")
    assert not (stage.workspace / "it").exists()
    more = client.call("codex-reply", threadId=thread_id(result), prompt="again")
    assert text(client.result(more)) == "Good day."


def test_a_state_of_a_server_that_runs_is_not_taken_by_another_one(stage: Stage) -> None:
    play(stage)
    first = asked(serve(stage), stage)
    result = again(serve(stage), stage, first)["result"]
    assert kind(result) == "session_busy"
    assert f"pid {stage.servers[0].pid}" in text(result)


def test_a_dead_worker_ends_a_call_between_two_rounds(stage: Stage) -> None:
    play(stage)
    client = serve(stage)
    first = asked(client, stage)
    for worker in stage.servers[0].workers():
        worker.kill()
    result = again(client, stage, first)["result"]
    assert kind(result) == "worker_crashed"
    assert not (stage.workspace / "it").exists()
