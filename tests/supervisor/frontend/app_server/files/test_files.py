"""Files that a client reads, changes and watches, over the wire."""

import os
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from greenroom.demo.script import Text, rule
from tests.supervisor.frontend.app_server.conftest import Serve
from tests.support.app_server import AppClient
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Hi.")])
WORKSPACE = {"sandbox": "workspace-write", "config": {"sandbox_workspace_write": {"exclude_slash_tmp": True}}}


def do(client: AppClient, method: str, **params: object) -> dict[str, Any]:
    return client.result(client.request(f"fs/{method}", params))


def changed(client: AppClient, watch: str, path: Path) -> None:
    """Wait until a client is told that something has changed."""
    client.until(
        lambda message: (
            message.get("method") == "fs/changed"
            and message["params"]["watchId"] == watch
            and str(path) in message["params"]["changedPaths"]
        )
    )


def test_files_are_read_changed_and_watched(stage: Stage, app: Serve) -> None:
    stage.play(HELLO)
    client = app("-c", "sandbox_mode=read-only").app
    here = stage.workspace
    # without a thread, the sandbox of the configuration counts
    assert client.refused("fs/writeFile", {"path": str(here / "f"), "dataBase64": ""})[0] == -32603
    # within the directory of a thread, its sandbox
    client.start(cwd=stage.cwd, **WORKSPACE)
    assert do(client, "watch", path=stage.cwd, watchId="d") == {"path": os.path.realpath(stage.cwd)}
    assert do(client, "watch", path=str(here / "f"), watchId="f") == {"path": os.path.realpath(here / "f")}
    assert client.refused("fs/watch", {"path": stage.cwd, "watchId": "f"})[0] == -32600
    assert client.refused("fs/watch", {"path": str(here / "no" / "x"), "watchId": "x"})[0] == -32603
    data = b64encode(b"\x00hello").decode()
    assert do(client, "writeFile", path=str(here / "f"), dataBase64=data) == {}
    assert b64decode(do(client, "readFile", path=str(here / "f"))["dataBase64"]) == b"\x00hello"
    changed(client, "d", here / "f")
    changed(client, "f", here / "f")
    assert do(client, "unwatch", watchId="d") == do(client, "unwatch", watchId="gone") == {}
    assert do(client, "createDirectory", path=str(here / "a" / "b")) == {}
    assert do(client, "copy", sourcePath=str(here / "f"), destinationPath=str(here / "a" / "g")) == {}
    assert do(client, "getMetadata", path=str(here / "a" / "g"))["isFile"] is True
    entries = do(client, "readDirectory", path=str(here / "a"))["entries"]
    assert [entry["fileName"] for entry in entries] == ["b", "g"]
    assert do(client, "remove", path=str(here / "a")) == {}
    assert not (here / "a").exists()
    assert client.refused("fs/readFile", {"path": str(here / "a")})[0] == -32603
    assert client.refused("fs/readFile", {"path": stage.cwd})[0] == -32603
    assert client.refused("fs/readFile", {"path": "f"})[0] == -32602
    # and nothing else can be written, nor secrets read
    (stage.home.path / "auth.json").write_text("{}")
    assert client.refused("fs/readFile", {"path": str(stage.home.path / "auth.json")})[0] == -32603
    assert client.refused("fs/writeFile", {"path": str(stage.home.path / "x"), "dataBase64": ""})[0] == -32603
    (here / "f").unlink()
    client.messages.clear()
    changed(client, "f", here / "f")
