"""Saved prompts are read with their front matter, and their placeholders are replaced as users of Codex know it."""

from pathlib import Path

import pytest

from greenroom.config.saved_prompts import (
    MAX_BYTES,
    Argument,
    PromptArgumentError,
    SavedPrompt,
    prompts_state,
    saved_prompt,
    saved_prompts,
)


def save(home: Path, name: str, text: str | bytes) -> Path:
    path = home / "prompts" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rendered(text: str, **values: str) -> str:
    return SavedPrompt("p", text).render({name.removeprefix("_"): value for name, value in values.items()})


def test_prompts_are_the_markdown_files_of_their_folder(tmp_path: Path) -> None:
    assert saved_prompts(str(tmp_path)) == []
    save(tmp_path, "review.md", "Review it.\n")
    save(tmp_path, "ask.md", "﻿Ask.")
    save(tmp_path, "notes.txt", "no prompt")
    save(tmp_path, ".md", "no name")
    save(tmp_path, "latin.md", b"\xe9")
    save(tmp_path, "huge.md", b"x" * (MAX_BYTES + 1))
    (tmp_path / "prompts" / "folder.md").mkdir()
    (tmp_path / "prompts" / "gone.md").symlink_to("nowhere")
    assert saved_prompts(str(tmp_path)) == [SavedPrompt("ask", "Ask."), SavedPrompt("review", "Review it.\n")]


def test_a_prompt_is_found_by_its_name_alone(tmp_path: Path) -> None:
    save(tmp_path, "review.md", "Review it.")
    (tmp_path / "secret.md").write_text("not for everybody")
    assert saved_prompt(str(tmp_path), "review") == SavedPrompt("review", "Review it.")
    for name in ("../secret", "review.md", "", "x\0y"):
        assert saved_prompt(str(tmp_path), name) is None


def test_front_matter_describes_a_prompt_and_is_no_part_of_it(tmp_path: Path) -> None:
    save(
        tmp_path,
        "a.md",
        '---\r\ntitle: x\r\ndescription: "Look: at it"\r\nargument-hint: FILE=<path>\r\n---\r\nLook at $FILE.',
    )
    assert saved_prompts(str(tmp_path)) == [SavedPrompt("a", "Look at $FILE.", "Look: at it", "FILE=<path>")]


@pytest.mark.parametrize("text", ["---\ndescription: never closed\n", "text\n---\ndescription: x\n---\n", "--- \n"])
def test_what_is_no_front_matter_is_text(tmp_path: Path, text: str) -> None:
    save(tmp_path, "a.md", text)
    assert saved_prompts(str(tmp_path)) == [SavedPrompt("a", text)]


def test_placeholders_are_the_arguments_in_the_order_of_the_text() -> None:
    prompt = SavedPrompt("p", "$FILE $2 $1 $ARGUMENTS $FILE $$NOT $12 $0 $lower $Mixed $MIxed ${X} $A_1.")
    assert prompt.arguments == (
        Argument("FILE", required=True),
        Argument("2", required=False),
        Argument("1", required=False),
        Argument("ARGUMENTS", required=False),
        Argument("A_1", required=True),
    )


def test_values_take_the_place_of_placeholders_once() -> None:
    assert rendered("$FILE and $$FILE, $FILE", FILE="$OTHER") == "$OTHER and $FILE, $OTHER"
    assert rendered("costs $12 or $$1") == "costs $12 or $1"
    assert rendered("[$1][$2][$ARGUMENTS]", _1="a b", _2="c") == "[a b][c][a b c]"
    assert rendered("[$1][$2][$3][$ARGUMENTS]", ARGUMENTS="one 'two three'") == "[one][two three][][one 'two three']"
    assert rendered("[$1]", ARGUMENTS="it's") == "[it's]"


def test_a_named_argument_that_is_missing_is_named() -> None:
    with pytest.raises(PromptArgumentError, match="prompt p needs a value for FILE, GOAL"):
        rendered("$FILE $GOAL $SET", SET="")


def test_every_change_of_the_folder_shows_in_its_fingerprint(tmp_path: Path) -> None:
    home = str(tmp_path)
    seen = [prompts_state(home)]
    path = save(tmp_path, "a.md", "one")
    seen.append(prompts_state(home))
    path.write_text("longer")
    seen.append(prompts_state(home))
    path.rename(path.with_name("b.md"))
    seen.append(prompts_state(home))
    save(tmp_path, "b.txt", "is none")
    assert len(set(seen)) == 4
    assert prompts_state(home) == seen[-1]
