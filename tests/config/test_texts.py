"""Promises about the texts that the model is given."""

import re

from greenroom.config.texts import base_instructions, compaction_prompt


def test_base_instructions_are_short_enough_for_local_models() -> None:
    assert 6_000 <= len(base_instructions().encode()) <= 9_000


def test_base_instructions_name_the_tools_that_exist() -> None:
    text = base_instructions()
    tools = {"`shell`", "`exec_command`", "`write_stdin`", "`apply_patch`", "`update_plan`"}
    assert tools <= set(re.findall(r"`\w+`", text))


def test_base_instructions_explain_every_policy() -> None:
    text = base_instructions()
    words = ["read-only", "workspace-write", "danger-full-access", "untrusted", "on-failure", "on-request", "never"]
    assert [word for word in words if f"`{word}`" not in text] == []


def test_texts_are_read_once() -> None:
    assert base_instructions() is base_instructions()
    assert compaction_prompt() is compaction_prompt()


def test_texts_have_no_loose_ends() -> None:
    for text in (base_instructions(), compaction_prompt()):
        assert text == text.strip()
        assert "\r" not in text
