"""Secrets reach the model's server, and nothing else."""

import os

import psutil
import pytest

from greenroom.demo.request_log import credential_digest
from greenroom.demo.script import CommandStep, FailStep, Quote, Text, rule
from tests.support import processes
from tests.support.client import kind, text, thread_id
from tests.support.home import records
from tests.support.stage import Stage

OPENAI_KEY = f"sk-test-0123456789abcdef{os.getpid():08}"
PROVIDER_KEY = f"plain-words-that-look-like-nothing-{os.getpid()}"
HEADER = f"another-value-without-a-shape-{os.getpid()}"
"""No others have them: a program that another test executes may be looked into until it has forbidden that."""
SECRETS = {"OPENAI_API_KEY": OPENAI_KEY, "MOCK_API_KEY": PROVIDER_KEY, "MOCK_HEADER_TOKEN": HEADER}
VALUES = tuple(SECRETS.values())
PROVIDER = 'env_key = "MOCK_API_KEY"\nenv_http_headers = { "X-Team" = "MOCK_HEADER_TOKEN" }'
PRINT = rule("print", [CommandStep(("env",))], [Quote("The environment: ")])
HELLO = rule("hello", [Text("Good day.")])

ANCESTORS = """\
pid=$$
while [ "$pid" -gt 1 ]; do
  tr '\\0' '\\n' < /proc/$pid/environ 2>/dev/null
  pid=$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$pid/status)
done
for peer in /proc/[0-9]*; do tr '\\0' '\\n' < $peer/environ 2>/dev/null | grep -a GREENROOM_TEST_RUN -q && \
tr '\\0' '\\n' < $peer/environ; done
echo done
"""
"""Prints the environment of every process that it may look into: its ancestors first, then all others."""


def assert_none(shown: str | bytes) -> None:
    data = shown.encode() if isinstance(shown, str) else shown
    assert [value for value in VALUES if value.encode() in data] == []


def environment_of(process: psutil.Process) -> str:
    try:
        return repr(process.environ())
    except psutil.AccessDenied:
        return ""


@pytest.mark.both_engines
def test_commands_do_not_see_keys_and_the_model_server_does(stage: Stage, engine: str) -> None:
    stage.play(PRINT, more=PROVIDER)
    server = stage.serve(engine, "--log-level", "debug", **SECRETS)
    call = server.client.codex("print")
    result = server.client.result(call)
    assert "CODEX_HOME=" in text(result), "the command has run and shown what it has"
    for line in server.client.lines:
        assert_none(line)
    for request in stage.model.requests():
        assert request.credential == credential_digest(PROVIDER_KEY)
        assert request.headers["x-team"] == HEADER
        assert_none(request.body)
    assert_none(stage.home.session(thread_id(result)).read_bytes())
    assert_none(stage.told())


def test_the_login_key_goes_only_to_providers_that_ask_for_the_login(stage: Stage, engine: str) -> None:
    stage.play(HELLO, more="requires_openai_auth = true")
    server = stage.serve(engine, "--log-level", "debug", **SECRETS)
    server.client.result(server.client.codex("hello"))
    stage.home.configure(stage.model.base_url)
    server.client.result(server.client.codex("hello"))
    with_login, without = stage.model.requests()
    assert with_login.credential == credential_digest(OPENAI_KEY)
    assert without.credential is None
    assert_none(stage.told())


def test_a_stored_key_is_used(stage: Stage, engine: str) -> None:
    stage.play(HELLO, more="requires_openai_auth = true")
    store = stage.home.path / "auth.json"
    store.write_text('{"OPENAI_API_KEY": "sk-stored-0123456789abcdefghijklmnop"}')
    store.chmod(0o600)
    client = stage.serve(engine).client
    assert text(client.result(client.codex("hello"))) == "Good day."
    (request,) = stage.model.requests()
    assert request.credential == credential_digest("sk-stored-0123456789abcdefghijklmnop")


def test_keys_of_the_homes_env_file_count_and_stay_hidden(stage: Stage) -> None:
    stage.play(PRINT, more=PROVIDER)
    (stage.home.path / ".env").write_text("".join(f"{name}={value}\n" for name, value in SECRETS.items()))
    client = stage.serve("fork").client
    result = client.result(client.codex("print"))
    assert_none(text(result))
    assert {request.credential for request in stage.model.requests()} == {credential_digest(PROVIDER_KEY)}


@pytest.mark.executed  # it looks at what processes were executed with
@pytest.mark.both_engines
def test_no_process_but_the_first_is_born_with_secrets_and_no_command_finds_one(stage: Stage, engine: str) -> None:
    stage.play(rule("look", [CommandStep(("bash", "-c", ANCESTORS))], [Quote()]), more=PROVIDER)
    server = stage.serve(engine, **SECRETS)
    call = server.client.codex("look")
    result = server.client.result(call)
    assert "done" in text(result).splitlines()  # after it bash may tell of processes that have ended meanwhile
    assert_none(repr(server.client.event(call, "exec_command_end")))
    server.settle(workers=3)
    below = [process for process in server.tree() if process.pid != server.pid]
    assert len(below) >= 4
    environments = processes.of_each(below, environment_of)
    assert_none("".join(environments))
    assert_none(repr(processes.of_each(below, psutil.Process.cmdline)))
    if os.geteuid() == 0:
        assert any("CODEX_HOME" in environment for environment in environments), "we could look into them"


def test_a_refused_key_is_not_repeated(stage: Stage) -> None:
    refusal = {"error": {"message": f"Incorrect API key provided: {OPENAI_KEY}"}}
    stage.play(rule("hello", [FailStep(401, refusal)]), more="requires_openai_auth = true")
    client = stage.serve("fork", "--log-level", "debug", **SECRETS).client
    result = client.result(client.codex("hello"))
    assert kind(result) == "unauthorized"
    for line in client.lines:
        assert_none(line)
    assert_none(stage.told())
    for _, payload in records(stage.home.session(thread_id(result))):
        assert_none(repr(payload))


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "MOCK_API_KEY"])
def test_a_policy_that_hands_on_everything_does_not_hand_on_ours(stage: Stage, name: str) -> None:
    stage.play(PRINT, more=PROVIDER, top="shell_environment_policy = { ignore_default_excludes = true }")
    client = stage.serve("fork", **SECRETS).client
    result = client.result(client.codex("print"))
    assert SECRETS[name] not in text(result)
