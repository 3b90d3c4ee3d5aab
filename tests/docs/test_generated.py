"""The documentation says what the code says."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec
import pytest

from greenroom.config.tables.greenroom import GreenroomTable

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
PAGES: Final = (*ROOT.glob("*.md"), *DOCS.rglob("*.md"))

_LINK: Final = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")
_TEST: Final = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


MAKERS: Final = sorted(
    path.name for path in (ROOT / "tools" / "docs").glob("*.py") if "__main__" in path.read_text("utf-8")
)


@pytest.mark.parametrize("maker", MAKERS)
def test_what_is_made_from_the_code_is_as_it_would_be_made_now(maker: str) -> None:
    """`make docs` brings the pages up to date."""
    command = (sys.executable, ROOT / "tools" / "docs" / maker, "--check")
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    targets = [target for target in _LINK.findall(page.read_text("utf-8")) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_setting_of_our_own_is_explained_with_its_default() -> None:
    page = (DOCS / "operations.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", page, re.MULTILINE))
    fields = {field.name: field for field in msgspec.structs.fields(GreenroomTable)}
    plain = {name: field.default for name, field in fields.items() if field.default is not msgspec.NODEFAULT}
    defaults = {name: f"`{_toml(default)}`" for name, default in plain.items() if default is not None}
    assert fields.keys() <= rows.keys()
    assert {name: rows[name] for name in defaults} == defaults


@pytest.mark.parametrize("page", ["promises.md", "helpers.md"])
def test_every_test_that_a_page_names_exists(page: str) -> None:
    named = _TEST.findall((DOCS / page).read_text("utf-8"))
    assert named
    assert [f"{path}::{name}" for path, name in named if not _defines(ROOT / path, name)] == []


def test_every_process_of_ours_has_a_row_that_says_what_follows_its_death_and_its_hang_and_tests_of_it() -> None:
    page = (DOCS / "helpers.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in page.splitlines() if line[:2] == "| "]
    sources = [
        path for package in ("supervisor", "broker", "workers", "runtime") for path in (ROOT / package).rglob("*.py")
    ]
    names = {name for path in sources for name in re.findall(r'set_name\("(gr-\w+)"\)', path.read_text("utf-8"))}
    assert names >= {"gr-forkserver", "gr-broker", "gr-worker", "gr-zygote", "gr-monitor", "gr-refresh"}
    for name in names:
        assert [row for row in rows if f"`{name}`" in row[0]], name
    for row in rows[1:]:
        assert len(row) == 5, row
        assert all(row), row
        assert _TEST.search(row[4]), row


def test_every_test_that_the_page_of_model_servers_names_exists() -> None:
    page = (DOCS / "model-servers.md").read_text("utf-8")
    servers = "tests/workers/model/test_model_servers.py"
    named = {(servers, name) for name in re.findall(r"`(test_\w+)`", page)} | set(_TEST.findall(page))
    assert [f"{path}::{name}" for path, name in sorted(named) if not _defines(ROOT / path, name)] == []
    tried = re.findall(r"def (test_\w+)\(", (ROOT / servers).read_text("utf-8"))
    about_servers = [name for name in tried if (servers, name) not in named]
    assert about_servers == [
        "test_incomplete_response_is_asked_for_once",
        "test_unknown_reason_to_finish_is_asked_for_once_and_named",
    ], "the page names every other test of that file"


SERVERS: Final = (
    *("OpenAI", "Azure OpenAI", "OpenRouter", "DeepSeek", "Mistral", "Gemini", "vLLM", "llama.cpp", "Ollama"),
    *("LM Studio", "LiteLLM", "SGLang"),
)


@pytest.mark.parametrize("server", SERVERS)
def test_every_known_server_has_a_row(server: str) -> None:
    assert f"\n| {server}" in (DOCS / "model-servers.md").read_text("utf-8")


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}"


def _defines(path: Path, name: str) -> bool:
    return path.is_file() and (not name or re.search(rf"def {name}\(", path.read_text("utf-8")) is not None)
