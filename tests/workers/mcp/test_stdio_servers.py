"""A conversation uses the servers of its user, and is not harmed by what they do."""

import asyncio
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from greenroom.config.tables.servers import McpServer
from greenroom.protocol.approval import FormQuestion
from greenroom.protocol.errors import StartError
from greenroom.runtime.process.spawn import OWN_VARIABLES
from greenroom.workers.mcp import servers as module
from greenroom.workers.mcp.elicitation import ElicitationQuestion, ElicitationReply
from greenroom.workers.mcp.host import SERVER
from tests.support.deadline import until
from tests.support.processes import ends
from tests.workers.mcp.cast import HERE, Official, executed_official, faulty, hosted, running

pytestmark = pytest.mark.processes


def test_nothing_of_the_client_is_imported_before_it_is_needed() -> None:
    modules = (
        *("workers.mcp.servers", "workers.mcp.tools.calls", "workers.mcp.tools.catalog", "workers.mcp.toolset"),
        "workers.actor",
        *("workers.conversation.conversation", "supervisor.frontend.mcp.services", "broker.broker"),
    )
    statement = (
        f"import sys, {', '.join(f'greenroom.{module}' for module in modules)};"
        "sys.exit(bool({'mcp', 'mcp_types', 'anyio', 'httpx2'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", statement], cwd=HERE.parents[2], check=False).returncode == 0


def test_the_client_comes_with_the_default_install() -> None:
    project = tomllib.loads((HERE.parents[2] / "pyproject.toml").read_text())["project"]
    assert any(dependency.startswith("mcp>=") for dependency in project["dependencies"])
    assert project["optional-dependencies"]["mcp"] == [], "the extra can still be named in an install"


def test_tools_are_listed_called_and_answered() -> None:
    async def test() -> None:
        async with hosted({"docs": executed_official()}) as host:
            assert host.names == []
            await host.servers.ready()
            assert host.names == sorted(host.names)
            assert {"docs__echo", "docs__point", "docs__picture"} <= set(host.names)
            definition = next(entry for entry in host.servers.definitions() if entry["name"] == "docs__echo")
            assert definition == {
                "type": "function",
                "name": "docs__echo",
                "description": "Say it back.",
                "strict": False,
                "parameters": {
                    "type": "object",
                    "properties": {
                        "text": {"title": "Text", "type": "string"},
                        "times": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None, "title": "Times"},
                    },
                    "required": ["text"],
                    "title": "echoArguments",
                },
            }
            output = await host.call("docs__echo", '{"text":"ho","times":2}')
            assert output.success
            assert output.text.startswith("Wall time: 0.")
            assert "hoho" in output.text
            assert host.servers.knows("mcp__docs__echo")
            assert host.servers.knows("echo", "mcp__docs")
            assert not host.servers.knows("docs__other")
            begin, end = host.events[-2:]
            invocation = {"server": "docs", "tool": "echo", "arguments": {"text": "ho", "times": 2}}
            assert begin == {
                "type": "mcp_tool_call_begin",
                "turn_id": "turn_1",
                "call_id": "call_1",
                "invocation": invocation,
            }
            assert end["invocation"] == invocation
            assert msgspec.convert(end["duration"], dict[str, int]).keys() == {"secs", "nanos"}
            assert "hoho" in str(msgspec.convert(end["result"], dict[str, object])["Ok"])

            shown = await host.call("docs__picture")
            assert [part["type"] for part in shown.parts] == ["input_text", "input_text", "input_image"]
            assert str(shown.parts[2]["image_url"]).startswith("data:image/png;base64,iVBOR")
            assert (await host.call("docs__point")).text.endswith('Output:\n{"x":7}')
            failed = await host.call("docs__fail")
            assert not failed.success
            assert "Error:\n" in failed.text
            assert "no such shelf" in failed.text
            assert (await host.call("docs__echo", "{")).text.startswith("err: ")
            assert (await host.call("docs__echo", "[]")).text.startswith("err: ")
            assert (await host.call("docs__missing")).text == "unsupported call: docs__missing"

    running(test)


