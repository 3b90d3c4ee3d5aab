"""Promises about what is known of models."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.models import ModelFamily, ModelRow, catalogue, model_family


@pytest.mark.parametrize("row", catalogue().values(), ids=list(catalogue()))
def test_row_is_consistent(row: ModelFamily) -> None:
    assert row.known
    assert 0 < row.output_token_limit < row.auto_compact_limit < row.effective_context_window < row.context_window
    assert row.max_context_window is None or row.max_context_window >= row.context_window
    assert row.default_effort is None or row.default_effort in row.efforts
    assert bool(row.efforts) is row.supports_reasoning
    assert row.supports_verbosity or row.default_verbosity is None


@pytest.mark.parametrize(
    ("slug", "name"),
    [
        ("gpt-5.5", "gpt-5.5"),
        ("gpt-5.4-mini", "gpt-5.4-mini"),
        ("gpt-5.4-mini-2026-03-01", "gpt-5.4-mini"),
        ("gpt-5.4-nano", "gpt-5.4"),
        ("gpt-5", "gpt-5"),
        ("gpt-5-codex", "gpt-5"),
        ("gpt-5.9", "gpt-5"),
        ("o3-pro", "o3"),
        ("codex-mini-latest", "codex-"),
        ("codex-auto-review", "codex-auto-review"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-oss:20b", "gpt-oss"),
    ],
)
def test_longest_known_beginning_of_a_slug_wins(slug: str, name: str) -> None:
    assert model_family(slug).name == name


def test_unknown_model_gets_the_fallback() -> None:
    family = model_family("mystery-1")
    assert (family.name, family.known) == ("mystery-1", False)
    assert (family.context_window, family.effective_context_window, family.auto_compact_limit) == (
        272_000,
        258_400,
        244_800,
    )
    assert (family.default_effort, family.default_summary, family.supports_verbosity) == (None, "auto", False)


def test_window_is_raised_to_the_maximum_at_most() -> None:
    family = model_family("gpt-5.6-sol")
    assert family.configured(context_window=500_000, auto_compact=None).context_window == 500_000
    assert family.configured(context_window=2_000_000, auto_compact=None).context_window == 872_000


def test_window_can_be_lowered() -> None:
    family = model_family("gpt-5.5").configured(context_window=1_000, auto_compact=None)
    assert (family.effective_context_window, family.auto_compact_limit) == (950, 900)


def test_auto_compact_limit_is_lowered_but_never_raised() -> None:
    family = model_family("gpt-5.5")
    assert family.configured(context_window=None, auto_compact=100_000).auto_compact_limit == 100_000
    assert family.configured(context_window=None, auto_compact=900_000).auto_compact_limit == 244_800


@given(st.text())
def test_every_slug_has_a_family(slug: str) -> None:
    family = model_family(slug)
    assert slug.startswith(family.name)
    assert family.known is (family.name in catalogue())


def test_an_unknown_model_gets_the_plain_tools_and_newer_ones_theirs() -> None:
    plain, newer = model_family("mystery-1"), model_family("gpt-5.5")
    assert (plain.command_tool, plain.patch_tool, plain.image_input, plain.web_search) == (
        "shell",
        "function",
        False,
        "none",
    )
    assert (newer.command_tool, newer.patch_tool, newer.image_input) == ("exec_command", "freeform", True)


def test_a_row_of_the_user_is_laid_over_what_is_known() -> None:
    own = {
        "gpt-5.5": ModelRow(command_tool="shell"),
        "gpt-5.5-mine": ModelRow(context_window=50_000, efforts=("low",)),
        "llama": ModelRow(context_window=8_192, supports_reasoning=False),
    }
    assert (model_family("gpt-5.5", own).command_tool, model_family("gpt-5.5", own).patch_tool) == ("shell", "freeform")
    mine = model_family("gpt-5.5-mine-2", own)
    assert (mine.name, mine.context_window, mine.command_tool) == ("gpt-5.5-mine", 50_000, "exec_command")
    llama = model_family("llama3.2:3b", own)
    assert (llama.known, llama.context_window, llama.supports_reasoning, llama.command_tool) == (
        True,
        8_192,
        False,
        "shell",
    )
    assert model_family("o3", own) == model_family("o3")
