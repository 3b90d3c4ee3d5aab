"""Carries out an operation on files for a client, in the sandbox that a command would have."""

import asyncio
import errno
import os
import sys
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from greenroom.protocol.internal.jobs import FileFault, FileOperation, FileOutcome, StreamName
from greenroom.workers.exec.command import CommandSpec
from greenroom.workers.exec.command_run import CommandRun, explain_failure
from greenroom.workers.exec.starter import CommandStarter
from greenroom.workers.files import operation
from greenroom.workers.job_context import JobError, Setting
from greenroom.workers.jobs.client_sandbox import client_confinement, client_settings, client_starter

PROGRAM: Final = Path(operation.__file__)
SECONDS: Final = 600.0
"""Seconds that an operation may take, such as the copy of a large tree."""
DENIALS: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""Numbers of errors with which the sandbox refuses."""

_encode: Final = msgspec.json.Encoder().encode


class _Refusal(msgspec.Struct, frozen=True):
    number: int | None
    text: str


class _Answer(msgspec.Struct, frozen=True):
    error: _Refusal | None = None


async def run(params: bytes, setting: Setting) -> bytes:
    """Return the `FileOutcome`. Raises `JobError`, `ConfigError` or `SandboxUnavailableError`."""
    wanted = msgspec.json.decode(params, type=FileOperation)
    settings = client_settings(setting, wanted.cwd, wanted.sandbox_policy)
    confinement = client_confinement(settings, setting, os.environ.get("TMPDIR", ""))
    if confinement is not None:
        confinement = replace(confinement, network=False, sockets=())
    command = CommandSpec(
        (sys.executable, "-I", "-S", str(PROGRAM)), "/", {"LC_ALL": "C.UTF-8"}, SECONDS, reads_input=True
    )
    members = {name: getattr(wanted, name) for name in ("operation", "path", "destination", "recursive", "force")}
    async with client_starter(confinement) as starter:
        output = await _exchange(command, _encode(members) + b"\n" + wanted.data, starter)
    line, _, data = output.partition(b"\n")
    error = msgspec.json.decode(line, type=_Answer).error
    if error is not None:
        mode = None if confinement is None else settings.sandbox_policy.type
        return _encode(FileOutcome(fault=_fault(error, wanted, mode)))
    result = _encode({"dataBase64": b64encode(data).decode()}) if wanted.operation == "readFile" else line
    return _encode(FileOutcome(result=msgspec.Raw(result)))


async def _exchange(command: CommandSpec, data: bytes, starter: CommandStarter) -> bytes:
    """Return what a program writes that is given this input. Raises `JobError`."""
    written = bytearray()
    complaint = bytearray()
    attempt = CommandRun(command)

    async def take(stream: StreamName, chunk: bytes) -> None:
        (written if stream == "stdout" else complaint).extend(chunk)

    async def type_all() -> None:
        await attempt.type(data)
        await attempt.end_input()

    try:
        await attempt.start(starter)
    except (OSError, ValueError) as error:
        raise JobError(explain_failure(command, error)) from None
    typing = asyncio.create_task(type_all())
    try:
        await attempt.relay(take)
        await attempt.over.wait()
    finally:
        typing.cancel()
        await asyncio.wait((typing,))
        await attempt.close()
    if attempt.timed_out:
        raise JobError(f"the operation took longer than {SECONDS:g} s")
    if attempt.returncode != 0 or b"\n" not in written:
        raise JobError(f"the operation broke: {complaint.decode(errors='replace').strip()[-500:]}")
    return bytes(written)


def _fault(error: _Refusal, wanted: FileOperation, mode: str | None) -> FileFault:
    text = f"{wanted.path}: {error.text}"
    if error.number in DENIALS and mode is not None:
        text += f" (in the sandbox `{mode}`)"
    return FileFault(text=text, is_invalid=error.number is None)
