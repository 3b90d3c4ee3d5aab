"""What known model servers do differently: whole turns against the very bytes that each of them answers with.

docs/model-servers.md names these tests.
"""

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pytest

from greenroom.protocol.ids import ConversationId, Incarnation, TurnId
from greenroom.protocol.internal.broker.answers import AuthError
from greenroom.protocol.internal.worker.operations import Open
from greenroom.workers.conversation.conversation import OpenedConversation
from greenroom.workers.conversation.opening import open_conversation
from greenroom.workers.conversation.turn.turn_outcome import TurnOutcome
from greenroom.workers.model.credentials.channel import CredentialError
from tests.support.home import Home, records
from tests.support.loop import on_loop
from tests.support.post import Post
from tests.support.raw_model import Raw, RawModel, chunk, raw_model, stream
from tests.workers.stubs import StubMailbox

THREAD = ConversationId("0199f3a0-0000-7000-8000-000000000001")
ECHO = json.dumps({"command": ["echo", "hi"]})
JSON_TYPE = {"Content-Type": "application/json"}
FIN = Raw(stream(chunk({"content": "fin"}), chunk(finish="stop")))


class Place:
    """A home, a server, and conversations on it that are opened one after the other."""

    def __init__(self, path: str, server: RawModel, wire_api: str, retries: int) -> None:
        self.home = Home(Path(path))
        self.server = server
        self.home.configure(server.base_url, wire_api=wire_api)
        text = self.home.config.read_text()
        self.home.config.write_text(text.replace("stream_max_retries = 0", f"stream_max_retries = {retries}"))
        self.post = Post(home=path)
        self.conversation: OpenedConversation | None = None

    async def ask(self, prompt: str, resume: Literal["no", "must"] = "no") -> TurnOutcome:
        """Run a turn of the conversation, which is opened if it is not open."""
        if self.conversation is None:
            operation = Open(conversation_id=THREAD, incarnation=Incarnation(1), resume=resume, user_agent="x/1")
            arguments = json.dumps({"cli": [], "call": {}}).encode()
            self.conversation = await open_conversation(
                operation, arguments, self.post.spec, StubMailbox(), _no_channel
            )
        items = json.dumps([{"type": "text", "text": prompt}]).encode()
        return await self.conversation.turns.run(TurnId(prompt), items)

    async def close(self) -> None:
        if self.conversation is not None:
            await self.conversation.close()
        self.conversation = None

    def sent(self, request: int = -1) -> list[dict[str, Any]]:
        """Return the messages of a request."""
        messages: list[dict[str, Any]] = self.server.requests[request]["messages"]
        return messages

    def calling(self, request: int = -1) -> dict[str, Any]:
        """Return the one message of a request that calls tools."""
        (message,) = (message for message in self.sent(request) if message.get("tool_calls"))
        return message


def _no_channel() -> Any:
    raise CredentialError(AuthError(code="transient"))  # no credential is needed, and limits are each one's own


@asynccontextmanager
async def place(*answers: Raw, wire_api: str = "chat", retries: int = 0) -> AsyncIterator[Place]:
    with TemporaryDirectory() as path:
        async with raw_model(*answers) as server:
            opened = Place(path, server, wire_api, retries)
            try:
                yield opened
            finally:
                await opened.close()
                opened.post.close()


def call(**members: object) -> dict[str, object]:
    return {"index": 0, "id": "c1", "type": "function", "function": {"name": "shell", "arguments": ECHO}, **members}


def tool_output(place: Place) -> str:
    (message,) = (message for message in place.sent() if message["role"] == "tool")
    return str(message["content"])


async def turn(*answers: Raw, wire_api: str = "chat", retries: int = 0) -> tuple[TurnOutcome, int]:
    """Run one turn; return how it ended and how many requests there were."""
    async with place(*answers, wire_api=wire_api, retries=retries) as opened:
        outcome = await opened.ask("go")
        return outcome, len(opened.server.requests)


def text(outcome: TurnOutcome) -> object:
    assert outcome.kind == "completed", outcome.message
    return json.loads(outcome.last_message)


def fault(outcome: TurnOutcome) -> str:
    assert outcome.kind == "failed"
    return str(outcome.message)


