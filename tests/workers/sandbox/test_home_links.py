"""The links on the way to a home are found, each where it really lies."""

import os
from pathlib import Path

from greenroom.workers.sandbox.home_links import linked_controls, trail


def test_a_way_without_links_leads_to_itself(tmp_path: Path) -> None:
    base = os.path.realpath(tmp_path)
    assert trail(f"{base}/a/b") == [f"{base}/a/b"]
    assert trail("/") == ["/"]


def test_every_link_of_a_chain_is_named(tmp_path: Path) -> None:
    base = os.path.realpath(tmp_path)
    for name in ("real/home", "links"):
        os.makedirs(f"{base}/{name}")
    os.symlink("../real", f"{base}/links/up")
    os.symlink(f"{base}/links/up/home", f"{base}/first")
    os.symlink("first", f"{base}/name")
    assert trail(f"{base}/name") == [f"{base}/name", f"{base}/first", f"{base}/links/up", f"{base}/real/home"]
    assert trail(f"{base}/name/../x")[-1] == f"{base}/real/x"


def test_a_loop_has_an_end(tmp_path: Path) -> None:
    base = os.path.realpath(tmp_path)
    os.symlink("b", f"{base}/a")
    os.symlink("a", f"{base}/b")
    assert set(trail(f"{base}/a")) <= {f"{base}/a", f"{base}/b"}


def test_linked_settings_are_found_with_their_goals(tmp_path: Path) -> None:
    base = os.path.realpath(tmp_path)
    for name in ("home", "dotfiles"):
        os.makedirs(f"{base}/{name}")
    for name in ("config.toml", "work.config.toml", "history.jsonl"):
        Path(f"{base}/dotfiles/{name}").touch()
        os.symlink(f"../dotfiles/{name}", f"{base}/home/{name}")
    assert linked_controls(f"{base}/home") == [
        f"{base}/home/config.toml",
        f"{base}/dotfiles/config.toml",
        f"{base}/home/work.config.toml",
        f"{base}/dotfiles/work.config.toml",
    ]
    assert linked_controls(f"{base}/missing") == []


def test_a_goal_that_is_missing_cannot_be_made(tmp_path: Path) -> None:
    base = os.path.realpath(tmp_path)
    for name in ("home", "dotfiles"):
        os.makedirs(f"{base}/{name}")
    os.symlink("../dotfiles/codex/config.toml", f"{base}/home/config.toml")
    assert linked_controls(f"{base}/home") == [f"{base}/home/config.toml", f"{base}/dotfiles"]
