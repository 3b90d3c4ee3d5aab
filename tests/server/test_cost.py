"""What a turn and a conversation cost is told beside their tokens, where the configuration has prices."""

import json
from decimal import Decimal
from typing import Any

import jsonschema

from greenroom.demo.script import Call, Disconnect, FailStep, First, ScriptedUsage, Text, rule
from greenroom.protocol.mcp.toolset import OUTPUT_SCHEMA
from tests.supervisor.cli.status.test_real_server import greenroom, look
from tests.support.client import Client, text, thread_id
from tests.support.stage import Stage

PRICES = '\n[greenroom.prices.script]\ninput = 1.25\ncached_input = "0.125"\noutput = 10\ncurrency = "EUR"\n'
RULES = (
    rule("hello", [ScriptedUsage(input_tokens=1000, cached_tokens=400, output_tokens=20), Text("Good day.")]),
    rule(
        "work",
        [ScriptedUsage(input_tokens=100, output_tokens=1), Call("shell", {"command": ["true"]})],
        [ScriptedUsage(input_tokens=200, output_tokens=3), Text("Done.")],
    ),
    rule(
        "flaky",
        [
            ScriptedUsage(input_tokens=1000, cached_tokens=400, output_tokens=20),
            Text("after "),
            First(1, Disconnect()),
            Text("all"),
        ],
    ),
    rule("fail", [FailStep(400, {"error": {"message": "no"}})]),
)
HELLO, WORK = Decimal("0.001"), Decimal("0.000415")


def usage(result: dict[str, Any]) -> dict[str, Any]:
    """Return what a result says was used, checked against the schema of results."""
    jsonschema.validate(result["structuredContent"], OUTPUT_SCHEMA)
    found: dict[str, Any] = result["structuredContent"]["usage"]
    return found


def cost(used: dict[str, Any]) -> Decimal:
    """Return the amount, which is in one currency."""
    (money,) = used["cost"]
    assert money["currency"] == "EUR"
    return Decimal(money["amount"])


def costs(client: Client, call: Any) -> tuple[Decimal, Decimal]:
    """Return what the turn of a call and its conversation have cost."""
    found = usage(client.result(call))
    return cost(found["turn"]), cost(found["conversation"])


def test_each_turn_and_the_conversation_have_their_cost(stage: Stage, engine: str) -> None:
    stage.play(*RULES, more=PRICES)
    server = stage.serve(engine)
    client = server.client
    first = client.result(client.codex("hello"))
    assert usage(first)["turn"] == {
        "inputTokens": 1000,
        "cachedInputTokens": 400,
        "outputTokens": 20,
        "reasoningOutputTokens": 0,
        "totalTokens": 1020,
        "cost": [{"currency": "EUR", "amount": "0.001"}],
        "unpricedTokens": 0,
    }
    thread = thread_id(first)
    assert costs(client, client.reply(thread, "work")) == (WORK, HELLO + WORK)
    (entry,) = look(stage, server).report.conversations  # type: ignore[union-attr]
    assert [(money.currency, Decimal(money.amount)) for money in entry.cost] == [("EUR", HELLO + WORK)]
    assert entry.unpriced_tokens == 0
    assert "COST" in (page := greenroom(stage, "status").stdout), page
    read = client.result(client.call("codex-read", threadId=thread))["structuredContent"]
    assert cost(read["usage"]) == HELLO + WORK


def test_a_started_turn_and_one_that_fails_have_their_cost(stage: Stage) -> None:
    stage.play(*RULES, more=PRICES)
    client = stage.serve("fork").client
    begun = client.result(client.codex("hello", wait=False))["structuredContent"]
    wanted = {"threadId": begun["threadId"], "callId": begun["callId"]}
    ended = client.result(client.call("codex-wait", **wanted))["structuredContent"]
    assert cost(ended["turn"]["usage"]) == HELLO
    failed = client.result(client.reply(begun["threadId"], "fail"))
    assert failed["isError"]
    assert usage(failed)["turn"]["totalTokens"] == 0
    assert cost(usage(failed)["conversation"]) == HELLO


def test_a_later_run_goes_on_counting_and_a_fork_counts_only_its_own(stage: Stage) -> None:
    stage.play(*RULES, more=PRICES)
    first = stage.serve("fork")
    thread = thread_id(first.client.result(first.client.codex("hello")))
    first.leave()
    client = stage.serve("fork").client
    assert costs(client, client.reply(thread, "work")) == (WORK, HELLO + WORK)
    made = client.result(client.call("codex-fork", threadId=thread))["structuredContent"]["threadId"]
    assert costs(client, client.reply(made, "work")) == (WORK, WORK)
    assert costs(client, client.reply(thread, "hello")) == (HELLO, 2 * HELLO + WORK)
    again = client.result(client.call("codex-fork", threadId=made))["structuredContent"]["threadId"]
    assert costs(client, client.reply(again, "hello")) == (HELLO, HELLO)


def test_a_request_that_is_tried_again_counts_once(stage: Stage) -> None:
    stage.play(*RULES, more=PRICES)
    config = stage.home.config.read_text().replace("stream_max_retries = 0", "stream_max_retries = 1")
    stage.home.config.write_text(config)
    client = stage.serve("fork").client
    result = client.result(client.codex("flaky"))
    assert text(result) == "all"
    assert stage.model.statistics().requests == 2
    assert cost(usage(result)["turn"]) == HELLO


def test_tokens_of_a_model_without_a_price_are_told_and_not_guessed(stage: Stage) -> None:
    stage.play(*RULES, more=PRICES)
    client = stage.serve("fork").client
    found = usage(client.result(client.codex("hello", model="other")))
    assert (found["turn"]["cost"], found["turn"]["unpricedTokens"]) == ([], 1020)


def test_without_prices_results_are_as_they_were(stage: Stage) -> None:
    stage.play(*RULES)
    client = stage.serve("fork").client
    result = client.result(client.codex("hello"))
    assert result["structuredContent"].keys() == {"threadId", "content"}
    read = client.result(client.call("codex-read", threadId=thread_id(result)))["structuredContent"]
    assert read["usage"] == {"totalTokens": 1020}


def test_a_price_that_is_none_is_left_out_with_a_warning(stage: Stage) -> None:
    stage.play(*RULES, more=PRICES.replace("= 10", '= "ten"'))
    client = stage.serve("fork").client
    call = client.codex("hello")
    assert text(client.result(call)) == "Good day."
    warnings = json.dumps([event for event in client.events(call) if event["type"] == "warning"])
    assert "greenroom.prices.script" in warnings
    assert "is no price" in warnings
