"""Skills are found where Codex finds them, within bounds, and what is none is told with its reason."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.config.document import Table
from greenroom.config.reader import Reader
from greenroom.config.skills import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NAME,
    MAX_SKILLS,
    DisabledSkills,
    FoundSkills,
    Skill,
    SkillFault,
    disabled_skills,
    find_skills,
    read_skill,
)

TEXT = "---\nname: {name}\ndescription: About {name}.\n---\nDo it.\n"


class Places:
    """A home, a user and a project with one directory below its root."""

    def __init__(self, path: Path) -> None:
        self.home = path / "home"
        self.user = path / "user"
        self.root = path / "project"
        self.cwd = self.root / "sub"
        for folder in (self.home, self.user, self.cwd):
            folder.mkdir(parents=True)
        self.reader = Reader(str(self.home))

    def find(self, disabled: DisabledSkills | None = None) -> FoundSkills:
        directories = [str(self.root), str(self.cwd)]
        return find_skills(self.reader, str(self.user), directories, disabled or DisabledSkills())


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def save(folder: Path, name: str, text: str | bytes | None = None) -> Path:
    path = folder / name / "SKILL.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = TEXT.format(name=name) if text is None else text
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def names(found: FoundSkills) -> list[str]:
    return [f"{skill.scope} {skill.name}" for skill in found.skills]


def test_without_folders_there_are_none(places: Places) -> None:
    assert places.find() == FoundSkills()


def test_they_are_found_in_all_places_those_of_the_program_first(places: Places) -> None:
    save(places.home / "skills", "b")
    save(places.home / "skills" / "deep" / "er", "a")
    save(places.home / "skills" / ".system", "system")
    save(places.home / "skills" / ".hidden", "hidden")
    save(places.user / ".agents" / "skills", "c")
    save(places.root / ".agents" / "skills", "p")
    save(places.root / ".codex" / "skills", "q")
    save(places.cwd / ".agents" / "skills", "r")
    found = places.find()
    assert names(found) == ["system system", "repo p", "repo q", "repo r", "user a", "user b", "user c"]
    assert found.faults == ()
    assert found.enabled == found.skills


def test_a_skill_has_what_its_front_matter_says(places: Places) -> None:
    text = "---\ndescription: |\n  Many\n  lines.\nmetadata:\n  short-description: Few\n---\nbody"
    path = save(places.home / "skills", "folder", text)
    assert places.find().skills == (Skill("folder", "Many lines.", str(path), "user", "Few"),)
    assert read_skill(places.reader, str(path)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no front matter", "does not begin with front matter"),
        ("---\nname: x\n---\n", "no `description`"),
        ("---\nname: x\ndescription: ' '\n---\n", "no `description`"),
        (f"---\nname: {'n' * (MAX_NAME + 1)}\ndescription: d\n---\n", "characters"),
        ("---\nname: [x]\ndescription: d\n---\n", "`name` is not a text"),
        (b"\xff", "codec"),
        (b"x" * (MAX_BYTES + 1), "too large"),
    ],
)
def test_what_is_no_skill_is_told_and_the_others_are_found(places: Places, text: str | bytes, message: str) -> None:
    path = save(places.home / "skills", "broken", text)
    save(places.home / "skills", "sound")
    found = places.find()
    assert names(found) == ["user sound"]
    (fault,) = found.faults
    assert fault.path == str(path)
    assert message in fault.message


def test_a_file_beside_the_folders_is_no_skill(places: Places) -> None:
    (places.home / "skills").mkdir()
    (places.home / "skills" / "SKILL.md").write_text(TEXT)
    assert places.find() == FoundSkills()


def test_links_are_followed_once_and_never_to_secrets(places: Places, tmp_path: Path) -> None:
    outside = save(tmp_path / "outside", "linked")
    skills = places.home / "skills"
    save(skills, "real")
    (skills / "linked").symlink_to(outside.parent)
    (skills / "again").symlink_to(outside.parent)
    (skills / "loop").symlink_to(skills)
    (skills / "gone").symlink_to("nowhere")
    (places.root / ".agents").mkdir()
    (places.root / ".agents" / "skills").symlink_to(skills)
    secret = places.root / ".codex" / "skills" / "secret"
    secret.mkdir(parents=True)
    (places.home / "auth.json").write_text(TEXT)
    (secret / "SKILL.md").symlink_to(places.home / "auth.json")
    found = places.find()
    assert sorted(names(found)) == ["repo linked", "repo real"]
    assert found.faults == (SkillFault(str(secret / "SKILL.md"), "Permission denied: it may hold credentials"),)


def test_however_many_links_lead_to_a_folder_it_is_looked_into_once(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = save(places.home / "skills", "large").parent
    for number in range(50):
        (places.home / "skills" / f"link-{number}").symlink_to(outside)
    scandir, looked = os.scandir, list[str]()

    def counted(path: str) -> "Iterator[os.DirEntry[str]]":
        looked.append(os.path.realpath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counted)
    assert names(places.find()) == ["user large"]
    assert looked.count(str(outside)) == 1


def test_roots_that_cannot_be_seen_are_told_and_those_that_are_not_there_are_not(places: Places) -> None:
    (places.user / ".agents").symlink_to(places.user / ".agents")
    (places.root / ".agents").write_text("no folder")
    (fault,) = places.find().faults
    assert fault.path == str(places.user / ".agents" / "skills")
    assert "symbolic links" in fault.message


def test_depth_and_number_are_bounded(places: Places) -> None:
    deep = places.home / "skills"
    for level in range(MAX_DEPTH + 1):
        deep = save(deep, f"d{level}").parent
    for number in range(MAX_SKILLS + 1):
        save(places.root / ".agents" / "skills", f"s{number:03}")
    found = places.find()
    user = [skill.name for skill in found.skills if skill.scope == "user"]
    assert user == [f"d{level}" for level in range(MAX_DEPTH)]
    assert len(found.skills) == MAX_SKILLS + MAX_DEPTH
    (fault,) = found.faults
    assert f"more than {MAX_SKILLS} skills" in fault.message


def test_the_user_can_switch_skills_off(places: Places) -> None:
    by_path = save(places.home / "skills", "a")
    save(places.home / "skills", "b")
    save(places.home / "skills", "c")
    table: Table = {
        "skills": {
            "config": [
                {"path": str(by_path), "enabled": False},
                {"name": "b", "enabled": False},
                {"name": "c", "enabled": True},
                {"name": "c"},
                "c",
            ]
        }
    }
    found = places.find(disabled_skills(table))
    assert [(skill.name, skill.enabled) for skill in found.skills] == [("a", False), ("b", False), ("c", True)]
    assert [skill.name for skill in found.enabled] == ["c"]
    assert disabled_skills({"skills": {"config": [{"path": str(by_path.parent), "enabled": False}]}}).has(
        "a", str(by_path)
    )
    odd_tables: list[Table] = [{}, {"skills": 1}, {"skills": {"config": {}}}]
    for odd in odd_tables:
        assert disabled_skills(odd) == DisabledSkills()