def test_a_program_gets_the_allowed_variables_and_no_others() -> None:
    secrets = {"LICENCE": "abc", "PYDANTIC_DISABLE_PLUGINS": "__all__", "OTHER": "no"}
    ours = {"HOME": "/h", "PATH": os.environ["PATH"], "TZ": "UTC", "SECRET": "s", **OWN_VARIABLES}
    server = executed_official(env={"MORE": "m"}, env_vars=["LICENCE", *OWN_VARIABLES], cwd="..")

    async def test() -> None:
        async with hosted({"docs": server}, variables=secrets, environment=ours) as host:
            await host.servers.ready()
            names = {line.partition("=")[0] for line in (await host.answer("docs__environment")).splitlines()}
            assert names - {"LC_CTYPE"} == {"HOME", "LICENCE", "MORE", "PATH", "TZ"}
            assert await host.answer("docs__where") == str(HERE.parent)

    running(test)


def test_a_server_that_fails_costs_nothing_but_its_own_tools() -> None:
    servers = {
        "good": faulty("plain"),
        "off": faulty("plain", enabled=False),
        "bad name": faulty("plain"),
        "dead": faulty("dies-at-start"),
        "empty": faulty("failing-list"),
        "missing": faulty("plain", command="/no/such/program"),
        "nowhere": faulty("plain", cwd="/no/such/directory"),
        "silent": faulty("silent", startup_timeout_sec=0.5),
        "token": McpServer(url="http://127.0.0.1:9/mcp", bearer_token_env_var="DOCS_TOKEN"),
    }

    async def test() -> None:
        async with hosted(servers) as host:
            await host.servers.ready()
            assert host.names == ["good__go"]
            assert (await host.call("good__go")).success
            assert host.events.failures == {
                "bad name": "invalid server name 'bad name': must match pattern ^[a-zA-Z0-9_-]+$",
                "dead": "its program ended with exit code 1: no configuration",
                "empty": "the shelf is empty",
                "missing": "cannot run /no/such/program: No such file or directory",
                "nowhere": "cannot enter the directory /no/such/directory: No such file or directory",
                "silent": "request timed out: it was not ready after 0.5 s",
                "token": "the variable `DOCS_TOKEN`, which should hold its token, is not set",
            }
            (complete,) = host.events.of("mcp_startup_complete")
            assert complete["ready"] == ["good"]
            updates = [(event["server"], event["status"]) for event in host.events.of("mcp_startup_update")]
            assert ("good", {"state": "starting"}) in updates
            assert ("good", {"state": "ready"}) in updates
            assert ("empty", {"state": "failed", "error": "the shelf is empty"}) in updates
            assert not [name for name, _ in updates if name == "off"]

    running(test)


def test_servers_start_at_the_same_time_and_only_once() -> None:
    async def test() -> None:
        async with hosted({name: faulty("silent", startup_timeout_sec=1) for name in "abcdef"}) as host:
            before = asyncio.get_running_loop().time()
            await asyncio.gather(host.servers.ready(), host.servers.ready())
            await host.servers.ready()
            assert asyncio.get_running_loop().time() - before < 4
            assert len(host.events.of("mcp_startup_complete")) == 1

    running(test)


def test_a_request_does_not_wait_for_ever_for_a_server_that_is_not_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenroom.config.tables.servers.FIRST_REQUEST_WAIT", 0.05)

    async def test() -> None:
        async with hosted({"good": faulty("plain", required=True), "silent": faulty("silent")}) as host:
            await host.servers.ready()
            await host.servers.ready()
            assert host.names == ["good__go"]
            assert host.servers.states["silent"].state == "starting"
            (warning,) = host.events.of("warning")
            assert "`silent` is not ready after 0.05 s" in str(warning["message"])

    running(test)


