"""Prompts: the model is told where it works and what it may do, and none of that is taken for the user's words."""

import base64
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.reader import Reader
from greenroom.protocol.items import JsonObject, text_parts
from greenroom.protocol.user_messages import NO_SUMMARY, is_context_message, is_user_message, summary_message
from greenroom.workers.conversation.prompt.prompt import (
    EnvironmentContext,
    Permissions,
    environment_text,
    input_message,
    instructions_text,
    message,
    permissions_text,
    turn_aborted_message,
    user_instructions_text,
)
from greenroom.workers.model.image import LARGEST
from tests.workers.model.test_image import PNG

READ = Reader(os.devnull).read

# What XML can hold: no control characters, and a carriage return would be normalised.
TEXTS = st.text(alphabet=st.characters(min_codepoint=0x20, exclude_categories=["Cs", "Cc", "Cn", "Co"]))


def user(*texts: str) -> JsonObject:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text} for text in texts]}


def test_environment_is_told_line_by_line() -> None:
    environment = EnvironmentContext(
        cwd="/home/ada/shop",
        shell="bash",
        current_date="2026-11-22",
        timezone="Etc/UTC",
        approval_policy="on-request",
        sandbox_mode="workspace-write",
        network_access=False,
    )
    assert environment_text(environment) == (
        "<environment_context>\n"
        "  <cwd>/home/ada/shop</cwd>\n"
        "  <shell>bash</shell>\n"
        "  <current_date>2026-11-22</current_date>\n"
        "  <timezone>Etc/UTC</timezone>\n"
        "  <approval_policy>on-request</approval_policy>\n"
        "  <sandbox_mode>workspace-write</sandbox_mode>\n"
        "  <network_access>restricted</network_access>\n"
        "</environment_context>"
    )


def test_only_what_is_known_is_told() -> None:
    text = environment_text(EnvironmentContext(network_access=True))
    assert text == "<environment_context>\n  <network_access>enabled</network_access>\n</environment_context>"


@given(TEXTS)
def test_no_directory_name_breaks_out_of_its_element(cwd: str) -> None:
    root = ET.fromstring(environment_text(EnvironmentContext(cwd=cwd)))
    assert [child.tag for child in root] == ["cwd"]
    assert root.findtext("cwd") == cwd


def test_instructions_are_followed_by_the_patch_guide() -> None:
    assert instructions_text("base") == "base"
    assert instructions_text("base", "guide") == "base\nguide"


def test_permissions_name_all_that_binds_commands() -> None:
    text = permissions_text(
        Permissions(
            approval_policy="on-request",
            sandbox_mode="workspace-write",
            writable_roots=("/home/ada/shop", "/tmp"),
            approved_prefixes=(("git", "pull"), ("make",)),
        )
    )
    assert text.startswith("<permissions instructions>\n")
    assert text.endswith("\n</permissions instructions>")
    for words in ("`workspace-write`", "`/home/ada/shop`, `/tmp`", "restricted", "`on-request`", "`git pull`, `make`"):
        assert words in text


@pytest.mark.parametrize("policy", ["never", "on-failure", "untrusted"])
def test_escalation_is_offered_only_on_request(policy: str) -> None:
    text = permissions_text(Permissions(approval_policy=policy, sandbox_mode="read-only"))  # type: ignore[arg-type]
    assert "parameters for escalation" not in text


def test_message_has_a_part_for_each_text() -> None:
    assert message("user", "a", None, " \n", "b") == user("a", "b")
    assert message("developer", None, "") is None


def test_user_message_keeps_the_order_of_its_items(tmp_path: Path) -> None:
    picture = tmp_path / "A Picture.PNG"
    picture.write_bytes(PNG)
    items = [
        {"type": "image", "image_url": "https://a.example/b.png"},
        {"type": "text", "text": "What is this?"},
        {"type": "local_image", "path": str(picture)},
        {"type": "novelty"},
        {"type": "text"},
    ]
    assert input_message(items, READ) == {
        "type": "message",
        "role": "user",
        "content": [
            {"type": "input_image", "image_url": "https://a.example/b.png"},
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": "data:image/png;base64," + base64.b64encode(PNG).decode()},
        ],
    }


def test_what_is_no_image_is_told() -> None:
    sent = input_message(
        [{"type": "local_image", "path": "/x/y.png"}, {"type": "image", "image_url": "x"}], lambda _: b"?"
    )
    assert text_parts(sent) == [
        "(The image `/x/y.png` could not be attached: invalid or unsupported image data.)",
        "(An image could not be attached: it is given neither as https: nor as data: in base64.)",
    ]


@pytest.mark.parametrize("path", ["missing.png", "", "nul\0.png"])
def test_unreadable_image_is_told(tmp_path: Path, path: str) -> None:
    sent = input_message([{"type": "local_image", "path": str(tmp_path / "no" / path)}], READ)
    (text,) = text_parts(sent)
    assert text.startswith("(The image `")
    assert "could not be attached: " in text


def test_image_beyond_the_limit_is_told(tmp_path: Path) -> None:
    picture = tmp_path / "big.png"
    with picture.open("wb") as file:
        file.truncate(LARGEST + 1)
    (text,) = text_parts(input_message([{"type": "local_image", "path": str(picture)}], READ))
    assert "larger than 20 MiB" in text


CONTEXT = [
    user(environment_text(EnvironmentContext(cwd="/x"))),
    user(user_instructions_text("Use tabs.", "/home/ada/shop")),
    user(user_instructions_text("Use tabs.", "/home/ada/shop"), environment_text(EnvironmentContext(cwd="/x"))),
    user("<user_instructions>\n\nUse tabs.\n\n</user_instructions>"),
    user("  <environment_context>\n  <cwd>/x</cwd>\n</environment_context>\n"),
    turn_aborted_message(),
    summary_message("We did it."),
    summary_message(""),
]


@pytest.mark.parametrize("item", CONTEXT)
def test_context_is_recognised(item: JsonObject) -> None:
    assert is_context_message(item)
    assert not is_user_message(item)


@pytest.mark.parametrize(
    "item",
    [
        user("Please do the next step."),
        user("<environment_context> is a strange name"),
        user("# AGENTS.md instructions for beginners"),
        user("<turn_aborted>"),
        user(environment_text(EnvironmentContext(cwd="/x")), "and a question"),
        user(),
        {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "data:x"}]},
    ],
)
def test_words_of_the_user_are_no_context(item: JsonObject) -> None:
    assert is_user_message(item)
    assert not is_context_message(item)


@pytest.mark.parametrize("item", [{"type": "message", "role": "assistant", "content": []}, {"type": "reasoning"}, {}])
def test_other_items_are_neither(item: JsonObject) -> None:
    assert not is_user_message(item)
    assert not is_context_message(item)


@given(TEXTS, TEXTS)
def test_wrapped_texts_are_always_recognised(text: str, cwd: str) -> None:
    assert is_context_message(user(user_instructions_text(text, cwd)))
    assert is_context_message(user(environment_text(EnvironmentContext(cwd=cwd, shell=text))))
    assert is_context_message(summary_message(text))


def test_empty_summary_is_told() -> None:
    (text,) = text_parts(summary_message(" \n"))
    assert text.endswith(NO_SUMMARY)
