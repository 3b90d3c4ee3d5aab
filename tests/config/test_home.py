"""Promises about the Codex home and its `.env`."""

import os
from pathlib import Path

import pytest

from greenroom.config.home import codex_home, home_name, load_dotenv
from greenroom.protocol.errors import ConfigError


def test_home_is_dot_codex_unless_chosen() -> None:
    assert codex_home({"HOME": "/home/ada"}) == "/home/ada/.codex"


def test_empty_variable_chooses_nothing() -> None:
    assert codex_home({"HOME": "/home/ada", "CODEX_HOME": ""}) == "/home/ada/.codex"


def test_chosen_home_is_resolved_through_links(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    assert codex_home({"CODEX_HOME": str(tmp_path / "link")}) == str(real.resolve())


def test_chosen_home_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"CODEX_HOME is '.*nowhere', which cannot be used: No such file"):
        codex_home({"CODEX_HOME": str(tmp_path / "nowhere")})


def test_chosen_home_must_be_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is not a directory"):
        codex_home({"CODEX_HOME": str(tmp_path / "file")})


def test_account_knows_the_home_where_the_environment_does_not() -> None:
    assert codex_home({}).endswith(f"{os.sep}.codex")
    assert os.path.isabs(codex_home({}))


def test_dotenv_overwrites_the_environment(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_BASE_URL=http://there\nexport NEW='two words'\n")
    environment = {"OPENAI_BASE_URL": "http://here", "KEPT": "1"}
    assert load_dotenv(str(tmp_path), environment) == {
        "OPENAI_BASE_URL": "http://there",
        "NEW": "two words",
        "KEPT": "1",
    }


def test_dotenv_leaves_the_given_environment_alone(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=2\n")
    environment = {"A": "1"}
    load_dotenv(str(tmp_path), environment)
    assert environment == {"A": "1"}


@pytest.mark.parametrize("name", ["CODEX_HOME", "codex_home", "Codex_Sandbox"])
def test_dotenv_cannot_steer_the_program(tmp_path: Path, name: str) -> None:
    (tmp_path / ".env").write_text(f"{name}=/elsewhere\n")
    assert load_dotenv(str(tmp_path), {}) == {}


def test_dotenv_values_are_taken_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PRICE=${HOME}5\n")
    assert load_dotenv(str(tmp_path), {"HOME": "/home/ada"})["PRICE"] == "${HOME}5"


def test_dotenv_name_without_a_value_sets_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LONELY\n")
    assert load_dotenv(str(tmp_path), {}) == {}


def test_no_dotenv_is_no_fault(tmp_path: Path) -> None:
    assert load_dotenv(str(tmp_path), {"A": "1"}) == {"A": "1"}


def test_dotenv_of_the_working_directory_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / ".env").write_text("OPENAI_BASE_URL=http://evil\n")
    monkeypatch.chdir(project)
    assert load_dotenv(str(tmp_path), {}) == {}


@pytest.mark.parametrize("content", [None, b"A=\xff\n"], ids=["directory", "not UTF-8"])
def test_unreadable_dotenv_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / ".env"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"failed to read .*/\.env: "):
        load_dotenv(str(tmp_path), {})


def test_name_of_the_home_keeps_its_links(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "name").symlink_to("real")
    assert home_name({"CODEX_HOME": str(tmp_path / "name")}) == str(tmp_path / "name")
    assert codex_home({"CODEX_HOME": str(tmp_path / "name")}) == os.path.realpath(tmp_path / "real")
    assert home_name({"HOME": "/home/ada"}) == "/home/ada/.codex"
    assert home_name({"CODEX_HOME": "cfg"}) == os.path.join(os.getcwd(), "cfg")
