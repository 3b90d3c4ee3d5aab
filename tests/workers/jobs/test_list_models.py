"""Clients are told of every model that can be chosen, once, and which one counts if none is."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.models import catalogue
from greenroom.protocol.conversation_api import ListedModel, ListModels, ModelList
from greenroom.protocol.errors import ConfigError
from greenroom.workers.job_context import Setting
from greenroom.workers.jobs.list_models import model_page, run
from tests.support.loop import on_loop

OTHER = """\
model_provider = "other"
[model_providers.other]
name = "other"
base_url = "http://127.0.0.1:1/v1"
"""


async def models(home: Path, config: str, *overrides: str, hidden: bool = False) -> list[ListedModel]:
    (home / "config.toml").write_text(config)
    wanted = ListModels(include_hidden=hidden)
    result = msgspec.json.decode(
        await run(msgspec.json.encode(wanted), Setting(str(home), "", overrides)), type=ModelList
    )
    assert result.next_cursor is None
    return list(result.data)


@on_loop
async def test_the_catalogue_is_listed_newest_first_without_what_is_hidden(tmp_path: Path) -> None:
    shown = [model.id for model in await models(tmp_path, 'model = "gpt-5.5"')]
    everything = [model.id for model in await models(tmp_path, 'model = "gpt-5.5"', hidden=True)]
    assert everything == list(catalogue())
    assert shown == [name for name, family in catalogue().items() if not family.hidden]
    assert not {"codex-", "codex-auto-review"} & {*shown}
    assert {model.id for model in await models(tmp_path, "", hidden=True) if model.hidden} == {*everything} - {*shown}


@on_loop
async def test_a_model_is_told_with_what_it_can_do(tmp_path: Path) -> None:
    (model,) = [one for one in await models(tmp_path, 'model = "gpt-5.5"') if one.id == "gpt-5.5"]
    efforts = ["low", "medium", "high", "xhigh"]
    assert [effort.reasoning_effort for effort in model.supported_reasoning_efforts] == efforts
    assert (model.default_reasoning_effort, model.input_modalities) == ("medium", ("text", "image"))
    assert model.description == "Context window of 272,000 tokens."
    (plain,) = [one for one in await models(tmp_path, "", hidden=True) if one.id == "gpt-3.5"]
    assert (plain.default_reasoning_effort, plain.input_modalities) == ("none", ("text",))


@on_loop
@pytest.mark.parametrize("config", ['model = "gpt-4o"', 'model = "mystery"', OTHER, ""])
async def test_exactly_one_is_the_default_and_it_is_shown(tmp_path: Path, config: str) -> None:
    defaults = [model.id for model in await models(tmp_path, config) if model.is_default]
    assert len(defaults) == 1
    assert f'"{defaults[0]}"' in config or "model =" not in config


@on_loop
async def test_the_command_line_of_the_server_counts(tmp_path: Path) -> None:
    told = await models(tmp_path, 'model = "gpt-5.5"', "model=mine", "model_reasoning_effort=high")
    assert [(model.id, model.default_reasoning_effort) for model in told if model.is_default] == [("mine", "high")]


@on_loop
async def test_another_provider_is_not_said_to_have_models_of_openai(tmp_path: Path) -> None:
    own = '[greenroom.models.mine]\ncontext_window = 9000\n[greenroom.models."gpt-4o"]\nimage_input = false\n'
    told = await models(tmp_path, 'model = "theirs"\n' + OTHER + own)
    assert [(model.id, model.is_default, model.hidden) for model in told] == [
        ("theirs", True, False),
        ("mine", False, False),
        ("gpt-4o", False, False),
    ]


@on_loop
async def test_settings_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        await models(tmp_path, "model = [")


def listed(number: int, *, hidden: bool, is_default: bool = False) -> ListedModel:
    name = f"m{number}"
    return ListedModel(name, name, name, "", hidden, is_default, (), "none", ("text",))


@given(st.lists(st.booleans(), max_size=12), st.integers(1, 5), st.booleans())
def test_pages_are_the_whole_list(hidden: list[bool], limit: int, everything: bool) -> None:
    models = [listed(number, hidden=is_hidden, is_default=number == 3) for number, is_hidden in enumerate(hidden)]
    found: list[ListedModel] = []
    cursor = None
    for _ in range(len(models) + 1):
        part = model_page(models, ListModels(cursor=cursor, limit=limit, include_hidden=everything))
        assert len(part.data) <= limit
        found += part.data
        cursor = part.next_cursor
        if cursor is None:
            break
    assert cursor is None
    assert found == [model for model in models if everything or not model.hidden or model.is_default]


def test_a_cursor_of_nothing_is_the_beginning() -> None:
    models = [listed(0, hidden=False), listed(1, hidden=False)]
    assert model_page(models, ListModels(cursor="gone", limit=0)).data == tuple(models)
