"""Reads a `.rules` file: calls of `prefix_rule`, `host_executable` and `network_rule` with literal arguments.

The files are written in Starlark, whose syntax is one of Python's for what is read here: strings, lists, `+`, and names
that were given a value above. Everything else is rejected with its line. Nothing is executed.
"""

import ast
import io
import os
import shlex
import tokenize
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias, cast

import msgspec

from greenroom.config.rules.rules import STRICTNESS, Pattern, PrefixRule, RuleDecision, Rules

MAX_BYTES: Final = 256 * 1024
"""Bytes of the largest file that is read."""
MAX_WORDS: Final = 65_536
"""Words that the values of one file may have in all."""

_Value: TypeAlias = "str | list[_Value] | None"

_PROTOCOLS: Final = frozenset({"http", "https", "https_connect", "socks5_tcp", "socks5_udp"})
_NETWORK_DECISIONS: Final = frozenset({"allow", "prompt", "deny", "forbidden"})
_ESCAPES: Final = frozenset("abfnrtv01234567xuU\\'\"\n\r")
_BLANK: Final = frozenset({tokenize.NL, tokenize.COMMENT})


class RulesError(ValueError):
    """A file is not understood. `line` is counted from 1."""

    def __init__(self, line: int, fault: str) -> None:
        super().__init__(f"line {line}: {fault}")
        self.line = line


def parse_rules(text: str) -> Rules:
    """Return the rules of a file. Raises `RulesError`."""
    fault = _odd_strings(text)
    if isinstance(fault, RulesError):
        raise fault
    try:
        tree = ast.parse(text)
        if fault is not None:
            raise fault
        return _File().read(tree)
    except SyntaxError as error:
        raise RulesError(error.lineno or 1, f"not the syntax of rules: {error.msg}") from None
    except (RecursionError, MemoryError):
        raise RulesError(1, "not the syntax of rules: it is nested too deeply") from None


def _odd_strings(text: str) -> "RulesError | SyntaxError | None":
    """Find strings that Starlark reads differently: unknown escapes, and two without a comma in between."""
    after_string = False
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.STRING:
                if after_string:
                    return RulesError(token.start[0], "two strings without a comma in between")
                _check_escapes(token)
            after_string = token.type == tokenize.STRING or (after_string and token.type in _BLANK)
    except RulesError as error:
        return error
    except tokenize.TokenError as error:
        return SyntaxError(str(error.args[0]), ("", error.args[1][0], None, None))
    except SyntaxError as error:
        return error
    return None


def _check_escapes(token: tokenize.TokenInfo) -> None:
    prefix = token.string[: token.string.index(token.string[-1])].lower()
    if prefix not in ("", "r"):
        raise RulesError(token.start[0], f"a string with the prefix `{prefix}`")
    escapes = iter(token.string if prefix == "" else "")
    for character in escapes:
        if character == "\\" and (escaped := next(escapes, "")) not in _ESCAPES:
            raise RulesError(token.start[0], f"unknown escape `\\{escaped}` in a string")


