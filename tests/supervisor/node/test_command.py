"""Where the files of tickets are, on the host and on a node."""

import argparse
import logging
from pathlib import Path

import pytest

from greenroom.config.reader import SECRET, Reader
from greenroom.protocol.errors import ConfigError
from greenroom.supervisor.node.command import hide_ticket, make_ticket
from greenroom.supervisor.node.identity import read_ticket


def made(name: str, output: str | None = None) -> None:
    assert make_ticket(argparse.Namespace(name=name, output=output, pool=None, minutes=10)) == 0


def test_a_ticket_is_written_where_no_command_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    monkeypatch.setenv("CODEX_HOME", str(home))
    made("n1")
    path = home / ".nodes.n1.ticket"
    first = read_ticket(str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(PermissionError, match=SECRET):
        Reader(str(home)).read(str(path))
    made("n1")
    assert read_ticket(str(path)) != first, "the one that was there is void"
    made("n2", str(elsewhere))
    with pytest.raises(ConfigError, match="exists already"):
        made("n3", str(elsewhere))


def test_a_node_hides_its_ticket_where_nobody_else_has_to_write(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state, private, public = (tmp_path / name for name in ("state", "private", "public"))
    for place in (state, private, public):
        place.mkdir()
        (place / "ticket").write_text("secret")
    public.chmod(0o1777)
    with caplog.at_level(logging.WARNING):
        hide_ticket(str(state), str(private / "ticket"))
        assert not caplog.records
        hide_ticket(str(state), str(public / "ticket"))
    assert "commands of conversations can read" in caplog.text
    with pytest.raises(PermissionError, match=SECRET):
        Reader(str(state)).read(str(private / "ticket"))
    assert Reader(str(state)).read(str(public / "ticket")) == b"secret"