@pytest.mark.parametrize("limit", [{"startup_timeout_sec": 30}, {"startup_timeout_ms": 30_000}])
def test_a_servers_own_limit_holds_for_the_first_request(
    limit: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greenroom.config.tables.servers.FIRST_REQUEST_WAIT", 0.05)
    go = tmp_path / "go"
    servers = {"slow": faulty("slow", str(go), **limit), "lost": faulty("slow", str(tmp_path / "never"))}

    async def test() -> None:
        async with hosted(servers, notice_after=0.2) as host:
            first = asyncio.create_task(host.servers.ready())
            while not host.events.of("background_event"):
                await asyncio.sleep(0.01)
            assert not first.done()
            assert host.servers.is_waiting
            assert host.events.of("background_event")[0]["message"] == (
                "waiting for MCP servers to start, 30 s at most: `slow`"
            )
            go.touch()
            await first
            assert host.names == ["slow__go"]
            assert not host.servers.is_waiting

    running(test)


def test_a_wait_for_a_server_can_be_cancelled_and_taken_up_again(tmp_path: Path) -> None:
    go = tmp_path / "go"

    async def test() -> None:
        async with hosted({"slow": faulty("slow", str(go), startup_timeout_sec=30)}, notice_after=0) as host:
            first = asyncio.create_task(host.servers.ready())
            while not host.events.of("background_event"):
                await asyncio.sleep(0.01)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            go.touch()
            await host.servers.ready()
            assert host.names == ["slow__go"]
            assert len(host.events.of("mcp_startup_complete")) == 1

    running(test)


def test_a_required_server_that_fails_is_an_error() -> None:
    async def test() -> None:
        async with hosted({"dead": faulty("dies-at-start", required=True)}) as host:
            with pytest.raises(StartError, match="required MCP servers failed to initialize: dead: its program ended"):
                await host.servers.ready()

    running(test)


def test_a_required_server_that_fails_is_an_error_at_once_whatever_else_is_starting(tmp_path: Path) -> None:
    slow = faulty("slow", str(tmp_path / "never"), startup_timeout_sec=3000)

    async def test() -> None:
        async with hosted({"slow": slow, "dead": faulty("dies-at-start", required=True)}) as host:
            with pytest.raises(StartError, match="dead: its program ended"):
                await host.servers.ready()
            assert not host.servers.is_waiting

    running(test)


def test_without_the_official_client_each_server_fails_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.startswith("greenroom.workers.mcp.")]:
        if name.rpartition(".")[2] in {"connection", "stdio", "http", "dispatcher"}:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp_types", None)

    async def test() -> None:
        async with hosted({"docs": faulty("plain")}) as host:
            await host.servers.ready()
            assert host.events.failures == {"docs": module.NOT_INSTALLED}

    running(test)


def test_hostile_names_and_schemas_cost_only_the_tools_that_have_them() -> None:
    async def test() -> None:
        async with hosted({"bad": faulty("hostile")}) as host:
            await host.servers.ready()
            names = host.names
            assert len(names) == len(set(names))
            assert all(len(name) <= 64 and name.replace("-", "_").isidentifier() for name in names)
            assert {"bad__a_b", "bad__shell", "bad__twice", "bad________etc_passwd"} <= set(names)
            assert "bad__text" not in names
            assert len(names) == 10
            none = next(entry for entry in host.servers.definitions() if entry["name"] == "bad__none")
            assert none["parameters"] == {"type": "object", "properties": {}}
            twice = next(entry for entry in host.servers.definitions() if entry["name"] == "bad__twice")
            assert twice["description"] == "first"
            assert host.servers.knows("bad__text"), "what is not declared can still be called"
            assert (await host.call("bad__deep")).success
            assert host.events.failures == {}

    running(test)


def test_filters_of_the_configuration_hold(official: Official) -> None:
    server = official(enabled_tools=["echo", "point", "fail"], disabled_tools=["fail"])

    async def test() -> None:
        async with hosted({"docs": server}) as host:
            await host.servers.ready()
            assert host.names == ["docs__echo", "docs__point"]
            assert not host.servers.knows("docs__fail")

    running(test)


def test_all_pages_of_a_listing_are_read() -> None:
    async def test() -> None:
        async with hosted({"docs": faulty("pages")}) as host:
            await host.servers.ready()
            assert host.names == ["docs__go", "docs__go0", "docs__go1"]

    running(test)


def test_what_a_program_prints_besides_messages_does_no_harm() -> None:
    async def test() -> None:
        async with hosted({"docs": faulty("noisy")}) as host:
            await host.servers.ready()
            assert (await host.call("docs__go")).success

    running(test)