@on_loop
async def test_openai_sends_calls_in_pieces_and_usage_in_a_chunk_of_its_own() -> None:
    pieces = [
        chunk({"role": "assistant", "content": None, "refusal": None}),
        chunk({"tool_calls": [call(function={"name": "shell", "arguments": ""})]}),
        *(chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in (ECHO[:9], ECHO[9:])),
        chunk(finish="tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
    ]
    async with place(Raw(stream(*pieces)), FIN) as opened:
        assert text(await opened.ask("go")) == "fin"
        assert "hi" in tool_output(opened)


@on_loop
async def test_azure_begins_with_a_chunk_without_choices_and_stops_with_its_filter() -> None:
    first = {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
    filtered = chunk({"content": "par"}, "content_filter")
    assert text((await turn(Raw(stream(first, chunk({"content": "fin"}), chunk(finish="stop")))))[0]) == "fin"
    outcome, requests = await turn(Raw(stream(first, filtered)), retries=3)
    assert (fault(outcome), requests) == ("the server's content filter stopped the answer", 1)


@on_loop
async def test_azure_says_in_words_how_long_to_wait() -> None:
    error = {"code": "rate_limit_exceeded", "message": "Rate limit is exceeded. Try again in 0.2 seconds."}
    failed = {"type": "response.failed", "response": {"error": error}}
    done = {"type": "response.completed", "response": {"id": "r"}}
    outcome, requests = await turn(Raw(stream(failed)), Raw(stream(done)), wire_api="responses", retries=1)
    assert (outcome.kind, requests) == ("completed", 2)


@on_loop
async def test_openrouter_gets_its_reasoning_details_back() -> None:
    details = [{"type": "reasoning.text", "text": "hm", "index": 0}, {"type": "reasoning.encrypted", "data": "c2Vj"}]
    delta = {"reasoning": "hm", "reasoning_details": details, "tool_calls": [call()]}
    first = b": OPENROUTER PROCESSING\n\n" + stream(chunk(delta), chunk(finish="tool_calls"))
    async with place(Raw(first), FIN) as opened:
        assert text(await opened.ask("go")) == "fin"
        assert opened.calling()["reasoning_details"] == details
        assert opened.calling()["reasoning"] == "hm"


@on_loop
async def test_openrouter_tells_of_an_error_within_a_choice() -> None:
    broken = {
        "choices": [{"delta": {"content": ""}, "finish_reason": "error", "error": {"code": 502, "message": "no"}}]
    }
    outcome, requests = await turn(Raw(stream(chunk({"content": "par"}), broken)), FIN, retries=1)
    assert (text(outcome), requests) == ("fin", 2)


@on_loop
async def test_deepseek_gets_its_reasoning_back_also_after_the_conversation_was_parked() -> None:
    thinking = stream(chunk({"reasoning_content": "I "}), chunk({"reasoning_content": "run it"}),
                      chunk({"tool_calls": [call()]}), chunk(finish="tool_calls"))  # fmt: skip
    async with place(Raw(thinking), FIN) as opened:
        assert text(await opened.ask("go")) == "fin"
        assert opened.calling()["reasoning_content"] == "I run it"
        await opened.close()
        assert text(await opened.ask("on", resume="must")) == "fin"
        assert opened.sent()[-2]["content"] == "fin"
        assert opened.calling()["reasoning_content"] == "I run it"
        stored = [payload for kind, payload in records(opened.home.session(THREAD)) if kind == "response_item"]
        (reasoning,) = (item for item in stored if item["type"] == "reasoning")
        assert reasoning["content"] == [{"type": "reasoning_text", "text": "I run it"}]


@on_loop
async def test_deepseek_misses_the_reasoning_of_answers_that_came_from_elsewhere() -> None:
    missed = {"error": {"message": "The `reasoning_content` in the thinking mode must be passed back to the API."}}
    refused = Raw(json.dumps(missed).encode(), status=400, headers=JSON_TYPE)
    async with place(Raw(stream(chunk({"tool_calls": [call()]}, "tool_calls"))), refused, FIN) as opened:
        assert text(await opened.ask("go")) == "fin"
        assert "reasoning_content" not in opened.calling(1)
        assert opened.calling()["reasoning_content"] == ""
    outcome, requests = await turn(refused)
    assert (outcome.kind, requests) == ("failed", 2)


@on_loop
async def test_deepseek_may_run_out_of_resources() -> None:
    cut = Raw(stream(chunk({"content": "par"}), chunk(finish="insufficient_system_resource")))
    outcome, requests = await turn(cut, FIN, retries=1)
    assert (text(outcome), requests) == ("fin", 2)
    assert "insufficient_system_resource" in fault((await turn(cut))[0])


@on_loop
async def test_mistral_sends_content_in_parts() -> None:
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]
    parts = [chunk({"content": thinking}), chunk({"content": [{"type": "text", "text": "hello"}]})]
    assert (
        text((await turn(Raw(stream(*parts, chunk({"content": " world"}), chunk(finish="stop")))))[0]) == "hello world"
    )


@on_loop
async def test_gemini_gives_a_reason_to_finish_with_every_chunk() -> None:
    body = stream(chunk({"content": "one "}, "stop"), chunk({"content": "two"}, "stop"))
    assert text((await turn(Raw(body)))[0]) == "one two"
    outcome, requests = await turn(Raw(stream(chunk({"content": "one "}, "stop"), chunk({}, "MAX_TOKENS"))), retries=3)
    assert outcome.kind == "failed"
    assert requests == 1


@on_loop
async def test_gemini_gets_the_signature_of_its_thoughts_back() -> None:
    extra = {"google": {"thought_signature": "c2ln"}}
    async with place(Raw(stream(chunk({"tool_calls": [call(extra_content=extra)]}, "tool_calls"))), FIN) as opened:
        assert text(await opened.ask("go")) == "fin"
        assert opened.calling()["tool_calls"][0]["extra_content"] == extra


@on_loop
async def test_gemini_answers_with_errors_in_a_list() -> None:
    refusal = json.dumps([{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}])
    outcome, _ = await turn(Raw(refusal.encode(), status=400, headers=JSON_TYPE))
    assert "API key not valid." in fault(outcome)


@on_loop
async def test_vllm_calls_its_reasoning_reasoning_and_may_abort() -> None:
    async with place(
        Raw(stream(chunk({"reasoning": "hm"}), chunk({"tool_calls": [call()]}, "tool_calls"))), FIN
    ) as opened:
        assert text(await opened.ask("go")) == "fin"
        assert opened.calling()["reasoning"] == "hm"
    assert "abort" in fault((await turn(Raw(stream(chunk({"content": "par"}, "abort")))))[0])


@on_loop
async def test_llama_cpp_says_in_the_stream_that_the_context_is_full() -> None:
    error = {"error": {"code": 400, "message": "request exceeds the context", "type": "exceed_context_size_error"}}
    outcome, _ = await turn(Raw(stream(error, done=False)))
    assert "context window" in fault(outcome)


@on_loop
async def test_ollama_calls_tools_in_one_piece_with_the_reason_stop() -> None:
    whole = chunk({"role": "assistant", "content": "", "reasoning": "hm", "tool_calls": [call()]}, "stop")
    async with place(Raw(stream(whole)), FIN) as opened:
        assert text(await opened.ask("go")) == "fin"
        assert "hi" in tool_output(opened)


@on_loop
async def test_ollama_s_own_api_is_told_apart() -> None:
    lines = [{"message": {"role": "assistant", "content": piece}, "done": False} for piece in ("one", "two")]
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    outcome, requests = await turn(Raw(body, headers={"Content-Type": "application/x-ndjson"}), retries=3)
    assert "in the form of another API" in fault(outcome)
    assert requests == 1


@on_loop
async def test_lm_studio_names_the_event_of_an_error() -> None:
    body = b'event: error\ndata: {"error":{"message":"The model has crashed."}}\n\n'
    assert "The model has crashed." in fault((await turn(Raw(body)))[0])


@on_loop
async def test_litellm_gets_the_thoughts_of_another_model_back() -> None:
    blocks = [{"type": "thinking", "thinking": "hm", "signature": "c2ln"}]
    delta = {"reasoning_content": "hm", "thinking_blocks": blocks, "tool_calls": [call()]}
    async with place(Raw(stream(chunk(delta, "tool_calls"))), FIN) as opened:
        assert text(await opened.ask("go")) == "fin"
        assert opened.calling()["thinking_blocks"] == blocks


@on_loop
async def test_sglang_says_null_for_what_it_does_not_say() -> None:
    delta = {"role": None, "content": None, "reasoning_content": None, "tool_calls": [call(id=None, index=None)]}
    choice = {"index": 0, "delta": delta, "finish_reason": "tool_calls", "matched_stop": None, "logprobs": None}
    async with place(Raw(stream({"choices": [choice], "usage": None})), FIN) as opened:
        assert text(await opened.ask("go")) == "fin"
        assert "reasoning_content" not in opened.calling()


@pytest.mark.parametrize("member", ["reasoning_content", "reasoning"])
@on_loop
async def test_server_that_refuses_what_another_one_wants_is_not_asked_so_again(member: str) -> None:
    thinking = Raw(stream(chunk({member: "hm", "tool_calls": [call()]}, "tool_calls")))
    refusal = {"error": {"message": f"'messages.2' : property '{member}' is unsupported"}}
    refused = Raw(json.dumps(refusal).encode(), status=400, headers=JSON_TYPE)
    async with place(thinking, refused, thinking, FIN) as opened:
        assert text(await opened.ask("go")) == "fin"
        assert [member in json.dumps(opened.sent(request)) for request in range(4)] == [False, True, False, False]


CHAT = {"object": "chat.completion", "choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}
RESPONSE = {
    "id": "r",
    "object": "response",
    "status": "completed",
    "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hello"}]}],
}


