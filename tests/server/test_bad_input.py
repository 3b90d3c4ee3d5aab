"""Whatever is wrong with what a call says or needs is told on that call, and the server goes on."""

import os
import socket
from uuid import uuid4

import pytest

from greenroom.demo.script import Disconnect, FailedEvent, FailStep, First, MalformedStep, Text, rule
from tests.support.client import Client, Message, kind, kinds, text, thread_id
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Good day.")])
FAILURES: dict[str, tuple[FailStep | Disconnect | FailedEvent, str, str]] = {
    "400": (
        FailStep(400, {"error": {"message": "bad news"}}),
        "model_error",
        "unexpected status 400 Bad Request: bad news",
    ),
    "401": (FailStep(401, "who?"), "unauthorized", "unexpected status 401 Unauthorized"),
    "404": (FailStep(404, "where?"), "model_error", "unexpected status 404 Not Found"),
    "500": (FailStep(500, "oh"), "model_error", "We're currently experiencing high demand"),
    "503": (FailStep(503, "oh"), "model_error", "unexpected status 503 Service Unavailable"),
    "a broken stream": (Disconnect(), "model_error", "stream disconnected before completion: "),
    "an early end": (Disconnect(orderly=True), "model_error", "stream closed before response.completed"),
    "refusal": (FailedEvent("invalid_prompt", "no such prompt"), "model_error", "no such prompt"),
    "length": (FailedEvent("context_length_exceeded", "too long"), "model_error", "ran out of room"),
}
"""What the model does, and the kind and the words of what the caller is told."""
PARSE = "Failed to parse configuration for Codex tool: "
LOAD = "Failed to load Codex configuration from overrides: "


def assert_goes_on(client: Client) -> None:
    assert text(client.result(client.codex("hello"))) == "Good day."


def failed(result: Message) -> str:
    """Return the text of a failure that no conversation came of."""
    assert result["isError"] is True, result
    assert "structuredContent" not in result
    return text(result)


@pytest.fixture(scope="module")
def client(shared_stage: Stage) -> Client:
    """One client for all that it may get wrong: the server goes on after each."""
    shared_stage.play(HELLO, *(rule(f"fail by {name}", [failure]) for name, (failure, *_) in FAILURES.items()))
    return shared_stage.serve("fork").client


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, PARSE + "missing field `prompt`"),
        ({"prompt": 5}, PARSE + "invalid type: integer `5`"),
        ({"prompt": "hello", "sandbox": "zzz"}, PARSE + "unknown variant `zzz`, expected one of `read-only`"),
        ({"prompt": "hello", "cwd": ["x"]}, PARSE + "invalid type: array"),
        ({"prompt": "hello", "config": "x"}, PARSE + "invalid type: string"),
        ("hello", PARSE + "invalid type: string"),
        ([], PARSE + "invalid type: array"),
        (None, "Missing arguments for codex tool-call; the `prompt` field is required."),
    ],
)
def test_arguments_that_do_not_fit_are_named(client: Client, arguments: object, words: str) -> None:
    told = failed(client.result(client.request("tools/call", {"name": "codex", "arguments": arguments})))
    assert told.startswith(words), told
    assert_goes_on(client)


def test_a_value_that_no_number_holds_is_no_reason_for_silence(client: Client) -> None:
    numbers = b'{"a":123456789012345678901234567890,"b":1e999,"c":-0.0,"model_context_window":1e18}'
    client.send_bytes(
        b'{"id":1,"method":"tools/call","params":{"name":"codex","arguments":{"prompt":"hello","config":%b}}}\n'
        % numbers
    )
    client.next_answer()
    assert_goes_on(client)


@pytest.mark.parametrize("prompt", [r"\u0000", r"\u202e\u2028", "\ufffd", "\U0010ffff", r"\ud83d\ude00"])
def test_a_strange_prompt_is_answered(client: Client, prompt: str) -> None:
    assert_prompt_is_answered(client, prompt)
    assert_goes_on(client)


@pytest.mark.parametrize("prompt", [r"\ud800", r"\udc00 x"])
def test_a_prompt_that_was_cut_inside_a_character_is_answered(client: Client, prompt: str) -> None:
    assert_prompt_is_answered(client, prompt)