def test_a_changed_list_is_there_for_the_next_request(official: Official) -> None:
    async def test() -> None:
        async with hosted({"docs": official()}) as host:
            await host.servers.ready()
            before = host.servers.definitions()
            assert host.servers.definitions() is before
            await host.call("docs__grow")
            await host.servers.ready()
            assert "docs__grown" in host.names
            assert (await host.call("docs__grown")).success

    running(test)


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("dies-in-call", "its program was ended by SIGKILL: the shelf fell"),
        ("mute", "timed out after 0.2 s"),
        ("flood", "its program wrote a line of more than 8388608 bytes"),
    ],
)
def test_a_call_that_fails_is_told_to_the_model_and_the_client(mode: str, error: str) -> None:
    async def test() -> None:
        timeout = 0.2 if mode == "mute" else 20
        async with hosted({"bad": faulty(mode, tool_timeout_sec=timeout), "good": faulty("plain")}) as host:
            await host.servers.ready()
            output = await host.call("bad__go")
            assert output.text == f"tool call error: tool call failed for `bad/go`: {error}"
            assert not output.success
            assert host.events[-1]["result"] == {"Err": output.text}
            assert (await host.call("good__go")).success

    running(test)


def test_a_cancelled_call_is_cancelled_at_the_server(official: Official, tmp_path: Path) -> None:
    started, cancelled = tmp_path / "started", tmp_path / "cancelled"

    async def test() -> None:
        async with hosted({"docs": official()}) as host:
            await host.servers.ready()
            arguments = msgspec.json.encode({"started": str(started), "cancelled": str(cancelled)}).decode()
            call = asyncio.create_task(host.call("docs__wait", arguments))
            await asyncio.to_thread(until, started.exists)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await asyncio.to_thread(until, cancelled.exists)
            assert host.events[-1]["result"] == {"Err": "tool call error: aborted by user"}
            assert (await host.call("docs__echo", '{"text":"on"}')).success

    running(test)


def test_a_stubborn_program_and_its_children_are_gone_within_a_second() -> None:
    async def test() -> None:
        async with hosted({"bad": faulty("stubborn")}) as host:
            await host.servers.ready()
            started = host.children()
            assert len(started) == 2
            before = asyncio.get_running_loop().time()
            await host.servers.close()
            assert asyncio.get_running_loop().time() - before < 1.5
            assert all(ends(pid, 1) for pid in started)

    running(test)


def test_closing_in_the_middle_of_a_start_or_twice_leaves_nothing() -> None:
    async def test() -> None:
        async with hosted({"silent": faulty("silent"), "bad": faulty("stubborn")}) as host:
            waiting = asyncio.create_task(host.servers.ready())
            await asyncio.to_thread(until, lambda: len(host.children()) >= 2)
            await host.servers.close()
            await host.servers.close()
            await waiting
            assert host.servers.states["silent"].state == "cancelled"

    running(test)


def test_all_programs_can_be_killed_without_waiting() -> None:
    async def test() -> None:
        async with hosted({"bad": faulty("stubborn")}) as host:
            await host.servers.ready()
            started = host.children()
            host.servers.kill_all()
            assert all(ends(pid, 2) for pid in started)

    running(test)


def test_a_program_that_is_killed_between_calls_fails_the_next_one() -> None:
    async def test() -> None:
        async with hosted({"docs": faulty("plain")}) as host:
            await host.servers.ready()
            (child,) = host.children()
            os.kill(child, signal.SIGKILL)
            output = await host.call("docs__go")
            assert output.text.endswith("its program was ended by SIGKILL")

    running(test)


def test_a_program_that_has_ended_is_started_again_by_the_next_call() -> None:
    async def test() -> None:
        async with hosted({"docs": faulty("plain")}) as host:
            await host.servers.ready()
            (child,) = host.children()
            os.kill(child, signal.SIGKILL)
            assert not (await host.call("docs__go")).success
            assert host.names == ["docs__go"]
            assert (await host.call("docs__go")).success
            (other,) = host.children()
            assert other != child
            assert len(host.events.of("mcp_startup_update")) == 2

    running(test)


