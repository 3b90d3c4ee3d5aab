"""The default model is written where it counts, and the rest of the file stays as the user wrote it."""

import tomllib
from pathlib import Path

import msgspec
import pytest

from greenroom.protocol.conversation_api import SetDefaultModel
from greenroom.workers.job_context import JobError, Setting
from greenroom.workers.jobs.set_default_model import run, with_default_model
from tests.support.loop import on_loop

FILE = """\
# how I like it
model = "old"   # for now
model_reasoning_effort = "high"

[profiles.work]  # at work
model = "work-model"
"""


def test_comments_and_order_stay() -> None:
    text = with_default_model(FILE, SetDefaultModel(model="new"))
    assert text == FILE.replace('"old"', '"new"').replace('model_reasoning_effort = "high"\n', "")


def test_in_a_profile_that_is_active_it_is_that_which_changes() -> None:
    text = with_default_model('profile = "work"\n' + FILE, SetDefaultModel(model="new", reasoning_effort="low"))
    table = tomllib.loads(text)
    assert table["model"] == "old"
    assert table["profiles"]["work"] == {"model": "new", "model_reasoning_effort": "low"}
    assert "# at work" in text


@pytest.mark.parametrize("profile", ["", 'profile = "new"\n'])
def test_what_is_not_there_is_made_and_what_is_not_given_is_removed(profile: str) -> None:
    text = with_default_model(profile, SetDefaultModel(model="m"))
    table = tomllib.loads(text)
    assert (table["profiles"]["new"] if profile else table)["model"] == "m"
    emptied = tomllib.loads(with_default_model(text, SetDefaultModel()))
    assert "model" not in (emptied["profiles"]["new"] if profile else emptied)


@on_loop
async def test_the_file_keeps_its_permissions_and_its_place_behind_a_link(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text(FILE)
    real.chmod(0o640)
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").symlink_to(real)
    assert await run(msgspec.json.encode({"model": "new"}), Setting(str(home), "")) == b"{}"
    assert (home / "config.toml").is_symlink()
    assert tomllib.loads(real.read_text())["model"] == "new"
    assert real.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".config")] == []


@on_loop
async def test_a_file_that_is_no_toml_stays_and_its_text_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("token = sk-secret [")
    with pytest.raises(JobError) as told:
        await run(b'{"model":"m"}', Setting(str(tmp_path), ""))
    assert "sk-secret" not in str(told.value)
    assert (tmp_path / "config.toml").read_text() == "token = sk-secret ["
