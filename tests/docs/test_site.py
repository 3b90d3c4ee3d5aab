"""The documentation builds as a site without a warning, and a page of it asks nothing of another host."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pytest

from tests.docs.test_generated import DOCS, ROOT

TEXT: Final = (ROOT / "mkdocs.yml").read_text("utf-8")
NAMED: Final = re.findall(r"^ +- [^:\n]+: (\S+\.md)$", TEXT, re.MULTILINE)
TOP: Final = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")


def test_every_page_of_the_navigation_is_there_once() -> None:
    assert len(NAMED) == len(set(NAMED)) > 30
    assert [name for name in NAMED if not (DOCS / name).is_file() and name not in TOP] == []
    assert [name for name in TOP if name not in NAMED or not (ROOT / name).is_file()] == []
    pages = [str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")]
    assert [name for name in pages if name not in NAMED and not name.startswith("decisions/")] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        (sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)),
        cwd=ROOT,
        env={
            **os.environ,
            "NO_MKDOCS_2_WARNING": "1",
            "http_proxy": "http://127.0.0.1:9",
            "https_proxy": "http://127.0.0.1:9",
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return target


class Loaded(HTMLParser):
    """The addresses that a page loads by itself, and what is said in scripts of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.diagrams = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.diagrams += "mermaid" in known.get("class", "").split()
        if tag != "a" and not (tag == "link" and known.get("rel") in ("canonical", "prev", "next")):
            self.addresses += [known[name] for name in ("src", "href", "srcset", "data", "poster") if name in known]


@pytest.mark.timeout(120)
def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(NAMED)
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text("utf-8"))
        foreign = [address for address in loaded.addresses if re.match(r"(?:\w+:)?//", address)]
        assert foreign == [], page.name
        assert loaded.diagrams == 0, f"{page.name} would load a script for diagrams"


@pytest.mark.timeout(120)
def test_no_style_and_no_picture_loads_anything_from_another_host(site: Path) -> None:
    for path in (*site.rglob("*.css"), *site.rglob("*.svg")):
        text = path.read_text("utf-8")
        assert re.findall(r"""(?:url\(["']?|@import ["'])(?:https?:)?//""", text) == [], path.name


@pytest.mark.timeout(120)
def test_what_is_loaded_is_there(site: Path) -> None:
    missing = set()
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # its addresses begin at the root of the server
            continue
        loaded = Loaded()
        loaded.feed(page.read_text("utf-8"))
        local = [address.partition("#")[0].partition("?")[0] for address in loaded.addresses]
        missing |= {name for name in local if name and ":" not in name and not (page.parent / name).exists()}
    assert missing == set()


@pytest.mark.timeout(120)
def test_the_pages_at_the_top_of_the_repository_are_on_it(site: Path) -> None:
    for name in TOP:
        assert (site / name.replace(".md", ".html")).is_file()
    assert 'href="threat-model.html"' in (site / "SECURITY.html").read_text("utf-8")
    assert 'href="SECURITY.html"' in (site / "status.html").read_text("utf-8")