def assert_prompt_is_answered(client: Client, prompt: str) -> None:
    params = b'{"name":"codex","arguments":{"prompt":"hello %b"}}' % prompt.encode()
    client.send_bytes(b'{"jsonrpc":"2.0","id":"s","method":"tools/call","params":%b}\n' % params)
    assert client.next_answer()["id"] == "s"


def test_arguments_that_are_not_utf_8_are_refused(client: Client) -> None:
    client.send_bytes(
        b'{"jsonrpc":"2.0","id":"s","method":"tools/call","params":{"name":"codex","arguments":{"prompt":"\xff"}}}\n'
    )
    answer = client.next_answer()
    assert "error" in answer or answer["result"]["isError"] is True
    assert_goes_on(client)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"prompt": "x"}, "Failed to parse thread_id: either threadId or conversationId must be provided"),
        ({"prompt": "x", "threadId": "no-uuid"}, "Failed to parse thread_id: "),
        ({"prompt": "x", "conversationId": ""}, "Failed to parse conversation_id: "),
        ({"prompt": "x", "sessionId": "5"}, "Failed to parse session_id: "),
        ({"threadId": str(uuid4())}, PARSE + "missing field `prompt`"),
        ({"prompt": "x", "threadId": 5}, PARSE + "invalid type: integer `5`"),
        (None, "Missing arguments for codex-reply tool-call; the `thread_id` and `prompt` fields are required."),
    ],
)
def test_a_reply_whose_arguments_do_not_fit_is_told_why(client: Client, arguments: object, words: str) -> None:
    told = failed(client.result(client.request("tools/call", {"name": "codex-reply", "arguments": arguments})))
    assert told.startswith(words), told
    assert_goes_on(client)


@pytest.mark.parametrize(
    ("name", "words"), [("threadId", "thread_id"), ("conversationId", "conversation_id"), ("sessionId", "session_id")]
)
def test_an_unknown_conversation_is_named_as_the_caller_named_it(client: Client, name: str, words: str) -> None:
    unknown = str(uuid4())
    result = client.result(client.call("codex-reply", prompt="x", **{name: unknown.upper()}))
    assert kind(result) == "session_unknown"
    assert text(result) == f"Session not found for {words}: {unknown}"
    assert thread_id(result) == unknown
    assert_goes_on(client)


BROKEN = {
    "not TOML": (b"model = \n", ["failed to parse", "config.toml", "line 1"]),
    "not UTF-8": (b'model = "\xff"\n', ["failed to parse", "not UTF-8"]),
    "wrong type": (b"model = 5\n", ["invalid type: integer `5`, expected a string", "in `model`"]),
    "unknown variant": (
        b'sandbox_mode = "silly"\n',
        ["unknown variant `silly`", "`workspace-write`", "in `sandbox_mode`"],
    ),
    "unknown provider": (b'model_provider = "nope"\n', ["Model provider `nope` not found"]),
    "unknown profile": (b'profile = "nope"\n', ["config profile `nope` not found"]),
}


def test_a_broken_file_is_told_on_each_call_until_it_is_repaired(stage: Stage) -> None:
    model = stage.play(HELLO)
    client = stage.serve("fork").client
    for content, words in BROKEN.values():
        stage.home.config.write_bytes(content)
        for _ in range(2):
            told = failed(client.result(client.codex("hello")))
            assert told.startswith(LOAD)
            assert all(word in told for word in words), told
        stage.home.configure(model.base_url)
        assert_goes_on(client)


def test_a_file_that_is_broken_at_the_start_is_told_on_each_call_until_it_is_repaired(stage: Stage) -> None:
    model = stage.play(HELLO)
    stage.home.config.write_bytes(BROKEN["not TOML"][0])
    client = stage.serve("fork").client
    for _ in range(2):
        assert failed(client.result(client.codex("hello"))).startswith(LOAD)
    stage.home.configure(model.base_url)
    assert_goes_on(client)


