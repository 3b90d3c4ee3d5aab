"""Lists the models that are known, for clients that let their user choose one."""

import os
from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from greenroom.config.models import ModelFamily, known_models
from greenroom.config.settings import ConversationOverrides, Settings, resolve_settings
from greenroom.protocol.conversation_api import ListedModel, ListModels, ModelList, ReasoningEffort
from greenroom.workers.job_context import Setting

_USUAL_EFFORT: Final = "medium"
"""What a model that reasons does where no effort was set."""


async def run(params: bytes, setting: Setting) -> bytes:
    """Return the result of `model/list`. Raises `ConfigError`."""
    wanted = msgspec.json.decode(params, type=ListModels)
    overrides = ConversationOverrides.from_json(b"{}")
    settings = resolve_settings(setting.home, setting.config_overrides, overrides, os.getcwd(), os.environ)
    return msgspec.json.encode(model_page(list(listed(settings)), wanted))


def listed(settings: Settings) -> Iterator[ListedModel]:
    """Yield the models: that of the settings, those that the user describes, and those that OpenAI has.

    The latter only where the provider is OpenAI's: no other is known to serve them.
    """
    known = known_models(settings.own_models, catalogued=settings.provider.requires_openai_auth)
    if settings.model not in known:
        yield _listed(settings.model, settings.model_family, settings, hidden=False)
    for slug, family in known.items():
        yield _listed(slug, family, settings, hidden=family.hidden and slug not in settings.own_models)


def model_page(models: list[ListedModel], wanted: ListModels) -> ModelList:
    """Return one page. A cursor is the slug of the last model of the page before; any other counts for nothing."""
    shown = [model for model in models if not model.hidden or model.is_default or wanted.include_hidden]
    start = next((place for place, model in enumerate(shown, 1) if model.id == wanted.cursor), 0)
    found = tuple(islice(shown, start, None if not wanted.limit else start + wanted.limit))
    is_last = not found or found[-1] is shown[-1]
    return ModelList(data=found, next_cursor=None if is_last else found[-1].id)


def _listed(slug: str, family: ModelFamily, settings: Settings, *, hidden: bool) -> ListedModel:
    is_default = slug == settings.model
    usual = family.default_effort or (_USUAL_EFFORT if family.supports_reasoning else "none")
    return ListedModel(
        id=slug,
        model=slug,
        display_name=slug,
        description=f"Context window of {family.context_window:,} tokens." if family.window_is_known else "",
        hidden=hidden,
        is_default=is_default,
        supported_reasoning_efforts=tuple(map(ReasoningEffort, family.efforts)),
        default_reasoning_effort=(settings.reasoning_effort if is_default else None) or usual,
        input_modalities=("text", "image") if family.image_input else ("text",),
    )
