"""The page about HTTP explains every setting with its default."""

import re
from collections.abc import Sequence

import msgspec

from greenroom.config.tables.http import HttpTable
from tests.docs.test_generated import DOCS


def test_every_setting_of_http_is_explained_with_its_default() -> None:
    page = (DOCS / "http.md").read_text("utf-8").partition("\n## Settings\n")[2]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", page, re.MULTILINE))
    fields = {field.name: _shown(field.default) for field in msgspec.structs.fields(HttpTable)}
    assert rows == fields


def _shown(default: object) -> str:
    if default is None:
        return "none"
    if isinstance(default, Sequence):
        return "`[]`"
    assert isinstance(default, int | float)
    return f"`{default:g}`"
