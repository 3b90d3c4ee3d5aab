"""A patch reaches its function under every name and in every wrapping that models use."""

import json
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.patch.interception import PatchCall
from greenroom.workers.tools.patch_text import NAMES, read_patch, unwrapped
from greenroom.workers.tools.types import ToolFailure

PATCH = "*** Begin Patch\n*** Add File: n\n+it's `$x`\n*** End Patch"
DOCUMENT = f"<<'EOF'\n{PATCH}\nEOF"
REFUSAL = re.compile(r"^(failed to parse function arguments|apply_patch was not run): ")
WRAPPINGS: dict[str, Callable[[str], str]] = {
    "nothing": str,
    "blanks": "\n{}\n".format,
    "fence": "```\n{}\n```".format,
    "fence with a language": "```diff\n{}\n```\n".format,
    "here-document": "<<'EOF'\n{}\nEOF".format,
    "here-document of another name": "<<'PATCH'\n{}\nPATCH\n".format,
    "command": "apply_patch <<'EOF'\n{}\nEOF".format,
    "pipe": "cat <<'EOF' | apply_patch\n{}\nEOF".format,
    "name": "apply_patch\n{}".format,
    "fenced command": "```bash\napply_patch <<'EOF'\n{}\nEOF\n```".format,
    "command with a fence": "apply_patch <<'EOF'\n```\n{}\n```\nEOF".format,
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrapping", WRAPPINGS.values(), ids=WRAPPINGS)
def test_patch_is_found_under_every_name_and_in_every_wrapping(name: str, wrapping: Callable[[str], str]) -> None:
    for value in (
        wrapping(PATCH),
        [wrapping(PATCH)],
        ["apply_patch", PATCH],
        ["bash", "-lc", f"apply_patch {DOCUMENT}"],
    ):
        call = read_patch(json.dumps({name: value}))
        assert (call.body.strip(), call.directory) == (PATCH, None)


@pytest.mark.parametrize("wrapping", WRAPPINGS.values(), ids=WRAPPINGS)
def test_arguments_may_be_the_patch_itself(wrapping: Callable[[str], str]) -> None:
    assert read_patch(wrapping(PATCH)).body.strip() == PATCH


def test_arguments_may_be_written_as_a_text_once_more() -> None:
    assert read_patch(json.dumps(json.dumps({"input": PATCH}))) == PatchCall(PATCH)


def test_patch_may_be_a_list_of_its_lines() -> None:
    assert read_patch(json.dumps({"input": PATCH.split("\n")})) == PatchCall(PATCH)


def test_directory_is_entered() -> None:
    call = read_patch(json.dumps({"command": ["bash", "-lc", f"cd sub && apply_patch {DOCUMENT}"]}))
    assert call == PatchCall(PATCH, "sub")


def test_same_patch_under_two_names_is_one() -> None:
    assert read_patch(json.dumps({"input": PATCH, "patch": PATCH})) == PatchCall(PATCH)


@pytest.mark.parametrize(
    "arguments",
    ["", "{", "ls", "[]", "5", '"ls"', "{}", '{"input": ""}', '{"input": 5}', '{"input": {"x": 1}}', '{"input": [1]}',
     '{"command": ["ls", "-l"]}', '{"input": "apply_patch < file"}', '{"input": "a", "patch": "b"}'],
)  # fmt: skip
def test_what_holds_no_patch_is_told(arguments: str) -> None:
    with pytest.raises(ToolFailure, match=REFUSAL):
        read_patch(arguments)


PIECES = st.sampled_from(
    [
        "*** Begin Patch\n",
        "*** End Patch\n",
        "+a\n",
        "```\n",
        "~~~",
        "apply_patch ",
        "<<'EOF'\n",
        "EOF\n",
        "cd x && ",
        "'",
        '"',
    ]
)


@given(st.text(max_size=60) | st.lists(PIECES | st.text(max_size=3)).map("".join))
def test_any_text_holds_a_patch_of_its_own_characters_or_is_refused_in_words(text: str) -> None:
    for arguments in (json.dumps({"input": text}), json.dumps({"command": ["apply_patch", text]})):
        try:
            call = read_patch(arguments)
        except ToolFailure as failure:
            assert REFUSAL.match(str(failure))
        else:
            rest = iter(text)
            assert all(character in rest for character in call.body), "nothing is made up, and nothing moved"


@given(st.text(max_size=60))
def test_patch_itself_is_never_changed(lines: str) -> None:
    body = f"*** Begin Patch\n*** Add File: a\n{lines}\n*** End Patch"
    assert unwrapped(body) == body
    assert read_patch(json.dumps({"input": body})) == PatchCall(body)
