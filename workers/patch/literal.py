"""Literal words of shell scripts, and the output of `echo` and `printf` with such words. Free of I/O."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

WORD: Final = r"""(?:[\w%+,./:@*=-]|\\[^\n]|'[^']*'|"(?:[^"\\$`]|\\[^\n])*"|\$'(?:[^'\\]|\\.)*')+"""
"""A word that a shell takes literally, except for the quotes."""

_PART: Final = re.compile(
    r"""(?P<bare>[\w%+,./:@*=-]+)|\\(?P<escaped>[^\n])|'(?P<single>[^']*)'|"(?P<double>(?:[^"\\$`]|\\[^\n])*)\""""
    r"""|\$'(?P<coded>(?:[^'\\]|\\.)*)'""",
    re.DOTALL,
)
_WORDS: Final = re.compile(rf"[ \t]+({WORD})", re.DOTALL)
_IN_DOUBLE: Final = re.compile(r'\\(["$`\\])')
_ESCAPES: Final[Mapping[str, str]] = {"n": "\n", "t": "\t", "\\": "\\", "'": "'", '"': '"'}
_CODE: Final = re.compile(r"\\(.)", re.DOTALL)
_CODED: Final = re.compile(r"(?:[^\\]|\\.)*", re.DOTALL)
_DIRECTIVE: Final = re.compile(r"%(.?)", re.DOTALL)


def unquoted(word: str) -> str | None:
    """Return the value of a word for a shell; `None` if the word is not literal."""
    texts: list[str] = []
    for part in _PART.finditer(word):
        kind, text = str(part.lastgroup), part[str(part.lastgroup)]
        if kind == "bare" and "*" in text:
            return None
        if kind == "double":
            text = _IN_DOUBLE.sub(r"\1", text)
        elif kind == "coded":
            decoded = _decoded(text)
            if decoded is None:
                return None
            text = decoded
        texts.append(text)
    return "".join(texts)


def words(text: str) -> list[str] | None:
    """Return the words of a text, each preceded by blanks; `None` if one is not literal."""
    found = [unquoted(word) for word in _WORDS.findall(text)]
    known = [word for word in found if word is not None]
    return known if len(known) == len(found) else None


def printed(program: str, arguments: Sequence[str]) -> str | None:
    """Return the output of `echo` or `printf`, `None` if it cannot be determined simply."""
    return _echoed(list(arguments)) if program == "echo" else _formatted(list(arguments))


def _echoed(arguments: list[str]) -> str | None:
    coded = False
    while arguments and re.fullmatch(r"-[neE]+", arguments[0]):
        coded = "e" in arguments.pop(0)
    text = " ".join(arguments)
    return _decoded(text) if coded else text


def _formatted(arguments: list[str]) -> str | None:
    if arguments[:1] == ["--"]:
        del arguments[0]
    if not arguments or arguments[0].startswith("-"):
        return None
    form, *values = arguments
    template = _decoded(form)
    if template is None or any(kind not in ("s", "%") for kind in _DIRECTIVE.findall(template)):
        return None
    places = template.replace("%%", "").count("%s")
    if not places:
        return None if values else template.replace("%%", "%")
    rounds = [values[start : start + places] for start in range(0, len(values), places)] or [[]]
    return "".join(_filled(template, iter(one)) for one in rounds)


def _filled(template: str, values: Iterator[str]) -> str:
    return _DIRECTIVE.sub(lambda found: "%" if found[1] == "%" else next(values, ""), template)


def _decoded(text: str) -> str | None:
    """Interpret the escapes of `$'…'`, `echo -e` and `printf`; `None` if there is an uncommon one."""
    if not _CODED.fullmatch(text) or any(code not in _ESCAPES for code in _CODE.findall(text)):
        return None
    return _CODE.sub(lambda found: _ESCAPES[found[1]], text)
