"""Promises of the profile for macOS, as text. Whether the platform takes it has NOT been tried."""

import re

from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.sandbox.confinement import Confinement, Hidden
from greenroom.workers.sandbox.rules.seatbelt import profile, seatbelt_command

USUAL = Confinement(
    writable=("/Users/ada/shop", "/private/tmp"),
    protected=("/Users/ada/shop/.git", "/Users/ada/.codex"),
    hidden=(Hidden("/Users/ada/.codex", ("auth.json*", ".env")), Hidden("/private/tmp/greenroom")),
    network=False,
)
ANY_PATH = st.text(min_size=1, max_size=20).map(lambda text: "/" + text.replace("/", "").replace("\0", ""))


def test_command_runs_through_the_sandbox_program() -> None:
    assert seatbelt_command(["ls", "-l"], USUAL) == ["/usr/bin/sandbox-exec", "-p", profile(USUAL), "--", "ls", "-l"]


def test_everything_is_refused_unless_allowed() -> None:
    assert profile(USUAL).startswith("(version 1)\n(deny default)\n")


def test_protected_places_are_refused_after_their_roots_are_allowed() -> None:
    lines = profile(USUAL).splitlines()
    allowed = lines.index('(allow file-write* (subpath "/Users/ada/shop"))')
    refused = lines.index('(deny file-write* (subpath "/Users/ada/shop/.git"))')
    assert allowed < refused
    assert '(deny file-write-unlink (literal "/Users/ada/shop"))' in lines


def test_credentials_come_last_and_cover_later_names() -> None:
    lines = profile(USUAL).splitlines()
    pattern = re.search(r'#"(.*)"', lines[-2])
    assert pattern is not None
    assert lines[-2].startswith("(deny file-read* file-write* (regex")
    for path in ("auth.json", "auth.json.7.tmp", ".env"):
        assert re.match(pattern[1], f"/Users/ada/.codex/{path}")
    for path in ("config.toml", ".envrc", "sub/auth.json"):
        assert not re.match(pattern[1], f"/Users/ada/.codex/{path}")


def test_network_is_allowed_only_where_it_is_on() -> None:
    online = Confinement(writable=("/w",), protected=(), hidden=(), network=True)
    assert "network-outbound (remote ip)" in profile(online)
    assert "unix" not in profile(online)
    assert "network" not in profile(USUAL)


@given(ANY_PATH)
def test_no_path_breaks_out_of_its_quotes(path: str) -> None:
    text = profile(Confinement(writable=(path,), protected=(), hidden=(), network=False))
    without_strings = re.sub(r'"(?:[^"\\]|\\.)*"', "", text, flags=re.DOTALL)
    assert '"' not in without_strings
    assert without_strings.count("(") == without_strings.count(")")
