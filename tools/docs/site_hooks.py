"""What mkdocs does beside building the pages of docs/: the pages at the top of the repository belong to the site too.

Their links lead into `docs/`, and those of the documentation out of it; on the site all are in one place. Diagrams in
the language of Mermaid would need a script of another host; where a comment above one names a picture, that is shown.
"""

import re
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
"""Of the top of the repository."""
HOME: Final = {"README.md": "index.md"}
"""Pages of the repository that have another one in their place."""

_LINK: Final = re.compile(r"(\]\()([^)\s#]+)((?:#[^)]*)?\))")
_DIAGRAM: Final = re.compile(r"<!-- picture: (\S+) -->\n(?:<!-- [^\n]* -->\n)?```mermaid\n.*?\n```\n", re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the top, and the licence."""
    for name in (*PAGES, "LICENSE"):
        files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to where pages are on the site, and show pictures in place of diagrams."""
    del config, files
    source = page.file.src_uri
    return moved(pictured(markdown), source)


def moved(markdown: str, source: str) -> str:
    """Return a page with its links as they are on the site. `source` is its place there."""
    depth = source.count("/")
    up = "../" * depth

    def link(match: re.Match[str]) -> str:
        target = match[2]
        if source in PAGES:
            target = target.removeprefix("docs/")
        elif target.startswith(f"../{up}"):
            target = up + target.removeprefix(f"../{up}")
        name = target.removeprefix(up) if up else target
        return f"{match[1]}{up + HOME[name] if name in HOME else target}{match[3]}"

    return _LINK.sub(link, markdown)


def pictured(markdown: str) -> str:
    """Return a page with pictures in place of diagrams that name one."""
    return _DIAGRAM.sub(lambda match: f"![]({match[1]})\n", markdown)
