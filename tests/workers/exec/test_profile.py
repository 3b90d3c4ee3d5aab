"""What a profile does is told from what shells print, and from nothing else they print."""

from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.exec.profile import LARGEST_ENVIRONMENT, LARGEST_VARIABLE, MARKER, ProfileEffect, effect

STATE = b"/work\n0022\nset +o errexit\nshopt -u dotglob\n"
NAMES = st.text("ABCXYZ_", min_size=1, max_size=4).filter(lambda name: name != "_")
VARIABLES = st.dictionaries(
    NAMES, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)
)


def login(variables: dict[str, str], noise: bytes = b"", state: bytes = STATE) -> bytes:
    printed = b"".join(f"{name}={value}\0".encode() for name, value in variables.items())
    return noise + MARKER + state + b"shopt -s login_shell\n\0" + (printed or b"\0")


def plain(state: bytes = STATE) -> bytes:
    return state + b"shopt -u login_shell\n"


@given(before=VARIABLES, after=VARIABLES.filter(bool), noise=st.binary(max_size=30))
def test_the_effect_on_the_same_environment_is_what_the_profile_left(
    before: dict[str, str], after: dict[str, str], noise: bytes
) -> None:
    found = effect(before, plain(), login(after, noise))
    assert found is not None
    assert found.on(before, lambda _: False) == after
    assert found.on(before, lambda _: True) == before


def test_what_each_shell_sets_for_itself_is_no_effect() -> None:
    own = {"_": "/usr/bin/env", "SHLVL": "1", "PWD": "/work", "OLDPWD": "/"}
    assert effect({"A": "1", "SHLVL": "0", "OLDPWD": "x"}, plain(), login({"A": "1", **own})) == ProfileEffect(
        {}, frozenset()
    )


def test_nothing_stands_for_a_profile_that_leaves_more_than_an_environment() -> None:
    assert effect({}, plain(), login({"A": "1"}, state=STATE.replace(b"0022", b"0077"))) is None
    assert effect({}, plain(), login({"A": "1"}, state=STATE.replace(b"/work", b"/home"))) is None


def test_what_was_cut_or_never_came_is_no_effect() -> None:
    whole = login({"A": "1"})
    assert effect({}, plain(), b"") is None
    assert effect({}, plain(), MARKER) is None
    assert effect({}, plain(), whole[:-1]) is None
    assert effect({}, plain(), whole.replace(MARKER, b"")) is None
    assert effect({}, plain(), login({"A": "1" * LARGEST_ENVIRONMENT})) is None
    assert effect({}, plain(), login({"A": "1" * LARGEST_VARIABLE})) is None
