"""Words of a shell script that stand for their own text, and what `echo` and `printf` make of them; free of I/O."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

WORD: Final = r"""(?:[\w%+,./:@*=-]|\\[^\n]|'[^']*'|"(?:[^"\\$`]|\\[^\n])*"|\$'(?:[^'\\]|\\.)*')+"""
"""A word that a shell takes as it stands, but for the quotes."""

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
    """Return what a shell makes of a word; `None` where it stands for something else than its text."""
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


def split_words(text: str) -> list[str] | None:
    """Return the words of a text, each with blanks before it; `None` where one stands for something else."""
    found = [unquoted(word) for word in _WORDS.findall(text)]
    known = [word for word in found if word is not None]
    return known if len(known) == len(found) else None


def printed(program: str, arguments: Sequence[str]) -> str | None:
    """Return what `echo` or `printf` prints, `None` where that is not plain."""
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
    """Undo the escapes of `$'…'`, `echo -e` and `printf`; `None` where one is none of the usual."""
    if not _CODED.fullmatch(text) or any(code not in _ESCAPES for code in _CODE.findall(text)):
        return None
    return _CODE.sub(lambda found: _ESCAPES[found[1]], text)
