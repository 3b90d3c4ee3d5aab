"""The texts for the model, kept as data files beside this module."""

from functools import cache


def base_instructions() -> str:
    """Return the default instructions of a conversation."""
    return _text("base_instructions.md")


def compaction_prompt() -> str:
    """Return the request for a summary that replaces the history."""
    return _text("compaction.md")


def patch_language() -> str:
    """Return the description of the patch language for the model."""
    return _text("apply_patch.md")


def approval_review_policy() -> str:
    """Return the instructions of the reviewer that decides in place of the user."""
    return _text("approval_review.md")


def goal_continuation() -> str:
    """Return what the model is told with each turn that pursues the goal of its conversation."""
    return _text("goal.md")


@cache
def _text(name: str) -> str:
    from importlib.resources import files

    return files("greenroom.config").joinpath("texts", name).read_text("utf-8").strip()
