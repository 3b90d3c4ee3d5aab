"""Properties of models, looked up by slug: the data file `models.toml` and the user's additions."""

import tomllib
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec.structs import asdict

from greenroom.config.section import Name, OwnSection, Size

# Values that servers define and extend are passed on unchanged; servers report the ones that they reject.
Effort: TypeAlias = Name
"""The reasoning effort of a model, for instance `low`, `medium`, `high`, `xhigh`."""
Summary: TypeAlias = Name
"""`auto`, `concise`, `detailed`, or `none`, which is not sent."""
Verbosity: TypeAlias = Name
"""The verbosity of a model: `low`, `medium`, `high`."""

CommandTool: TypeAlias = Literal["shell", "exec_command"]
"""The tool by which a model runs commands."""
PatchTool: TypeAlias = Literal["function", "freeform"]
"""How a model passes a patch: as an argument of a function, or as free-form text."""
SearchContent: TypeAlias = Literal["none", "text", "text_and_image"]
"""What a model's server can search in the web, if anything."""

EFFECTIVE_PERCENT: Final = 95
"""Share of a context window that a conversation may fill."""

AUTO_COMPACT_PERCENT: Final = 90
"""Share of a context window beyond which the history is compacted."""

FALLBACK_CONTEXT_WINDOW: Final = 272_000


class ModelFamily(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of a family of models. All sizes are in tokens."""

    name: str
    """The name of the catalogue row, or the slug itself if there is none."""
    known: bool = True
    """Whether the catalogue has a row for the model."""
    context_window: int = FALLBACK_CONTEXT_WINDOW
    window_is_known: bool = True
    """Whether the window's size is known; otherwise it is that of the fallback."""
    max_context_window: int | None = None
    """The maximum for `model_context_window`; `None` if unknown."""
    auto_compact_ceiling: int | None = None
    """The value of `model_auto_compact_token_limit`."""
    output_token_limit: int = 10_000
    """How much of one tool's output is sent to the model."""
    supports_reasoning: bool = True
    efforts: tuple[Effort, ...] = ()
    """The efforts that the model accepts; empty if unknown."""
    default_effort: Effort | None = None
    """`None`: no effort is sent."""
    default_summary: Summary = "none"
    supports_verbosity: bool = False
    default_verbosity: Verbosity | None = None
    command_tool: CommandTool = "shell"
    patch_tool: PatchTool = "function"
    image_input: bool = False
    """Whether the model is offered the tool to view images of the workspace."""
    web_search: SearchContent = "none"
    hidden: bool = False
    """Whether lists leave the row out: of several models, or of one that is superseded or not for everybody."""

    @property
    def effective_context_window(self) -> int:
        """How much a conversation may fill; reported to clients as the window."""
        return self.context_window * EFFECTIVE_PERCENT // 100

    @property
    def auto_compact_limit(self) -> int:
        """The token count beyond which the history is compacted."""
        limit = self.context_window * AUTO_COMPACT_PERCENT // 100
        return limit if self.auto_compact_ceiling is None else min(limit, self.auto_compact_ceiling)

    def configured(self, *, context_window: int | None, auto_compact: int | None) -> "ModelFamily":
        """Return the family with the configured sizes, within the model's limits."""
        window = self.context_window if context_window is None else context_window
        if self.max_context_window is not None:
            window = min(window, self.max_context_window)
        known = self.window_is_known or context_window is not None
        return msgspec.structs.replace(
            self, context_window=window, window_is_known=known, auto_compact_ceiling=auto_compact
        )


class ModelRow(OwnSection, frozen=True):
    """A table of `greenroom.models`. Absent keys keep the values that they have without it."""

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
    """Find a model's family: the row of its slug, else of the longest matching prefix, else the fallback.

    A row of the user's `own` is merged over what is known without it, and overrides a built-in row of the same name.

    An unknown model is only assumed to support reasoning, as future models will. Servers of other models ignore the
    parameters, or `model_supports_reasoning_summaries = false` suppresses them.
    """
    rows = catalogue()
    known = max(filter(slug.startswith, (*rows, *own)), key=len, default=None)
    if known is None:
        return ModelFamily(
            name=slug, known=False, window_is_known=False, default_summary="auto", output_token_limit=2_500
        )
    if known not in own:
        return rows[known]
    changes = {key: value for key, value in asdict(own[known]).items() if value is not None}
    base = model_family(known)
    window_is_known = base.window_is_known or "context_window" in changes
    replaced = {"max_context_window": None, **changes, "window_is_known": window_is_known}
    return msgspec.structs.replace(base, **replaced, name=known, known=True)


def known_models(
    own: Mapping[str, ModelRow] = MappingProxyType({}), *, catalogued: bool = True
) -> Mapping[str, ModelFamily]:
    """Return what is known by slug: the user's `own` rows first, then, if wanted, those of the data file."""
    names = dict.fromkeys((*own, *(catalogue() if catalogued else ())))
    return {name: model_family(name, own) for name in names}


@cache
def catalogue() -> Mapping[str, ModelFamily]:
    """Return all rows of the data file, read once per process."""
    from importlib.resources import files

    rows = tomllib.loads(files("greenroom.config").joinpath("models.toml").read_text("utf-8"))
    return {name: ModelFamily(name=name, **(row | {"efforts": tuple(row["efforts"])})) for name, row in rows.items()}
