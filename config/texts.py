"""The texts that the model is given, kept as data files beside this module."""

from functools import cache


def base_instructions() -> str:
    """Return the instructions that every conversation starts with unless it brings its own."""
    return _text("base_instructions.md")


def compaction_prompt() -> str:
    """Return the request for a summary that is to stand in for the history."""
    return _text("compaction.md")


def patch_language() -> str:
    """Return how the language of patches is described to the model."""
    return _text("apply_patch.md")


@cache
def _text(name: str) -> str:
    from importlib.resources import files

    return files("greenroom.config").joinpath("texts", name).read_text("utf-8").strip()
