"""What is known about the models: looked up by slug, from the data file `models.toml` and what the user adds to it."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from msgspec.structs import asdict

from greenroom.config.section import Name, OwnSection, Size

# What servers know and extend is passed on as it was written, whatever it is: they say themselves what they refuse.
Effort: TypeAlias = Name
"""How much a model thinks, for instance `low`, `medium`, `high`, `xhigh`."""
Summary: TypeAlias = Name
"""`auto`, `concise`, `detailed`, and `none`, which is not sent."""
Verbosity: TypeAlias = Name
"""How much a model writes: `low`, `medium`, `high`."""

CommandTool: TypeAlias = Literal["shell", "exec_command"]
"""By which tool a model runs commands."""
PatchTool: TypeAlias = Literal["function", "freeform"]
"""How a model writes a patch: into the argument of a function, or as it is."""
SearchContent: TypeAlias = Literal["none", "text", "text_and_image"]
"""What a model's server can find in the web, if anything."""

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
    window_is_known: bool = True
    """Whether somebody has said how large the window is; it is the fallback's otherwise."""
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
    command_tool: CommandTool = "shell"
    patch_tool: PatchTool = "function"
    image_input: bool = False
    """Whether the model is offered to look at images of the workspace."""
    web_search: SearchContent = "none"
    hidden: bool = False
    """Whether lists leave the row out: of several models, or of one that is superseded or not for everybody."""

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
        known = self.window_is_known or context_window is not None
        return replace(self, context_window=window, window_is_known=known, auto_compact_ceiling=auto_compact)


class ModelRow(OwnSection, frozen=True):
    """What the user says of a model: a table of `greenroom.models`. What it leaves out is known as without it."""

    context_window: Size | None = None
    max_context_window: Size | None = None
    output_token_limit: Size | None = None
    supports_reasoning: bool | None = None
    efforts: tuple[Effort, ...] | None = None
    default_effort: Effort | None = None
    default_summary: Summary | None = None
    supports_verbosity: bool | None = None
    default_verbosity: Verbosity | None = None
    command_tool: CommandTool | None = None
    patch_tool: PatchTool | None = None
    image_input: bool | None = None
    web_search: SearchContent | None = None


def model_family(slug: str, own: Mapping[str, ModelRow] = MappingProxyType({})) -> ModelFamily:
    """Find a model's family: the row of its slug, else of the longest known beginning of it, else the fallback.

    A row of the user's `own` is laid over what is known without it, and wins over a row of ours of the same name.

    Of an unknown model nothing is assumed but that it reasons, as the models that are yet to come will; a server that
    serves another kind ignores what it is sent for it, or `model_supports_reasoning_summaries = false` withholds it.
    """
    rows = catalogue()
    known = max(filter(slug.startswith, (*rows, *own)), key=len, default=None)
    if known is None:
        return ModelFamily(
            name=slug, known=False, window_is_known=False, default_summary="auto", output_token_limit=2_500
        )
    if known not in own:
        return rows[known]
    said = {key: value for key, value in asdict(own[known]).items() if value is not None}
    base = model_family(known)
    window_is_known = base.window_is_known or "context_window" in said
    replaced = {"max_context_window": None, **said, "window_is_known": window_is_known}
    return replace(base, **replaced, name=known, known=True)


def known_models(
    own: Mapping[str, ModelRow] = MappingProxyType({}), *, catalogued: bool = True
) -> Mapping[str, ModelFamily]:
    """Return what is known by slug: the user's `own` rows first, then, if wanted, those of the data file."""
    names = dict.fromkeys((*own, *(catalogue() if catalogued else ())))
    return {name: model_family(name, own) for name in names}


@cache
def catalogue() -> Mapping[str, ModelFamily]:
    """Return all rows of the data file, read once in a process."""
    from importlib.resources import files

    rows = tomllib.loads(files("greenroom.config").joinpath("models.toml").read_text("utf-8"))
    return {name: ModelFamily(name=name, **(row | {"efforts": tuple(row["efforts"])})) for name, row in rows.items()}
