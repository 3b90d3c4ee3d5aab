"""What must happen to every client, by situation: the columns of the matrix."""

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from tests.conformance.matrix.rows import Row
from tests.conformance.matrix.scene import ALLOWED, DENIED, PROMPTS, Report, Scene

Check: TypeAlias = Callable[[Row, Scene, Report], None]
REPLY: Final = "And to you again."


def conversation(row: Row, scene: Scene, report: Report) -> None:
    """A conversation begins, runs a command, and goes on."""
    first, second = report["texts"]
    assert first.endswith("Good day to you")
    assert second == REPLY
    assert scene.stage.home.session(report["thread"]).is_file()


def streaming(row: Row, scene: Scene, report: Report) -> None:
    """What happens is told while it happens."""
    assert report["pieces"] >= 1
    if row.streams_text:
        assert report["streamed"] == REPLY


def approval(row: Row, scene: Scene, report: Report) -> None:
    """What needs consent happens if it is given, and not otherwise."""
    assert len(report["questions"]) == (2 if row.asked == "user" else 0)
    for question, name in zip(report["questions"], (ALLOWED, DENIED), strict=False):
        assert f"touch {name}" in question
    assert (scene.cwd / ALLOWED).exists() == (row.asked != "nobody")
    assert not (scene.cwd / DENIED).exists()


def interrupt(row: Row, scene: Scene, report: Report) -> None:
    """A turn is interrupted, and the conversation goes on."""
    assert re.search(row.interrupted, report["ended"]), report
    assert report["after"] == REPLY


def killed_worker(row: Row, scene: Scene, report: Report) -> None:
    """The death of a worker in the middle of a turn is told, and the conversation goes on."""
    assert re.search(row.crashed, report["error"]), report
    assert report["after"] == REPLY


def two_clients(row: Row, scene: Scene, report: Report) -> None:
    """Two clients use one conversation: one turn after the other, or, without a host, one client after the other."""
    assert report["waited"].endswith("Waited.")
    if row.shares:
        assert report["second"].endswith(REPLY)  # an editor is told of the other's turn too
    else:
        assert re.search(r"is being written by process \d+|is busy", report["refused"]), report
    stored = scene.stage.home.session(report["thread"]).read_text()
    after = stored[stored.index(PROMPTS["wait"]) :]
    if row.shares:
        assert after.index("Waited.") < after.index(PROMPTS["reply"])


def resumption(row: Row, scene: Scene, report: Report) -> None:
    """A client goes on with the conversation of another that has left."""
    assert report["text"] == REPLY


SITUATIONS: Final[Mapping[str, Check]] = {
    "conversation": conversation,
    "streaming": streaming,
    "approval": approval,
    "interrupt": interrupt,
    "killed worker": killed_worker,
    "two clients": two_clients,
    "resumption": resumption,
}
