"""A skill is switched off and on in the file, and the rest stays as the user wrote it."""

import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.config.skills import disabled_skills
from greenroom.protocol.app_server.skills import SkillsConfigWriteParams
from greenroom.workers.job_context import JobError, Setting
from greenroom.workers.jobs.switch_skill import run, with_skill
from tests.support.loop import on_loop

FILE = """\
# how I like it
model = "old"   # for now

[[skills.config]]
name = "one" # mine
enabled = false

[profiles.work]
model = "work-model"
"""
PATH = "/home/me/skills/two/SKILL.md"


def off(**skill: str) -> SkillsConfigWriteParams:
    return SkillsConfigWriteParams(enabled=False, **skill)


def on(**skill: str) -> SkillsConfigWriteParams:
    return SkillsConfigWriteParams(enabled=True, **skill)


def test_comments_and_other_entries_stay() -> None:
    text = with_skill(FILE, off(path=PATH))
    assert text.startswith(FILE.partition("[profiles")[0].rstrip())
    assert "[profiles.work]" in text
    assert with_skill(text, on(path=PATH)) == FILE or tomllib.loads(with_skill(text, on(path=PATH))) == tomllib.loads(
        FILE
    )
    entries = tomllib.loads(text)["skills"]["config"]
    assert entries == [{"name": "one", "enabled": False}, {"path": PATH, "enabled": False}]


def test_the_last_entry_takes_the_list_with_it() -> None:
    table = tomllib.loads(with_skill(FILE, on(name="one")))
    assert table == {"model": "old", "profiles": {"work": {"model": "work-model"}}}


@pytest.mark.parametrize(
    "text",
    [
        'skills.config = [{ name = "a", enabled = false }]',
        "[skills]\nother = 1",
        '[[skills.config]]\nname = "a"\nenabled = true\n[[skills.config]]\nname = "a"\nenabled = false',
        "",
    ],
)
def test_every_form_of_the_list_is_changed(text: str) -> None:
    once = with_skill(text, off(name="a"))
    assert tomllib.loads(once)["skills"]["config"] == [{"name": "a", "enabled": False}]
    assert "a" in disabled_skills(tomllib.loads(once)).names
    assert "a" not in disabled_skills(tomllib.loads(with_skill(once, on(name="a")))).names
    both = tomllib.loads(with_skill(once, off(name="b")))
    assert disabled_skills(both).names == {"a", "b"}


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["a", "b", "c.d", 'e"f'])), max_size=8))
def test_what_was_said_last_of_each_skill_holds(steps: list[tuple[bool, str]]) -> None:
    text = FILE
    for enabled, name in steps:
        text = with_skill(text, SkillsConfigWriteParams(enabled=enabled, name=name))
    last = {name: enabled for enabled, name in steps}
    assert disabled_skills(tomllib.loads(text)).names == {
        "one",
        *(name for name, enabled in last.items() if not enabled),
    }


@pytest.mark.parametrize("text", ["skills = 1", "skills.config = 1", "skills.config = [1]"])
def test_what_is_no_list_is_left_alone(text: str) -> None:
    with pytest.raises(JobError, match="left alone"):
        with_skill(text, off(name="a"))


@on_loop
async def test_the_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(FILE)
    result = await run(msgspec.json.encode(off(name="two")), Setting(str(tmp_path), ""))
    assert result == b'{"effectiveEnabled":false}'
    assert disabled_skills(tomllib.loads((tmp_path / "config.toml").read_text())).names == {"one", "two"}
    (tmp_path / "config.toml").write_text("no toml")
    with pytest.raises(JobError, match="is no TOML"):
        await run(msgspec.json.encode(off(name="two")), Setting(str(tmp_path), ""))
