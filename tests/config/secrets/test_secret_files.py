"""Which entries of a home hold secrets, as it is at the moment."""

import os
from pathlib import Path

from greenroom.config.secrets.secret_files import SecretFiles

TOKEN = "[model_providers.x]\nexperimental_bearer_token = 'plain'\n"


def test_an_empty_or_missing_home_has_none(tmp_path: Path) -> None:
    assert SecretFiles(str(tmp_path)).names() == ()
    assert SecretFiles(str(tmp_path / "missing")).names() == ()


def test_settings_count_only_while_a_secret_stands_in_them(tmp_path: Path) -> None:
    secrets = SecretFiles(str(tmp_path))
    config = tmp_path / "config.toml"
    for content, names in ((TOKEN, ("config.toml*", ".config.toml*")), ("model = 'o3'", ()), (TOKEN + "\n", None)):
        config.write_text(content)
        assert secrets.names() == (("config.toml*", ".config.toml*") if names is None else names)


def test_settings_of_profiles_are_named(tmp_path: Path) -> None:
    (tmp_path / "work.config.toml").write_text(TOKEN)
    (tmp_path / "other.toml").write_text("model = 'o3'")
    assert SecretFiles(str(tmp_path)).names() == ("config.toml*", ".config.toml*", "work.config.toml")


def test_large_settings_count_and_special_files_block_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.toml")
    secrets = SecretFiles(str(tmp_path))
    assert secrets.names() == ()
    (tmp_path / "big.toml").touch()
    os.truncate(tmp_path / "big.toml", 2 * 1024 * 1024)
    assert "big.toml" in secrets.names()


def test_other_names_of_a_secret_count_where_they_are_known_and_are_told_where_not(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    (home / "auth.json").write_text("{}")
    secrets = SecretFiles(str(home))
    assert secrets.aliases_elsewhere() == ()
    os.link(home / "auth.json", home / "zz")
    assert secrets.names() == ("zz",)
    assert secrets.aliases_elsewhere() == ()
    os.link(home / "auth.json", elsewhere)
    assert secrets.aliases_elsewhere() == ("auth.json",)
    elsewhere.unlink()
    assert secrets.aliases_elsewhere() == ()
