"""What is known about the models: looked up by slug, from the data file `models.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Literal, TypeAlias

Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra"]
Summary: TypeAlias = Literal["auto", "concise", "detailed", "none"]
Verbosity: TypeAlias = Literal["low", "medium", "high"]

EFFECTIVE_PERCENT: Final = 95
"""Share of a context window that a conversation may fill."""

AUTO_COMPACT_PERCENT: Final = 90
"""Share of a context window at which the history is compacted."""

FALLBACK_CONTEXT_WINDOW: Final = 272_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFamily:
    """What models of one kind can do. All sizes are in tokens."""

    name: str
    """The row of the catalogue, or the slug itself where there is none."""
    known: bool = True
    """Whether the catalogue has a row for the model."""
    context_window: int = FALLBACK_CONTEXT_WINDOW
    max_context_window: int | None = None
    """What `model_context_window` may raise the window to; `None` where nobody has said."""
    auto_compact_ceiling: int | None = None
    """What `model_auto_compact_token_limit` asks for."""
    output_token_limit: int = 10_000
    """How much of one tool's output the model is shown."""
    supports_reasoning: bool = True
    efforts: tuple[Effort, ...] = ()
    """What the model is known to accept; empty where unknown."""
    default_effort: Effort | None = None
    """`None`: no effort is sent."""
    default_summary: Summary = "none"
    supports_verbosity: bool = False
    default_verbosity: Verbosity | None = None

    @property
    def effective_context_window(self) -> int:
        """How much a conversation may fill; what clients are told as the window."""
        return self.context_window * EFFECTIVE_PERCENT // 100

    @property
    def auto_compact_limit(self) -> int:
        """The usage at which the history is compacted."""
        limit = self.context_window * AUTO_COMPACT_PERCENT // 100
        return limit if self.auto_compact_ceiling is None else min(limit, self.auto_compact_ceiling)

    def configured(self, *, context_window: int | None, auto_compact: int | None) -> "ModelFamily":
        """Return the family with the configured sizes, as far as the model allows them."""
        window = self.context_window if context_window is None else context_window
        if self.max_context_window is not None:
            window = min(window, self.max_context_window)
        return replace(self, context_window=window, auto_compact_ceiling=auto_compact)


def model_family(slug: str) -> ModelFamily:
    """Find a model's family: the row of its slug, else of the longest known beginning of it, else the fallback.

    Of an unknown model nothing is assumed but that it reasons, as the models that are yet to come will; a server that
    serves another kind ignores what it is sent for it, or `model_supports_reasoning_summaries = false` withholds it.
    """
    known = max(filter(slug.startswith, catalogue()), key=len, default=None)
    if known is None:
        return ModelFamily(name=slug, known=False, default_summary="auto", output_token_limit=2_500)
    return catalogue()[known]


@cache
def catalogue() -> Mapping[str, ModelFamily]:
    """Return all rows of the data file, read once in a process."""
    from importlib.resources import files

    rows = tomllib.loads(files("config").joinpath("models.toml").read_text("utf-8"))
    return {name: ModelFamily(name=name, **(row | {"efforts": tuple(row["efforts"])})) for name, row in rows.items()}
