"""The model is told of skills by name, and a message that names one brings it along."""

from pathlib import Path

import pytest

from greenroom.config.reader import Reader
from greenroom.config.skills import Skill
from greenroom.protocol.items import text_parts
from greenroom.protocol.user_messages import is_context_message
from greenroom.workers.conversation.prompt.skills import (
    LIST_BYTES,
    LONGEST_DESCRIPTION,
    MOST_MENTIONED,
    SkillMentions,
    may_mention,
    skills_text,
)


def text(content: str) -> dict[str, object]:
    return {"type": "text", "text": content}


@pytest.fixture
def skills(tmp_path: Path) -> list[Skill]:
    made = []
    for folder, name in (("a", "alpha"), ("b", "beta"), ("c", "plug:in"), ("d", "twice"), ("e", "twice")):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "SKILL.md"
        path.write_text(f"Do {name}.")
        made.append(Skill(name, f"About {name}.", str(path), "user"))
    return made


def mentioned(skills: list[Skill], *items: dict[str, object]) -> tuple[list[str], list[str]]:
    mentions = SkillMentions(items, skills, Reader("/nonexistent"))
    return ["".join(text_parts(message)) for message in mentions.messages], mentions.notes


def test_the_list_names_each_skill_with_its_file(skills: list[Skill]) -> None:
    told = skills_text(skills[:2])
    assert told is not None
    assert told.startswith("<skills_instructions>\n")
    assert told.endswith("\n</skills_instructions>")
    assert f"- alpha: About alpha. (file: {skills[0].path})\n- beta: About beta." in told
    assert skills_text([]) is None


def test_the_list_is_bounded_and_says_what_it_leaves_out() -> None:
    many = [Skill(f"s{number}", "d" * 1000, f"/skills/{number}/SKILL.md", "user") for number in range(200)]
    told = skills_text(many)
    assert told is not None
    assert len(told) < LIST_BYTES + 1000
    assert "d" * LONGEST_DESCRIPTION + "… (" in told
    shown = told.count("(file: ")
    assert f"- and {200 - shown} more" in told


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("use $alpha", ["alpha"]),
        ("($alpha), $beta.", ["alpha", "beta"]),
        ("$beta: then $alpha-", ["alpha", "beta"]),
        ("$alpha $alpha", ["alpha"]),
        ("$plug:in", ["plug:in"]),
        ("$alphabet $Alpha $alpha:x $alpha-x x$alpha $$alpha $ alpha alpha", []),
    ],
)
def test_a_message_names_skills_by_a_dollar_sign(skills: list[Skill], message: str, names: list[str]) -> None:
    messages, notes = mentioned(skills, text(message))
    paths = {skill.name: skill.path for skill in skills}
    assert messages == [
        f"<skill>\n<name>{name}</name>\n<path>{paths[name]}</path>\nDo {name}.\n</skill>" for name in names
    ]
    assert notes == []


def test_a_skill_message_is_not_taken_for_one_of_the_user(skills: list[Skill]) -> None:
    mentions = SkillMentions([text("$alpha")], skills, Reader("/nonexistent"))
    assert is_context_message(mentions.messages[0])


def test_an_item_names_a_skill_by_its_path(skills: list[Skill]) -> None:
    item: dict[str, object] = {"type": "skill", "name": "twice", "path": skills[4].path}
    folder: dict[str, object] = {"type": "skill", "name": "alpha", "path": str(Path(skills[0].path).parent)}
    unknown: dict[str, object] = {"type": "skill", "name": "x", "path": "/etc/passwd"}
    messages, _ = mentioned(skills, item, folder, unknown)
    assert [message.split("<name>")[1].split("<")[0] for message in messages] == ["alpha", "twice"]


def test_a_name_of_several_skills_adds_none_and_says_so(skills: list[Skill]) -> None:
    messages, notes = mentioned(skills, text("$twice"))
    assert messages == []
    (note,) = notes
    assert skills[3].path in note
    assert skills[4].path in note


def test_a_skill_that_is_gone_and_too_many_are_told(tmp_path: Path, skills: list[Skill]) -> None:
    Path(skills[0].path).unlink()
    messages, notes = mentioned(skills, text("$alpha $beta"))
    assert len(messages) == 1
    assert notes == [f"The skill {skills[0].path} could not be read: No such file or directory."]
    many = [Skill(f"s{number}", "d", skills[1].path, "user") for number in range(MOST_MENTIONED + 1)]
    messages, notes = mentioned(many, text(" ".join(f"$s{number}" for number in range(MOST_MENTIONED + 1))))
    assert len(messages) == MOST_MENTIONED
    assert "only" in notes[0]


def test_most_messages_need_no_look_for_skills() -> None:
    assert not may_mention([text("no mention"), {"type": "image", "image_url": "$"}])
    assert may_mention([text("a $ sign")])
    assert may_mention([{"type": "skill", "path": "/x"}])