def test_a_program_that_ends_again_and_again_is_left_alone() -> None:
    async def test() -> None:
        async with hosted({"docs": faulty("dies-in-call")}) as host:
            await host.servers.ready()
            told = [(await host.call("docs__go")).text for _ in range(SERVER.deaths + 3)]
            assert all("its program was ended by SIGKILL: the shelf fell" in text for text in told[:-2])
            assert all("the server has ended too often in a short time" in text for text in told[-2:])

    running(test)


def test_a_program_that_cannot_be_started_again_fails_the_call_and_not_the_conversation(tmp_path: Path) -> None:
    program = tmp_path / "server"
    program.symlink_to(sys.executable)

    async def test() -> None:
        async with hosted({"docs": faulty("dies-in-call", command=str(program))}) as host:
            await host.servers.ready()
            program.unlink()
            assert "ended by SIGKILL" in (await host.call("docs__go")).text
            assert "cannot run" in (await host.call("docs__go")).text
            program.symlink_to(sys.executable)
            assert "ended by SIGKILL" in (await host.call("docs__go")).text

    running(test)


def test_a_form_reaches_the_user_and_comes_back_filled_in(official: Official) -> None:
    asked: list[ElicitationQuestion] = []

    async def elicit(question: ElicitationQuestion) -> ElicitationReply:
        asked.append(question)
        return ElicitationReply("accept", {"name": "Ada"})

    async def test() -> None:
        async with hosted({"docs": official()}, elicit=elicit) as host:
            await host.servers.ready()
            assert "accept Ada" in (await host.call("docs__ask_name")).text
            (question,) = asked
            assert question.server == "docs"
            assert isinstance(question, FormQuestion)
            assert question.message == "Who are you?"
            assert "name" in str(question.form)

    running(test)


def test_a_question_that_is_not_passed_on_is_declined_and_the_user_told_why(official: Official) -> None:
    async def test() -> None:
        async with hosted({"docs": official()}) as host:
            await host.servers.ready()
            output = (await host.call("docs__ask_leave")).text
            assert '"decline"' in output
            assert "questions of MCP servers are not passed on" in output, "the model knows why"
            echoed = (await host.call("docs__echo", '{"text": "x"}')).text
            assert "passed on" not in echoed, "that is of the other call"
            (warning,) = host.events.of("warning")
            assert str(warning["message"]).startswith(
                "a question of the MCP server `docs` was answered with `decline`: "
            )

    running(test)


def test_a_question_does_not_count_against_the_limit_of_its_call(official: Official) -> None:
    async def elicit(_question: ElicitationQuestion) -> ElicitationReply:
        await asyncio.sleep(0.5)  # the user thinks longer than the tool may take
        return ElicitationReply("accept", {})

    async def test() -> None:
        async with hosted({"docs": official(tool_timeout_sec=0.4)}, elicit=elicit) as host:
            await host.servers.ready()
            assert '"accept"' in (await host.call("docs__ask_leave")).text

    running(test)


def test_a_question_is_withdrawn_with_its_call(official: Official) -> None:
    async def test() -> None:
        asked, withdrawn = asyncio.Event(), asyncio.Event()

        async def elicit(_question: ElicitationQuestion) -> ElicitationReply:
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                withdrawn.set()
            raise AssertionError("nobody answers")

        async with hosted({"docs": official()}, elicit=elicit) as host:
            await host.servers.ready()
            call = asyncio.create_task(host.call("docs__ask_name"))
            await asked.wait()
            call.cancel()
            await withdrawn.wait()
            with pytest.raises(asyncio.CancelledError):
                await call

    running(test)


def test_a_server_without_a_handshake_is_spoken_to_in_its_own_way() -> None:
    async def elicit(_question: ElicitationQuestion) -> ElicitationReply:
        return ElicitationReply("accept", {})

    async def test() -> None:
        async with hosted({"new": faulty("modern")}, elicit=elicit) as host:
            await host.servers.ready()
            assert host.names == ["new__go"]
            assert '[\\"accept\\", \\"s\\"]' in (await host.call("new__go")).text

    running(test)
