"""Further homes of the user, and that nothing is read of their secrets."""

from pathlib import Path

import pytest

from greenroom.config.reader import SECRET, Reader
from greenroom.config.secrets.other_homes import node_state, other_homes


def test_those_that_are_there_and_are_others_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    usual, chosen, state = tmp_path / ".codex", tmp_path / "chosen", tmp_path / ".local" / "state" / "greenroom-node"
    assert other_homes(str(usual), {}) == ()
    for place in (usual, chosen, state):
        place.mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(chosen)
    assert other_homes(str(usual), {}) == (str(state),)
    assert other_homes(str(link), {"CODEX_HOME": str(chosen)}) == (str(usual), str(state))
    assert other_homes(str(state), {"CODEX_HOME": str(link)}) == (str(usual), str(chosen))
    assert node_state({"XDG_STATE_HOME": "/x"}) == "/x/greenroom-node"


def test_their_secrets_are_not_read_for_a_conversation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    home = tmp_path / "home"
    for place in (home, tmp_path / ".codex"):
        place.mkdir()
        (place / "auth.json").write_text("secret")
        (place / "AGENTS.md").write_text("be brief")
    reader = Reader(str(home))
    for place in (home, tmp_path / ".codex"):
        assert reader.read(str(place / "AGENTS.md")) == b"be brief"
        with pytest.raises(PermissionError, match=SECRET):
            reader.read(str(place / "auth.json"))
