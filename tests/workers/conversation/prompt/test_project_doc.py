"""AGENTS.md: the right files in the right order, within the budget, and no bad file hides the good ones."""

import os
from pathlib import Path

import pytest

from greenroom.config.reader import Reader
from greenroom.workers.conversation.prompt.project_doc import (
    SEPARATOR,
    ProjectDoc,
    Search,
    project_directories,
    read_project_doc,
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    directory = tmp_path / "home"
    directory.mkdir()
    return directory


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with two nested directories, inside a directory that has a file of its own."""
    root = tmp_path / "outside" / "shop"
    (root / ".git").mkdir(parents=True)
    (root / "src" / "cart").mkdir(parents=True)
    (root.parent / "AGENTS.md").write_text("outside")
    return root


def read(home: Path, cwd: Path, search: Search | None = None, markers: tuple[str, ...] = (".git",)) -> ProjectDoc:
    return read_project_doc(Reader(str(home)), str(home), project_directories(str(cwd), markers), search)


def test_nothing_is_found_where_nothing_is(home: Path, project: Path) -> None:
    assert read(home, project) == ProjectDoc()


def test_files_are_joined_from_the_root_downwards(home: Path, project: Path) -> None:
    (home / "AGENTS.md").write_text("\nhome\n")
    (project / "AGENTS.md").write_text("root\n")
    (project / "src" / "cart" / "AGENTS.md").write_text("cart")
    doc = read(home, project / "src" / "cart")
    assert doc.text == f"home{SEPARATOR}root\n\n\ncart"
    paths = (home, project, project / "src" / "cart")
    assert doc.sources == tuple(str(path / "AGENTS.md") for path in paths)
    assert doc.notes == ()


def test_home_alone_and_project_alone_need_no_separator(home: Path, project: Path) -> None:
    (home / "AGENTS.md").write_text("home")
    assert read(home, project).text == "home"
    (home / "AGENTS.md").unlink()
    (project / "AGENTS.md").write_text("root")
    assert read(home, project).text == "root"


def test_override_takes_the_place_of_its_neighbour(home: Path, project: Path) -> None:
    for directory in (home, project):
        (directory / "AGENTS.md").write_text("usual")
        (directory / "AGENTS.override.md").write_text("override")
    assert read(home, project).text == f"override{SEPARATOR}override"


def test_empty_override_of_the_home_does_not_count(home: Path, project: Path) -> None:
    (home / "AGENTS.override.md").write_text(" \n")
    (home / "AGENTS.md").write_text("usual")
    assert read(home, project).text == "usual"


def test_fallback_names_are_tried_last(home: Path, project: Path) -> None:
    (project / "NOTES.md").write_text("other")
    (project / "src" / "NOTES.md").write_text("not this")
    (project / "src" / "AGENTS.md").write_text("src")
    search = Search(fallback_names=("", "HINTS.md", "NOTES.md"))
    assert read(home, project / "src", search).text == "other\n\nsrc"


def test_root_is_the_nearest_directory_with_a_marker(home: Path, project: Path) -> None:
    (project / "AGENTS.md").write_text("root")
    (project / "src" / ".git").write_text("gitdir: elsewhere")
    (project / "src" / "AGENTS.md").write_text("src")
    assert read(home, project / "src" / "cart").text == "src"


def test_markers_can_be_chosen(home: Path, project: Path) -> None:
    (project / "AGENTS.md").write_text("root")
    (project.parent / "WORKSPACE").touch()
    assert read(home, project, markers=("WORKSPACE",)).text == "outside\n\nroot"


@pytest.mark.parametrize("markers", [(), ("",), ("no-such-marker",)])
def test_without_a_root_only_the_directory_counts(home: Path, project: Path, markers: tuple[str, ...]) -> None:
    (project / "AGENTS.md").write_text("root")
    (project / "src" / "AGENTS.md").write_text("src")
    assert read(home, project / "src", markers=markers).text == "src"


def test_symbolic_links_are_followed(home: Path, project: Path, tmp_path: Path) -> None:
    (tmp_path / "shared.md").write_text("shared")
    (project / "AGENTS.md").symlink_to(tmp_path / "shared.md")
    (tmp_path / "way-in").symlink_to(project / "src")
    assert read(home, tmp_path / "way-in").text == "shared"


def test_budget_is_shared_and_the_last_file_is_cut(home: Path, project: Path) -> None:
    (home / "AGENTS.md").write_text("h" * 100)
    (project / "AGENTS.md").write_text("12345")
    (project / "src" / "AGENTS.md").write_text("67890")
    (project / "src" / "cart" / "AGENTS.md").write_text("never")
    doc = read(home, project / "src" / "cart", Search(max_bytes=8))
    assert doc.text == "h" * 100 + SEPARATOR + "12345\n\n678"
    assert [note.partition(":")[0] for note in doc.notes] == [
        f"{project / 'src' / 'AGENTS.md'} is cut after 3 bytes",
        f"{project / 'src' / 'cart' / 'AGENTS.md'} is left out",
    ]


def test_file_that_just_fits_is_not_cut(home: Path, project: Path) -> None:
    (project / "AGENTS.md").write_text("12345")
    assert read(home, project, Search(max_bytes=5)) == ProjectDoc("12345", (str(project / "AGENTS.md"),))


def test_cut_does_not_break_a_character(home: Path, project: Path) -> None:
    (project / "AGENTS.md").write_text("aé")
    assert read(home, project, Search(max_bytes=2)).text == "a"


def test_no_budget_reads_no_project_file(home: Path, project: Path) -> None:
    (home / "AGENTS.md").write_text("home")
    (project / "AGENTS.md").write_text("root")
    assert read(home, project, Search(max_bytes=0)) == ProjectDoc("home", (str(home / "AGENTS.md"),))


def test_blank_file_costs_nothing(home: Path, project: Path) -> None:
    (project / "AGENTS.md").write_text("\n" * 50)
    (project / "src" / "AGENTS.md").write_text("src")
    assert read(home, project / "src", Search(max_bytes=3)) == ProjectDoc("src", (str(project / "src" / "AGENTS.md"),))


def test_bad_bytes_are_replaced_and_a_mark_is_dropped(home: Path, project: Path) -> None:
    (project / "AGENTS.md").write_bytes(b"\xef\xbb\xbfa\xffb")
    assert read(home, project).text == "a\ufffdb"


def test_what_is_no_file_is_passed_over(home: Path, project: Path) -> None:
    (home / "AGENTS.override.md").mkdir()
    (home / "AGENTS.md").write_text("home")
    os.mkfifo(project / "AGENTS.override.md")
    (project / "AGENTS.md").write_text("root")
    (project / "src" / "AGENTS.md").symlink_to("nowhere")
    doc = read(home, project / "src")
    assert (doc.text, doc.sources) == (f"home{SEPARATOR}root", (str(home / "AGENTS.md"), str(project / "AGENTS.md")))
    assert doc.notes == (
        f"{home / 'AGENTS.override.md'} could not be read: Is a directory.",
        f"{project / 'AGENTS.override.md'} could not be read: Not a regular file.",
    )


def test_unreadable_file_is_named_and_hides_no_other(home: Path, project: Path) -> None:
    (project / "AGENTS.md").write_text("root")
    (project / "src" / "AGENTS.override.md").symlink_to("AGENTS.override.md")  # a loop, unreadable also for root
    (project / "src" / "AGENTS.md").write_text("src")
    doc = read(home, project / "src")
    assert doc.text == "root\n\nsrc"
    (note,) = doc.notes
    assert note.startswith(f"{project / 'src' / 'AGENTS.override.md'} could not be read: ")


def test_directory_that_does_not_exist_has_no_files(home: Path, project: Path) -> None:
    (project / "AGENTS.md").write_text("root")
    assert read(home / "no", project / "gone").text == "root"