@pytest.mark.parametrize(("wire_api", "whole"), [("chat", CHAT), ("responses", RESPONSE)])
@on_loop
async def test_answer_that_is_no_stream_is_read(wire_api: str, whole: object) -> None:
    body = json.dumps(whole).encode()
    for headers in (JSON_TYPE, {"Content-Type": "text/event-stream"}):
        assert text((await turn(Raw(body, headers=headers), wire_api=wire_api))[0]) == "hello"
    compressed = Raw(gzip.compress(body), headers={**JSON_TYPE, "Content-Encoding": "gzip"})
    assert text((await turn(compressed, wire_api=wire_api))[0]) == "hello"


@pytest.mark.parametrize("wire_api", ["chat", "responses"])
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Raw(b"<html><title>Sign in</title></html>", headers={"Content-Type": "text/html"}), "a web page: Sign in"),
        (Raw(b"x", headers={"Content-Encoding": "br"}), "compressed its answer (br)"),
        (Raw(gzip.compress(bytes(2**25)), headers={"Content-Encoding": "gzip"}), "times its size"),
    ],
    ids=["web page", "unknown compression", "bomb"],
)
@on_loop
async def test_body_that_is_no_answer_is_quoted_and_not_asked_for_again(wire_api: str, answer: Raw, said: str) -> None:
    outcome, requests = await turn(answer, wire_api=wire_api, retries=3)
    assert said in fault(outcome)
    assert requests == 1


@pytest.mark.parametrize("wire_api", ["chat", "responses"])
@on_loop
async def test_error_with_a_good_status_is_told(wire_api: str) -> None:
    body = json.dumps({"error": {"message": "no such model", "type": "x"}}).encode()
    assert "no such model" in fault((await turn(Raw(body, headers=JSON_TYPE), wire_api=wire_api))[0])


@pytest.mark.parametrize("reason", ["content_filter", "max_output_tokens", "novelty"])
@on_loop
async def test_incomplete_response_is_asked_for_once(reason: str) -> None:
    incomplete = {"type": "response.incomplete", "response": {"id": "r", "incomplete_details": {"reason": reason}}}
    outcome, requests = await turn(Raw(stream(incomplete)), wire_api="responses", retries=3)
    assert requests == 1
    assert fault(outcome)


@on_loop
async def test_unknown_reason_to_finish_is_asked_for_once_and_named() -> None:
    outcome, requests = await turn(Raw(stream(chunk({"content": "par"}, "Novelty"))), retries=3)
    assert "Novelty" in fault(outcome)
    assert requests == 1