class _File:
    """One file as far as it has been read."""

    def __init__(self) -> None:
        self._names: dict[str, _Value] = {}
        self._rules: list[tuple[int, PrefixRule, Sequence[_Value], Sequence[_Value]]] = []
        self._executables: dict[str, frozenset[str]] = {}
        self._words = 0

    def read(self, tree: ast.Module) -> Rules:
        for statement in tree.body:
            match statement:
                case ast.Expr(value=ast.Call() as call):
                    self._call(call)
                case ast.Expr(value=ast.Constant(value=str())):
                    pass
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self._names[name] = self._value(value)
                case _:
                    raise RulesError(statement.lineno, "only rules, and names for literal values, are read here")
        rules = Rules(tuple(rule for _, rule, _, _ in self._rules), self._executables)
        for line, rule, matching, other in self._rules:
            self._verify(line, rule, matching, other)
        return rules

    def _call(self, call: ast.Call) -> None:
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        if name not in _PARAMETERS:
            raise RulesError(call.lineno, f"`{ast.unparse(call.func)[:60]}` is no rule")
        read: Callable[[_File, int, Mapping[str, _Value]], None] = _READERS[name]
        read(self, call.lineno, self._arguments(name, call))

    def _arguments(self, name: str, call: ast.Call) -> Mapping[str, _Value]:
        parameters = _PARAMETERS[name]
        if len(call.args) > 2:
            raise RulesError(call.lineno, f"`{name}` takes its arguments by name")
        given = dict(zip(parameters, map(self._value, call.args), strict=False))
        for keyword in call.keywords:
            if keyword.arg not in parameters or keyword.arg in given:
                raise RulesError(keyword.value.lineno, f"`{name}` takes no argument `{keyword.arg or '**'}` here")
            given[keyword.arg] = self._value(keyword.value)
        return {key: value for key, value in given.items() if value is not None}

    def _value(self, node: ast.expr) -> _Value:
        match node:
            case ast.Constant(value=str() | None as value):
                self._count(node, 1)
                return value
            case ast.List(elts=elements):
                return [self._value(element) for element in elements]
            case ast.Name(id=name) if name in self._names:
                return self._counted(node, self._names[name])
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._sum(node, self._value(left), self._value(right))
            case _:
                raise RulesError(node.lineno, f"`{ast.unparse(node)[:60]}` is no literal value")

    def _sum(self, node: ast.expr, left: _Value, right: _Value) -> _Value:
        if isinstance(left, str) and isinstance(right, str):
            if len(left) + len(right) > MAX_BYTES:
                raise RulesError(node.lineno, "a string is too long")
            return left + right
        if isinstance(left, list) and isinstance(right, list):
            return [*left, *right]
        raise RulesError(node.lineno, "only two strings or two lists can be added")

    def _counted(self, node: ast.expr, value: _Value) -> _Value:
        self._count(node, _weight(value))
        return value

    def _count(self, node: ast.expr, words: int) -> None:
        self._words += words
        if self._words > MAX_WORDS:
            raise RulesError(node.lineno, f"the file has more than {MAX_WORDS} words")

    def prefix_rule(self, line: int, given: Mapping[str, _Value]) -> None:
        rule = PrefixRule(
            _pattern(line, given.get("pattern")),
            cast("RuleDecision", _one_of(line, "decision", given.get("decision", "allow"), STRICTNESS)),
            _justification(line, given),
        )
        examples = [_list(line, key, given.get(key, [])) for key in ("match", "not_match")]
        self._rules.append((line, rule, examples[0], examples[1]))

    def host_executable(self, line: int, given: Mapping[str, _Value]) -> None:
        name = given.get("name")
        if not isinstance(name, str) or not name or name != os.path.basename(name):
            raise RulesError(line, "`name` has to be the name of a program, without a directory")
        paths = _strings(line, "paths", given.get("paths", []))
        for path in paths:
            if not os.path.isabs(path) or os.path.basename(path) != name:
                raise RulesError(line, f"`{path}` is not an absolute path of a program `{name}`")
        self._executables[name] = frozenset(paths)

    def network_rule(self, line: int, given: Mapping[str, _Value]) -> None:
        """Check a rule about connections. It has no effect: the sandbox does not tell hosts apart."""
        host = given.get("host")
        if not isinstance(host, str) or not host.strip() or "*" in host:
            raise RulesError(line, "`host` has to be one host, without wildcards")
        _one_of(line, "protocol", given.get("protocol"), _PROTOCOLS)
        _one_of(line, "decision", given.get("decision"), _NETWORK_DECISIONS)
        _justification(line, given)

    def _verify(self, line: int, rule: PrefixRule, matching: Sequence[_Value], other: Sequence[_Value]) -> None:
        """Check the examples of a rule; where a program lies counts only for what it is said not to match."""
        widely = Rules((msgspec.structs.replace(rule, decision="forbidden"),), self._executables)
        for example in matching:
            if widely.judge(_words(line, example)) is None:
                raise RulesError(line, f"the example `{_shown(example)}` in `match` is not matched by the rule")
        narrowly = Rules((msgspec.structs.replace(rule, decision="allow"),), self._executables)
        for example in other:
            if narrowly.judge(_words(line, example)) is not None:
                raise RulesError(line, f"the example `{_shown(example)}` in `not_match` is matched by the rule")


_PARAMETERS: Final[Mapping[str, tuple[str, ...]]] = {
    "prefix_rule": ("pattern", "decision", "match", "not_match", "justification"),
    "host_executable": ("name", "paths"),
    "network_rule": ("host", "protocol", "decision", "justification"),
}
_READERS: Final[Mapping[str, Callable[[_File, int, Mapping[str, _Value]], None]]] = {
    "prefix_rule": _File.prefix_rule,
    "host_executable": _File.host_executable,
    "network_rule": _File.network_rule,
}


def _weight(value: _Value) -> int:
    return sum(map(_weight, value)) + 1 if isinstance(value, list) else 1


def _pattern(line: int, value: _Value) -> Pattern:
    elements = _list(line, "pattern", value)
    if not elements:
        raise RulesError(line, "`pattern` must not be empty")
    pattern = tuple(
        (element,) if isinstance(element, str) else tuple(_strings(line, "pattern", element)) for element in elements
    )
    if not all(pattern):
        raise RulesError(line, "a list of alternatives in `pattern` must not be empty")
    return pattern


def _justification(line: int, given: Mapping[str, _Value]) -> str | None:
    text = given.get("justification")
    if text is None or (isinstance(text, str) and text.strip()):
        return text
    raise RulesError(line, "`justification` has to be a text that is not blank")


def _one_of(line: int, key: str, value: _Value, known: "Mapping[RuleDecision, int] | frozenset[str]") -> str:
    if isinstance(value, str) and value in known:
        return value
    raise RulesError(line, f"`{key}` has to be one of {', '.join(f'`{name}`' for name in sorted(known))}")


def _list(line: int, key: str, value: _Value) -> list[_Value]:
    if isinstance(value, list):
        return value
    raise RulesError(line, f"`{key}` has to be a list")


def _strings(line: int, key: str, value: _Value) -> list[str]:
    words = [word for word in _list(line, key, value) if isinstance(word, str)]
    if len(words) != len(value or ()):
        raise RulesError(line, f"`{key}` may contain only strings here")
    return words


def _words(line: int, example: _Value) -> list[str]:
    if isinstance(example, str):
        try:
            words = shlex.split(example)
        except ValueError:
            raise RulesError(line, f"the example `{example}` is not what a shell could read") from None
    else:
        words = _strings(line, "match", example)
    if not words:
        raise RulesError(line, "an example must not be empty")
    return words


def _shown(example: _Value) -> str:
    return example if isinstance(example, str) else " ".join(map(str, example or ()))