def test_an_unreadable_file_is_told_on_the_call(stage: Stage, engine: str) -> None:
    model = stage.play(HELLO)
    stage.home.config.unlink()
    stage.home.config.mkdir()
    client = stage.serve(engine).client
    told = failed(client.result(client.codex("hello")))
    assert told.startswith(f"{LOAD}failed to read {stage.home.config}")
    stage.home.config.rmdir()
    stage.home.configure(model.base_url)
    assert_goes_on(client)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_provider": "nope"}, "Model provider `nope` not found"),
        ({"sandbox_mode": None}, "in `sandbox_mode`"),
        ({"model_providers.mock.request_max_retries": "many"}, "in `model_providers.mock.request_max_retries`"),
        ({"model_providers": {"mock": {"wire_api": "carrier pigeon"}}}, "unknown variant `carrier pigeon`"),
    ],
)
def test_overrides_that_do_not_fit_are_told_on_their_call(
    client: Client, config: dict[str, object], words: str
) -> None:
    told = failed(client.result(client.codex("hello", config=config)))
    assert told.startswith(LOAD)
    assert words in told
    assert_goes_on(client)


def test_a_model_without_a_name_is_told_on_its_call(client: Client) -> None:
    told = failed(client.result(client.codex("hello", model="")))
    assert told.startswith(f'{LOAD}invalid value: string ""')
    assert told.endswith("in `model`")
    assert_goes_on(client)


def test_an_unknown_profile_is_told_on_its_call(client: Client) -> None:
    told = failed(client.result(client.codex("hello", profile="nope")))
    assert told.startswith(f"{LOAD}config profile `nope` not found")
    assert_goes_on(client)


@pytest.mark.parametrize("flag", ["nonsense", "=5", "model=5", 'model_provider="nope"'])
def test_a_bad_setting_of_the_command_line_is_told_on_each_call(stage: Stage, flag: str) -> None:
    stage.play(HELLO)
    server = stage.start("-c", flag)
    server.client.initialize()
    told = failed(server.client.result(server.client.codex("hello")))
    assert told.startswith(LOAD)
    assert server.client.ask("ping")["result"] == {}


def test_a_provider_that_is_down_fails_the_turn_and_not_the_conversation(stage: Stage, engine: str) -> None:
    model = stage.play(HELLO)
    with socket.socket() as bound:  # not listening: connections are refused
        bound.bind(("127.0.0.1", 0))
        stage.home.configure(f"http://127.0.0.1:{bound.getsockname()[1]}/v1")
        client = stage.serve(engine).client
        call = client.codex("hello")
        result = client.result(call)
    assert kind(result) == "model_error"
    assert text(result).startswith("Connection failed: cannot connect to 127.0.0.1:")
    assert result["error"] == text(result)
    assert kinds(client.events(call))[-2:] == ["error", "task_complete"]
    again = client.result(client.reply(thread_id(result), "hello"))
    assert kind(again) == "model_error"
    stage.home.configure(model.base_url)
    assert_goes_on(client)


def test_a_missing_key_is_named(stage: Stage, engine: str) -> None:
    stage.play(HELLO, more='env_key = "ABSENT_API_KEY"\nenv_key_instructions = "Ask the doorman."')
    client = stage.serve(engine).client
    result = client.result(client.codex("hello"))
    assert kind(result) == "unauthorized"
    assert text(result) == "Missing environment variable: `ABSENT_API_KEY`. Ask the doorman."
    stage.home.configure(stage.model.base_url)
    assert_goes_on(client)


def test_nobody_logged_in_is_told(stage: Stage, engine: str) -> None:
    stage.play(HELLO, more="requires_openai_auth = true")
    client = stage.serve(engine).client
    result = client.result(client.codex("hello"))
    assert kind(result) == "unauthorized"
    assert text(result) == "Not logged in: run `greenroom login`, or set OPENAI_API_KEY for the server"
    assert stage.model.statistics().requests == 0, "no request goes out without a bearer"


def assert_told_once(client: Client, prompt: str, error_kind: str, words: str) -> None:
    call = client.codex(prompt)
    result = client.result(call)
    assert kind(result) == error_kind
    assert words in text(result)
    assert result["error"] == text(result) == result["structuredContent"]["content"]
    told = kinds(client.events(call))
    assert told[-2:] == ["error", "task_complete"]
    assert told.count("error") == told.count("task_complete") == 1
    reply = client.reply(thread_id(result), "hello")
    assert text(client.result(reply)) == "Good day.", "it is the reply's own text"


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_of_the_model_is_told_once_and_the_conversation_goes_on(client: Client, name: str) -> None:
    _, error_kind, words = FAILURES[name]
    assert_told_once(client, f"fail by {name}", error_kind, words)


