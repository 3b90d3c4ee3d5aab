"""Reads what a client asks of files (`fs/*`) into the job that does it, and chooses the sandbox. Free of I/O."""

import binascii
import os
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from greenroom.protocol.app_server import files as wire
from greenroom.protocol.internal.jobs import FileOperation
from greenroom.protocol.jsonrpc import INVALID_PARAMS, Request
from greenroom.supervisor.frontend.app_server.thread_settings import SessionSettings, policy_members
from greenroom.supervisor.frontend.request_params import RefusedError, decode

RequestMembers: TypeAlias = dict[str, Any]


def _path(request: Request) -> RequestMembers:
    return {"path": decode(request, wire.FsPathParams).path}


def _write(request: Request) -> RequestMembers:
    params = decode(request, wire.FsWriteFileParams, quotes=False)
    try:
        return {"path": params.path, "data": b64decode(params.data_base64, validate=True)}
    except (binascii.Error, ValueError) as error:
        raise RefusedError(INVALID_PARAMS, f"fs/writeFile: invalid `dataBase64`: {error}") from None


def _create(request: Request) -> RequestMembers:
    params = decode(request, wire.FsCreateDirectoryParams)
    return {"path": params.path, "recursive": params.recursive is not False}


def _remove(request: Request) -> RequestMembers:
    params = decode(request, wire.FsRemoveParams)
    return {"path": params.path, "recursive": params.recursive is not False, "force": params.force is not False}


def _copy(request: Request) -> RequestMembers:
    params = decode(request, wire.FsCopyParams)
    return {"path": params.source_path, "destination": params.destination_path, "recursive": params.recursive}


READERS: Final[Mapping[str, Callable[[Request], RequestMembers]]] = {
    "readFile": _path,
    "writeFile": _write,
    "createDirectory": _create,
    "getMetadata": _path,
    "readDirectory": _path,
    "remove": _remove,
    "copy": _copy,
}
"""By operation, what reads the params of its method. They raise `RefusedError`."""


def file_job(request: Request, threads: Iterable[SessionSettings], directory: str | None = None) -> FileOperation:
    """Return the job for a request. Raises `RefusedError`.

    Its sandbox is that of the client's thread in whose directory the path is, where there are several the innermost;
    else that of the configuration in the client's own directory, `None` where that is the one of this process.
    """
    operation = request.method.removeprefix("fs/")
    members = READERS[operation](request)
    for name in ("path", "destination"):
        if name in members:
            members[name] = require_absolute(members[name], request.method)
    touched = str(members.get("destination") or members["path"])
    thread = max((one for one in threads if _holds(one.cwd, touched)), key=lambda one: len(one.cwd), default=None)
    return FileOperation(
        **members,
        operation=operation,  # type: ignore[arg-type]  # a key of `READERS`
        cwd=directory if thread is None else thread.cwd,
        sandbox_policy=None if thread is None else policy_members(thread.sandbox),
    )


def require_absolute(path: str, method: str) -> str:
    """Return a path without `.`, `..` and surplus slashes. Raises `RefusedError` where it is not absolute."""
    if not os.path.isabs(path) or "\0" in path:
        raise RefusedError(INVALID_PARAMS, f"{method}: not an absolute path: {path[:200]!r}")
    return "/" + os.path.normpath(path).lstrip("/")


def _holds(directory: str, path: str) -> bool:
    place = "/" + os.path.normpath(directory).lstrip("/")
    return path == place or path.startswith(place.rstrip("/") + "/")
