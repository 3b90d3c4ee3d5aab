"""What `greenroom node revoke` claims of hosts that it has not heard."""

import argparse
from pathlib import Path

import pytest

from greenroom.protocol.errors import ConfigError
from greenroom.supervisor.cli.node_revocation import revoke_node_key
from greenroom.supervisor.node.command import make_ticket


def test_of_hosts_that_are_out_of_sight_no_more_is_claimed_than_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CODEX_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert make_ticket(argparse.Namespace(name="n1", output=None, pool=None, minutes=10)) == 0
    capsys.readouterr()
    assert revoke_node_key(argparse.Namespace(name="n1")) == 0
    assert capsys.readouterr().out == "n1 is revoked; a running host drops it within a second.\n"
    with pytest.raises(ConfigError, match="no node, pool or ticket has the name n1"):
        revoke_node_key(argparse.Namespace(name="n1"))