@pytest.mark.parametrize(
    ("failure", "error_kind", "words"),
    [
        (FailStep(429, "slow"), "model_error", "exceeded retry limit, last status: 429"),
        (FailStep(429, {"error": {"type": "usage_limit_reached"}}), "usage_limit", "You've hit your usage limit."),
    ],
)
def test_a_limit_of_the_model_is_told_once_and_the_conversation_goes_on(
    stage: Stage, failure: FailStep, error_kind: str, words: str
) -> None:
    stage.play(rule("fail", [failure]), HELLO)
    client = stage.serve("fork", "-c", "greenroom.rate_limit_wait_s=0").client
    assert_told_once(client, "fail", error_kind, words)


def test_a_stream_that_breaks_is_tried_again_and_its_tools_run_once(stage: Stage) -> None:
    stage.play(rule("twice", [Text("one "), First(1, Disconnect()), Text("two")]))
    stage.home.configure(stage.model.base_url)
    config = stage.home.config.read_text().replace("stream_max_retries = 0", "stream_max_retries = 1")
    stage.home.config.write_text(config)
    client = stage.serve("fork").client
    call = client.codex("twice")
    assert text(client.result(call)) == "two"
    (retry,) = [event for event in client.events(call) if event["type"] == "stream_error"]
    assert retry["message"].startswith("stream error: ") or "econnecting" in retry["message"]
    assert stage.model.statistics().requests == 2


def test_noise_in_the_models_stream_is_passed_over(stage: Stage) -> None:
    noise = b'event: x\ndata: not json\n\n: comment\n\ndata: {"type":"response.new_thing"}\n\ndata: \xff\n\n'
    stage.play(rule("noise", [MalformedStep(noise), Text("clear"), MalformedStep(noise)]))
    client = stage.serve("fork").client
    assert text(client.result(client.codex("noise"))) == "clear"


def test_a_home_that_is_not_there_ends_the_start_with_a_clear_line(stage: Stage) -> None:
    server = stage.start(CODEX_HOME=str(stage.workspace / "nowhere"))
    assert server.wait() == 1
    assert "nowhere" in stage.told()
    assert stage.told().startswith("greenroom: CODEX_HOME")
    assert server.client.read_to_end() == [], "standard output is for the protocol"


# Surroundings that are no text, or too much of it

UNTOLD = "\udcff"
"""A byte that is no text, as the operating system hands it over."""


def test_a_variable_that_is_no_text_harms_nobody(stage: Stage, engine: str) -> None:
    stage.play(HELLO)
    client = stage.serve(engine, STRANGE_KEY=UNTOLD, STRANGE=UNTOLD).client
    assert_goes_on(client)


def test_a_home_whose_name_is_no_text_is_refused_with_a_clear_line(stage: Stage) -> None:
    stage.play(HELLO)
    home = f"{stage.home.path}{UNTOLD}"
    os.rename(stage.home.path, home)
    server = stage.start(CODEX_HOME=home)
    assert server.wait() == 1
    assert stage.told().startswith("greenroom: CODEX_HOME is not valid UTF-8")


def test_a_setting_that_is_no_text_is_told_on_the_call(stage: Stage) -> None:
    stage.play(HELLO)
    client = stage.serve("fork", "-c", f'model="{UNTOLD}"').client
    assert client.result(client.codex("hello"), within=3.0)


def test_settings_of_any_length_are_taken_or_refused(stage: Stage) -> None:
    stage.play(HELLO)
    flags = [flag for _ in range(3) for flag in ("-c", f'developer_instructions="{"y" * 100_000}"')]
    client = stage.serve("fork", *flags).client
    assert client.result(client.codex("hello"), within=3.0)


def test_a_directory_that_cannot_be_is_told(stage: Stage) -> None:
    stage.play(HELLO)
    client = stage.serve("fork").client
    result = client.result(client.codex("hello", cwd="/tmp/\x00"))
    assert text(result).startswith((PARSE, LOAD))
    assert "cwd" in text(result)
