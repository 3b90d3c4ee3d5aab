"""What a client asks of files becomes one job, in the sandbox of the thread whose files they are."""

import json
from typing import Any

import pytest

from greenroom.protocol.internal.worker.operations import TurnSandbox
from greenroom.protocol.jsonrpc import INVALID_PARAMS, Request
from greenroom.supervisor.frontend.app_server.files.file_request import READERS, file_job
from greenroom.supervisor.frontend.app_server.thread_settings import SessionSettings
from greenroom.supervisor.frontend.request_params import RefusedError


def asked(method: str, **params: Any) -> Request:
    return Request(1, b"1", f"fs/{method}", json.dumps(params).encode())


def thread(cwd: str, mode: Any = "workspace-write") -> SessionSettings:
    return SessionSettings(
        model="m",
        provider="p",
        cwd=cwd,
        approval_policy="never",
        reviewer="user",
        sandbox=TurnSandbox(type=mode),
    )


@pytest.mark.parametrize(
    ("method", "params", "expected"),
    [
        ("readFile", {"path": "/a/../b"}, {"path": "/b"}),
        ("readFile", {"path": "//b"}, {"path": "/b"}),
        ("writeFile", {"path": "/b", "dataBase64": "eA=="}, {"data": b"x"}),
        ("createDirectory", {"path": "/b"}, {"recursive": True}),
        ("createDirectory", {"path": "/b", "recursive": False}, {"recursive": False}),
        ("remove", {"path": "/b"}, {"recursive": True, "force": True}),
        ("remove", {"path": "/b", "force": False, "recursive": None}, {"recursive": True, "force": False}),
        (
            "copy",
            {"sourcePath": "/b", "destinationPath": "/c"},
            {"path": "/b", "destination": "/c", "recursive": False},
        ),
    ],
)
def test_a_request_becomes_a_job(method: str, params: dict[str, Any], expected: dict[str, Any]) -> None:
    job = file_job(asked(method, **params), [])
    assert job.operation == method
    assert (job.cwd, job.sandbox_policy) == (None, None)
    assert {name: getattr(job, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("method", "params"),
    [
        *((name, {"path": path}) for name in READERS for path in ("a/b", "", "~/x", "/a\0b") if name != "copy"),
        ("copy", {"sourcePath": "a", "destinationPath": "/b"}),
        ("copy", {"sourcePath": "/a", "destinationPath": "b"}),
        ("writeFile", {"path": "/b", "dataBase64": "?"}),
        ("readFile", {}),
    ],
)
def test_what_is_no_absolute_path_or_no_data_is_refused(method: str, params: dict[str, Any]) -> None:
    if method == "writeFile":
        params = {"dataBase64": "", **params}
    with pytest.raises(RefusedError) as refusal:
        file_job(asked(method, **params), [])
    assert refusal.value.code == INVALID_PARAMS


@pytest.mark.parametrize(
    ("path", "cwd", "mode"),
    [
        ("/a/x", "/a", "workspace-write"),
        ("/a", "/a", "workspace-write"),
        ("/a/b/c/x", "/a/b", "danger-full-access"),
        ("/a/bc", "/a", "workspace-write"),
        ("/c", None, None),
        ("/a/../c", None, None),
    ],
)
def test_the_innermost_thread_lends_its_sandbox(path: str, cwd: str | None, mode: str | None) -> None:
    threads = [thread("/a"), thread("/a/b", "danger-full-access"), thread("/x/")]
    for request in (
        asked("readFile", path=path),
        asked("copy", sourcePath="/x/y", destinationPath=path),
    ):
        job = file_job(request, threads)
        assert (job.cwd, job.sandbox_policy and job.sandbox_policy["type"]) == (cwd, mode)


def test_outside_of_all_threads_the_clients_own_directory_counts() -> None:
    for directory in ("/home/ada", None):
        assert file_job(asked("readFile", path="/c"), [thread("/a")], directory).cwd == directory
        assert file_job(asked("readFile", path="/a/x"), [thread("/a")], directory).cwd == "/a"
