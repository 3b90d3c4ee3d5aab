"""Rules come from the home, and from a project that the user trusts; a broken file is told, and allows nothing."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from greenroom.config.reader import Reader
from greenroom.config.rules.rules import NO_RULES
from greenroom.config.rules.rules_files import MAX_FILES, FoundRules, find_rules
from greenroom.config.settings import ConversationOverrides

if TYPE_CHECKING:
    from tests.config.conftest import Home

ALLOW = 'prefix_rule(pattern=["ls"])\n'
FORBID = 'prefix_rule(pattern=["rm"], decision="forbidden")\n'


def save(folder: Path, **files: str | bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.rules").write_bytes(text if isinstance(text, bytes) else text.encode())


def found(home: Path, project: Path | None = None) -> FoundRules:
    return find_rules(str(home), None if project is None else str(project), Reader(str(home)))


def decisions(rules: FoundRules) -> list[str]:
    return [f"{rule.pattern[0][0]} {rule.decision}" for rule in rules.rules.prefixes]


def test_a_home_without_rules_has_none(tmp_path: Path) -> None:
    assert found(tmp_path) == FoundRules()
    save(tmp_path / "rules")
    assert found(tmp_path) == FoundRules()


def test_files_are_read_in_the_order_of_their_names_and_folders_below_are_not(tmp_path: Path) -> None:
    save(tmp_path / "rules", b=FORBID, a=ALLOW)
    save(tmp_path / "rules" / "below", c=FORBID)
    (tmp_path / "rules" / "notes.txt").write_text("no rules")
    assert decisions(found(tmp_path)) == ["ls allow", "rm forbidden"]
    assert found(tmp_path).warnings == ()


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        ("prefix_rule(", "not the syntax of rules"),
        (b"\xff", "codec"),
        (b"#" * (256 * 1024 + 1), "too large"),
        (ALLOW.encode("utf-16"), "UTF-16"),
    ],
)
def test_a_broken_file_is_told_and_until_it_is_mended_nothing_is_allowed(
    tmp_path: Path, broken: str | bytes, fault: str
) -> None:
    save(tmp_path / "rules", a=ALLOW, b=broken, c=FORBID)
    result = found(tmp_path)
    (warning,) = result.warnings
    assert warning.startswith(f"{tmp_path}/rules/b.rules cannot be used: ")
    assert fault in warning
    assert result.rules.judge(["ls"]) is None
    assert result.rules.judge(["rm", "x"]) is not None


def test_what_is_no_file_is_told_as_well(tmp_path: Path) -> None:
    save(tmp_path / "rules", a=ALLOW)
    (tmp_path / "rules" / "b.rules").mkdir()
    (tmp_path / "rules" / "c.rules").symlink_to("nowhere")
    (tmp_path / "auth.json").write_text(ALLOW)
    (tmp_path / "rules" / "d.rules").symlink_to(tmp_path / "auth.json")
    result = found(tmp_path)
    assert len(result.warnings) == 3
    assert result.rules.judge(["ls"]) is None


def test_a_folder_that_cannot_be_listed_is_told_and_allows_nothing(tmp_path: Path) -> None:
    root = tmp_path / "project"
    save(root / ".codex" / "rules", a=ALLOW)
    (tmp_path / "rules").symlink_to("rules")
    result = found(tmp_path, root)
    assert len(result.warnings) == 1
    assert (result.rules.complete, result.rules.judge(["ls"])) == (False, None)


def test_so_many_files_are_read(tmp_path: Path) -> None:
    save(tmp_path / "rules", **{f"r{number}": ALLOW for number in range(MAX_FILES)})
    result = found(tmp_path)
    assert (result.warnings, len(result.rules.prefixes)) == ((), MAX_FILES)


def test_too_many_files_are_told_and_allow_nothing(tmp_path: Path) -> None:
    save(tmp_path / "rules", **{f"r{number}": ALLOW for number in range(MAX_FILES + 1)})
    result = found(tmp_path)
    assert len(result.warnings) == 1
    assert result.rules.judge(["ls"]) is None


def test_where_files_differ_about_a_program_only_what_all_say_is_certain(tmp_path: Path) -> None:
    save(
        tmp_path / "rules",
        a='host_executable(name="git", paths=["/a/git", "/b/git"])',
        b='host_executable(name="git", paths=["/b/git", "/c/git"])',
    )
    assert found(tmp_path).rules.executables == {"git": frozenset({"/b/git"})}


@pytest.mark.parametrize(
    ("trust", "applies"),
    [
        ('[projects."{root}"]\ntrust_level = "trusted"', True),
        ('[projects."{root}/sub"]\ntrust_level = "trusted"', True),
        ('[projects."{root}"]\ntrust_level = "trusted"\n[projects."{root}/sub"]\ntrust_level = "untrusted"', False),
        ('[projects."{root}"]\ntrust_level = "untrusted"', False),
        ('[projects."{root}"]\ntrust_level = "Trusted"', False),
        ('[projects."{root}"]\ntrust_level = true', False),
        ('[projects."/"]\ntrust_level = "trusted"', False),
        ('projects = "trusted"', False),
        ("", False),
    ],
)
def test_the_rules_of_a_project_count_where_the_user_trusts_it(
    home: "Home", tmp_path: Path, trust: str, applies: bool
) -> None:
    root = tmp_path / "project"
    (root / ".git").mkdir(parents=True)
    save(root / ".codex" / "rules", a=ALLOW)
    save(root / "sub" / ".codex" / "rules", b=FORBID)
    settings = home.resolve(trust.format(root=root), overrides=ConversationOverrides(cwd=str(root / "sub")))
    assert (settings.rules.judge(["ls"]) is not None) == applies
    assert settings.rules.judge(["rm"]) is None, "commands may write there"


def test_a_linked_worktree_is_trusted_as_its_repository_is_and_a_planted_one_is_not(
    home: "Home", tmp_path: Path
) -> None:
    main, linked, planted = (tmp_path / name for name in ("main", "linked", "planted"))
    entry = main / ".git" / "worktrees" / "linked"
    entry.mkdir(parents=True)
    (entry / "commondir").write_text("../..\n")
    (entry / "gitdir").write_text(f"{linked}/.git\n")
    for root in (linked, planted):
        save(root / ".codex" / "rules", a=ALLOW)
        (root / ".git").write_text(f"gitdir: {entry}\n")
    text = f'[projects."{main}"]\ntrust_level = "trusted"'
    for root, applies in ((linked, True), (planted, False)):
        settings = home.resolve(text, overrides=ConversationOverrides(cwd=str(root)))
        assert (settings.rules.judge(["ls"]) is not None) == applies


def test_the_settings_of_a_conversation_have_the_rules_and_what_is_wrong_with_them(home: "Home") -> None:
    save(home.path / "rules", a=ALLOW, b="x")
    settings = home.resolve()
    assert settings.rules.prefixes[0].pattern == (("ls",),)
    assert "line 1: only rules" in settings.warnings[0]
    ignoring = home.resolve(cli=("greenroom.ignore_rules=true",))
    assert (ignoring.rules, ignoring.warnings) == (NO_RULES, ())
