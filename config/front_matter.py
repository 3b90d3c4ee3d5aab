"""Reads the front matter of a Markdown file: texts between two lines `---`, in the part of YAML that people use there.

Keys with plain or quoted texts, blocks (`|`, `>`), texts that go on in indented lines, and one level of keys below a
key, which are named `above.below`. Lists and mappings in brackets are not read.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_FRONT: Final = re.compile(r"---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_ENTRY: Final = re.compile(r"([A-Za-z_][\w-]*)[ \t]*:(?:[ \t]+(.*))?")
_BLOCK: Final = re.compile(r"([|>])[+-]?[1-9]?[+-]?(?:[ \t]+#.*)?")
_COMMENT: Final = re.compile(r"(?:^|[ \t]+)#.*")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"[ \t]*(?:#.*)?', re.DOTALL)
_SINGLE: Final = re.compile(r"'((?:[^']|'')*)'[ \t]*(?:#.*)?", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}


class FrontMatterError(ValueError):
    """There is no front matter, or a value in it cannot be read."""


class FrontMatter(NamedTuple):
    """The entries, and the text after them."""

    entries: dict[str, str]
    body: str


def read_front_matter(text: str) -> FrontMatter:
    """Read the beginning of a file. A key that is given again has its last value. Raises `FrontMatterError`."""
    front = _FRONT.match(text)
    if front is None:
        raise FrontMatterError("it does not begin with front matter between two lines `---`")
    lines = front[1].splitlines()
    entries: dict[str, str] = {}
    for key, value, following in _entries(lines, 0):
        below = list(_entries(following, _indent(following))) if value == "" else []
        for inner, inner_value, rest in below:
            entries[f"{key}.{inner}"] = _text(f"{key}.{inner}", inner_value, rest)
        if not below:
            entries[key] = _text(key, value, following)
    return FrontMatter(entries, text[front.end() :])


def _entries(lines: list[str], indent: int) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the keys at a level, each with the rest of its line and the lines that belong to it."""
    key: tuple[str, str] | None = None
    following: list[str] = []
    for line in lines:
        entry = _ENTRY.fullmatch(line[indent:].rstrip()) if _depth(line) == indent else None
        if entry is not None:
            if key is not None:
                yield *key, following
            key, following = (entry[1], (entry[2] or "").strip()), []
        else:
            following.append(line)
    if key is not None:
        yield *key, following


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _indent(lines: list[str]) -> int:
    return next((_depth(line) for line in lines if line.strip() and not line.lstrip().startswith("#")), 0)


def _text(key: str, value: str, following: list[str]) -> str:
    block = _BLOCK.fullmatch(value)
    if block is not None:
        return _block(following, folded=block[1] == ">")
    joined = " ".join([value, *(line.strip() for line in following if not _COMMENT.match(line.strip()))]).strip()
    for form, quoted in (('"', _DOUBLE), ("'", _SINGLE)):
        if joined.startswith(form):
            match = quoted.fullmatch(joined)
            if match is None:
                raise FrontMatterError(f"the text of `{key}` has no closing quotation mark, or something after it")
            return _unescaped(match[1]) if form == '"' else match[1].replace("''", "'")
    if joined[:1] in ("[", "{", "&", "*", "!", "%", "@", "`") or joined.startswith("- "):
        raise FrontMatterError(f"the value of `{key}` is not a text")
    return _COMMENT.sub("", joined)


def _block(lines: list[str], *, folded: bool) -> str:
    indent = _indent(lines)
    texts = [line[indent:].rstrip() for line in lines]
    if not folded:
        return "\n".join(texts).strip("\n")
    paragraphs = re.split(r"\n{2,}", "\n".join(texts).strip("\n"))
    return "\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[1]), text)
