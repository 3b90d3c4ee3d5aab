"""What a client asks of a command becomes one job, or is refused where it contradicts itself."""

from typing import Any

import msgspec
import pytest

from greenroom.protocol.app_server.commands import CommandExecParams
from greenroom.protocol.internal.jobs import WindowSize
from greenroom.supervisor.frontend.app_server.commands.command_request import (
    OUTPUT_CAP,
    TERMINAL,
    TIMEOUT_MS,
    command_job,
)
from greenroom.supervisor.frontend.request_params import RefusedError

READ_ONLY = {"type": "readOnly", "networkAccess": False}


def params(**members: Any) -> CommandExecParams:
    return msgspec.convert({"command": ["true"], **members}, CommandExecParams)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {"timeout_ms": TIMEOUT_MS, "output_cap": OUTPUT_CAP, "terminal": None, "sandbox_policy": None}),
        ({}, {"reads_input": False, "streams_output": False, "environment": {}}),
        ({"timeoutMs": 0}, {"timeout_ms": 0}),
        ({"disableTimeout": True}, {"timeout_ms": None}),
        ({"outputBytesCap": 0}, {"output_cap": 0}),
        ({"disableOutputCap": True}, {"output_cap": None}),
        ({"env": {"A": "1", "B": None}}, {"environment": {"A": "1", "B": None}}),
        ({"tty": True, "processId": "p"}, {"terminal": TERMINAL, "streams_output": True, "reads_input": False}),
        (
            {"tty": True, "processId": "p", "size": {"rows": 3, "cols": 9}},
            {"terminal": WindowSize(rows=3, columns=9)},
        ),
        ({"streamStdin": True, "processId": "p"}, {"reads_input": True, "streams_output": False}),
        ({"streamStdoutStderr": True, "processId": "p"}, {"reads_input": False, "streams_output": True}),
        ({"sandboxPolicy": READ_ONLY}, {"sandbox_policy": {"type": "read-only"}}),
        ({"permissionProfile": ":danger-full-access"}, {"sandbox_policy": {"type": "danger-full-access"}}),
    ],
)
def test_a_request_becomes_a_job(asked: dict[str, Any], expected: dict[str, Any]) -> None:
    job = command_job(params(**asked))
    assert {name: getattr(job, name) for name in expected} == expected


@pytest.mark.parametrize(
    "asked",
    [
        {"command": []},
        {"tty": True},
        {"streamStdin": True},
        {"streamStdoutStderr": True},
        {"size": {"rows": 1, "cols": 1}, "processId": "p"},
        {"timeoutMs": 1, "disableTimeout": True},
        {"outputBytesCap": 1, "disableOutputCap": True},
        {"sandboxPolicy": READ_ONLY, "permissionProfile": ":workspace"},
        {"permissionProfile": "mine"},
        {"env": {"A=B": "1"}},
        {"env": {"": "1"}},
        {"sandboxPolicy": {"type": "externalSandbox"}},
    ],
)
def test_what_contradicts_itself_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(RefusedError):
        command_job(params(**asked))


@pytest.mark.parametrize("size", [{"rows": 0, "cols": 1}, {"rows": 1, "cols": 0}, {"rows": 65536, "cols": 1}])
def test_a_size_that_no_terminal_has_is_invalid(size: dict[str, int]) -> None:
    with pytest.raises(msgspec.ValidationError):
        params(tty=True, processId="p", size=size)
