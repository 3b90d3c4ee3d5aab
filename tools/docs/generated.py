"""A page of the documentation that is generated from the code, as a whole or in parts."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class GeneratedPage:
    """The generated parts of one page."""

    path: Path
    end: str = ""
    """The line after each part."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """Each part by the line before it."""

    def bring_up_to_date(self, arguments: Sequence[str]) -> int:
        """Write the page and return 0; with `--check` among `arguments` only return 1 if it is out of date.

        Raises `ValueError` if the page does not have the lines around a part.
        """
        return self.replace(self._with_parts(self.path.read_text("utf-8")), arguments)

    def replace(self, wanted: str, arguments: Sequence[str]) -> int:
        """Write the whole page and return 0; with `--check` only return 1 where the page differs from `wanted`."""
        if "--check" not in arguments:
            self.path.write_text(wanted, "utf-8")
        elif self.path.read_text("utf-8") != wanted:
            sys.stderr.write(f"docs/{self.path.name} does not say what the code says; run: make docs\n")
            return 1
        return 0

    def _with_parts(self, page: str) -> str:
        for begin, part in self.parts.items():
            before, found, rest = page.partition(begin)
            _, end, after = rest.partition(self.end)
            if not (found and end):
                raise ValueError(f"{self.path.name} has no lines {begin.strip()} and {self.end.strip()}")
            page = before + begin + part + end + after
        return page
