"""The program says for programs what it is and what it speaks."""

import json
import sys
from collections.abc import Mapping

import pytest

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.mcp.handshake import HANDSHAKE_VERSIONS
from greenroom.protocol.version import __version__
from greenroom.sessions.records.format import session_meta
from greenroom.supervisor.cli import command_line
from greenroom.supervisor.cli.reference import version


@pytest.mark.parametrize("words", [("--version", "--json"), ("--json", "--version")])
def test_it_is_one_json_object(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    assert command_line.run(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schemaVersion"] == 1
    assert told["version"] == __version__
    assert told["protocols"]["mcp"] == [*HANDSHAKE_VERSIONS, "2026-07-28"]
    assert told["protocols"]["app-server"] == ["v2"]
    assert told["sessions"] == {"written": ["legacy"], "read": ["2025-08", "legacy", "paginated"]}
    assert told["platform"].startswith(sys.platform)
    assert "commit" in told


def test_what_is_written_is_what_new_files_say_of_themselves() -> None:
    made = session_meta(
        conversation_id=ConversationId("x"),
        started=0.0,
        cwd="",
        originator="",
        cli_version="",
        model_provider="",
        base_instructions="",
    )
    assert isinstance(made.payload, Mapping)
    assert made.payload["history_mode"] == version.WRITTEN_SESSIONS


def test_the_version_alone_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        command_line.run(["--version"])
    assert leaving.value.code == 0
    assert capsys.readouterr().out == f"greenroom {__version__}\n"


def test_json_belongs_to_the_version_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.run(["--json", "schema"])
    assert ended.value.code == 2
    assert "belongs to --version" in capsys.readouterr().err
