"""Promises about how the settings of a conversation come about."""

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenroom.config.settings import ConversationOverrides, preload
from greenroom.config.tables.environment import ShellEnvironmentPolicy
from greenroom.config.tables.sandbox import (
    ConfinementPolicy,
    DangerFullAccessPolicy,
    ReadOnlyPolicy,
    WorkspaceWritePolicy,
)
from greenroom.protocol.errors import ConfigError

if TYPE_CHECKING:
    from tests.config.conftest import Home

PROFILES = """
model = "top"
approval_policy = "never"
model_reasoning_effort = "low"

[profiles.work]
model = "work"
model_reasoning_effort = "high"

[profiles.play]
model = "play"
"""


def _fault(home: "Home", text: str | None = None, overrides: ConversationOverrides | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        home.resolve(text, overrides=overrides)
    return str(caught.value)


# Defaults


def test_empty_home_gives_the_defaults(home: "Home") -> None:
    settings = home.resolve()
    assert (settings.model, settings.provider_id, settings.cwd) == ("gpt-5", "openai", "/start")
    assert (settings.approval_policy, settings.sandbox_policy) == ("on-request", ReadOnlyPolicy())
    assert (settings.reasoning_effort, settings.reasoning_summary, settings.verbosity) == ("medium", "auto", None)
    assert (settings.base_instructions, settings.developer_instructions, settings.compact_prompt) == (None, None, None)
    assert (settings.include_plan_tool, settings.notify, settings.history.wanted) == (True, (), False)
    assert (settings.project_doc_max_bytes, settings.project_root_markers) == (32_768, (".git",))
    assert settings.shell_environment_policy == ShellEnvironmentPolicy()


def test_home_that_does_not_exist_is_an_empty_one(home: "Home") -> None:
    home.path.rmdir()
    assert home.resolve().model == "gpt-5"


def test_file_is_read_afresh_for_every_conversation(home: "Home") -> None:
    assert home.resolve('model = "one"').model == "one"
    assert home.resolve('model = "two"').model == "two"


def test_unknown_keys_are_ignored(home: "Home") -> None:
    assert home.resolve('model = "m"\nfile_opener = 5\n[tui]\ntheme = "x"\n[history]\nnew = 1').model == "m"


# Precedence


def test_command_line_wins_over_the_file(home: "Home") -> None:
    assert home.resolve('model = "file"', cli=["model=first", "model=cli"]).model == "cli"


def test_config_argument_wins_over_the_command_line(home: "Home") -> None:
    overrides = ConversationOverrides(config={"model": "argument"})
    assert home.resolve(cli=["model=cli"], overrides=overrides).model == "argument"


def test_dedicated_argument_wins_over_all(home: "Home") -> None:
    overrides = ConversationOverrides(
        model="dedicated",
        approval_policy="untrusted",
        sandbox_mode="danger-full-access",
        config={"model": "argument", "approval_policy": "never", "sandbox_mode": "read-only"},
    )
    settings = home.resolve(PROFILES, overrides=overrides)
    assert (settings.model, settings.approval_policy) == ("dedicated", "untrusted")
    assert settings.sandbox_policy == DangerFullAccessPolicy()


def test_profile_wins_over_top_level(home: "Home") -> None:
    settings = home.resolve(f'profile = "work"\n{PROFILES}')
    assert (settings.model, settings.reasoning_effort, settings.approval_policy) == ("work", "high", "never")


def test_profile_argument_wins_over_the_configured_profile(home: "Home") -> None:
    settings = home.resolve(f'profile = "work"\n{PROFILES}', overrides=ConversationOverrides(profile="play"))
    assert (settings.model, settings.reasoning_effort) == ("play", "low")


def test_profile_can_be_chosen_on_the_command_line(home: "Home") -> None:
    assert home.resolve(PROFILES, cli=["profile=play"]).model == "play"


def test_what_is_given_for_this_run_wins_over_the_profile(home: "Home") -> None:
    assert home.resolve(f'profile = "work"\n{PROFILES}', cli=["model=cli"]).model == "cli"
    overrides = ConversationOverrides(profile="work", config={"model": "argument"})
    assert home.resolve(PROFILES, overrides=overrides).model == "argument"


def test_profile_can_be_changed_from_outside(home: "Home") -> None:
    assert home.resolve(f'profile = "work"\n{PROFILES}', cli=["profiles.work.model=changed"]).model == "changed"


def test_profile_can_narrow_the_sandbox(home: "Home") -> None:
    text = 'profile = "safe"\nsandbox_mode = "danger-full-access"\n[profiles.safe]\nsandbox_mode = "read-only"'
    assert home.resolve(text).sandbox_policy == ReadOnlyPolicy()


def test_unknown_profile_is_answered_with_the_known_ones(home: "Home") -> None:
    text = _fault(home, PROFILES, ConversationOverrides(profile="nosuch"))
    assert text == "config profile `nosuch` not found; there are `work`, `play`"


def test_fault_in_a_profile_is_told_though_it_is_not_chosen(home: "Home") -> None:
    (warning,) = home.resolve("[profiles.work]\nsandbox_mode = 'loud'").warnings
    assert warning.endswith("in `profiles.work.sandbox_mode`")


# The tool's `config` argument


def test_null_in_config_is_the_empty_string(home: "Home") -> None:
    assert "unknown variant ``" in _fault(home, overrides=ConversationOverrides(config={"sandbox_mode": None}))


def test_config_reaches_into_tables(home: "Home") -> None:
    overrides = ConversationOverrides(
        sandbox_mode="workspace-write", config={"sandbox_workspace_write.network_access": True}
    )
    settings = home.resolve("[sandbox_workspace_write]\nwritable_roots = ['/data']", overrides=overrides)
    assert settings.sandbox_policy == WorkspaceWritePolicy(writable_roots=("/data",), network_access=True)


def test_overrides_travel_as_json() -> None:
    overrides = ConversationOverrides(model="m", sandbox_mode="read-only", config={"a": [1, {"b": None}], "c": 0.5})
    assert ConversationOverrides.from_json(msgspec.json.encode(overrides)) == overrides


def test_overrides_that_do_not_fit_are_refused_in_words() -> None:
    with pytest.raises(ConfigError) as caught:
        ConversationOverrides.from_json(b'{"model": ""}')
    assert str(caught.value) == 'invalid value: string "", expected a string of at least 1 character\nin `model`'
    with pytest.raises(ConfigError, match="unknown field `mode`"):
        ConversationOverrides.from_json(b'{"mode": "x"}')


@pytest.mark.parametrize("value", [b"1e400", b'"\\ud800"', b"[" * 100_000 + b"]" * 100_000])
def test_overrides_that_cannot_be_read_are_refused(value: bytes) -> None:
    with pytest.raises(ConfigError, match=r"^the conversation's arguments cannot be read: "):
        ConversationOverrides.from_json(b'{"config": {"a": %b}}' % value)


# Directories


@pytest.mark.parametrize(
    ("cwd", "resolved"), [(None, "/start"), ("sub", "/start/sub"), ("../other/.", "/other"), ("/abs", "/abs")]
)
def test_relative_cwd_starts_at_the_process(home: "Home", cwd: str | None, resolved: str) -> None:
    assert home.resolve(overrides=ConversationOverrides(cwd=cwd)).cwd == resolved


def test_relative_writable_root_starts_at_the_cwd(home: "Home") -> None:
    text = 'sandbox_mode = "workspace-write"\nsandbox_workspace_write.writable_roots = ["../shared", "/data"]'
    policy = home.resolve(text, overrides=ConversationOverrides(cwd="sub")).sandbox_policy
    assert policy == WorkspaceWritePolicy(writable_roots=("/start/shared", "/data"))


def test_workspace_table_matters_only_in_its_mode(home: "Home") -> None:
    assert home.resolve("sandbox_workspace_write.network_access = true").sandbox_policy == ReadOnlyPolicy()


@pytest.mark.parametrize(
    "policy", [ReadOnlyPolicy(), WorkspaceWritePolicy(writable_roots=("/data",)), DangerFullAccessPolicy()]
)
def test_sandbox_policy_comes_back_from_what_is_told_of_it(policy: ConfinementPolicy) -> None:
    assert msgspec.convert(msgspec.to_builtins(policy), ConfinementPolicy) == policy


def test_sandbox_policy_says_its_type() -> None:
    assert msgspec.to_builtins(ReadOnlyPolicy()) == {"type": "read-only"}
    assert msgspec.json.decode(msgspec.json.encode(WorkspaceWritePolicy())) == {
        "type": "workspace-write",
        "writable_roots": [],
        "network_access": False,
        "exclude_tmpdir_env_var": False,
        "exclude_slash_tmp": False,
    }


# Approval


@pytest.mark.parametrize(("asked", "policy"), [("true", "on-request"), ("false", "never")])
def test_granular_policy_is_reduced_to_its_part_for_commands(home: "Home", asked: str, policy: str) -> None:
    text = f"approval_policy = {{ granular = {{ sandbox_approval = {asked}, rules = true, mcp_elicitations = true }} }}"
    assert home.resolve(text).approval_policy == policy


def test_unknown_policy_is_answered_with_the_known_ones(home: "Home") -> None:
    assert _fault(home, 'approval_policy = "always"') == (
        "unknown variant `always`, expected one of `untrusted`, `on-failure`, `on-request`, `never`\n"
        "in `approval_policy`"
    )


# The model


def test_configured_sizes_change_the_family(home: "Home") -> None:
    family = home.resolve(
        'model = "gpt-5.5"\nmodel_context_window = 100000\nmodel_auto_compact_token_limit = 50000'
    ).model_family
    assert (family.context_window, family.effective_context_window, family.auto_compact_limit) == (
        100_000,
        95_000,
        50_000,
    )


@pytest.mark.parametrize(
    ("model", "value", "supported"),
    [("mystery", "true", True), ("mystery", "false", False), ("gpt-5.5", "false", True)],
)
def test_reasoning_can_be_decided_for_unknown_models_only(
    home: "Home", model: str, value: str, supported: bool
) -> None:
    text = f'model = "{model}"\nmodel_supports_reasoning_summaries = {value}'
    assert home.resolve(text).model_family.supports_reasoning is supported


def test_family_supplies_what_is_not_configured(home: "Home") -> None:
    settings = home.resolve('model = "gpt-5.4-mini"')
    assert (settings.reasoning_effort, settings.reasoning_summary, settings.verbosity) == ("medium", "none", "medium")
    assert settings.tool_output_token_limit == 10_000


def test_configured_values_win_over_the_family(home: "Home") -> None:
    settings = home.resolve(
        'model = "gpt-5.4-mini"\nmodel_reasoning_effort = "xhigh"\nmodel_reasoning_summary = "detailed"\n'
        'model_verbosity = "high"\ntool_output_token_limit = 5'
    )
    assert (settings.reasoning_effort, settings.reasoning_summary, settings.verbosity) == ("xhigh", "detailed", "high")
    assert settings.tool_output_token_limit == 5


@given(st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_servers_extend_is_passed_on_as_it_was_written(home: "Home", value: str) -> None:
    quoted = json.dumps(value, ensure_ascii=False)
    found = home.resolve(
        f'model = "gpt-5.4-mini"\nmodel_reasoning_effort = {quoted}\nmodel_reasoning_summary = {quoted}\n'
        f"model_verbosity = {quoted}\n[tools.web_search]\ncontext_size = {quoted}\n"
        f'[greenroom.models."gpt-5.4-mini"]\nefforts = [{quoted}]'
    )
    assert (found.reasoning_effort, found.reasoning_summary, found.verbosity) == (value, value, value)
    assert found.search_options.context_size == value
    assert found.model_family.efforts == (value,)


def test_verbosity_is_not_sent_to_a_model_without_it(home: "Home") -> None:
    assert home.resolve('model = "o3"\nmodel_verbosity = "high"').verbosity is None


def test_empty_model_is_refused(home: "Home") -> None:
    assert "in `model`" in _fault(home, overrides=ConversationOverrides(config={"model": None}))


def test_provider_is_looked_up(home: "Home") -> None:
    settings = home.resolve('model_provider = "mine"\n[model_providers.mine]\nbase_url = "http://x/v1"')
    assert (settings.provider_id, settings.provider.url(chatgpt=False)) == ("mine", "http://x/v1/responses")


def test_environment_reaches_the_provider(home: "Home") -> None:
    assert home.resolve(environment={"OPENAI_BASE_URL": "http://here"}).provider.base_url == "http://here"


def test_unknown_provider_is_an_error(home: "Home") -> None:
    assert _fault(home, 'model_provider = "nope"').startswith("Model provider `nope` not found; there are `openai`, ")


# Instructions


@pytest.mark.parametrize("key", ["model_instructions_file", "experimental_instructions_file"])
def test_instructions_file_is_read_from_the_cwd_and_trimmed(home: "Home", key: str) -> None:
    (home.path / "rules.md").write_text("\n  Be kind.\n\n")
    settings = home.resolve(f'{key} = "rules.md"', overrides=ConversationOverrides(cwd=str(home.path)))
    assert settings.base_instructions == "Be kind."


def test_instructions_argument_wins_over_the_file(home: "Home") -> None:
    path = home.path / "rules.md"
    path.write_text("From the file.")
    settings = home.resolve(
        f'model_instructions_file = "{path}"', overrides=ConversationOverrides(base_instructions="From the call.")
    )
    assert settings.base_instructions == "From the call."


def test_unreadable_instructions_file_is_an_error_though_it_would_lose(home: "Home") -> None:
    overrides = ConversationOverrides(base_instructions="From the call.")
    text = _fault(home, 'experimental_instructions_file = "gone.md"', overrides)
    assert text == "failed to read experimental instructions file /start/gone.md: No such file or directory"


def test_empty_instructions_file_is_an_error(home: "Home") -> None:
    path = home.path / "empty.md"
    path.write_text(" \n")
    assert _fault(home, f'experimental_instructions_file = "{path}"') == (
        f"experimental instructions file is empty: {path}"
    )


def test_compact_prompt_comes_from_argument_then_key_then_file(home: "Home") -> None:
    path = home.path / "prompt.md"
    path.write_text("From the file.")
    by_file = f'experimental_compact_prompt_file = "{path}"\n'
    by_key = f'compact_prompt = "From the key."\n{by_file}'
    assert home.resolve(by_file).compact_prompt == "From the file."
    assert home.resolve(by_key).compact_prompt == "From the key."
    overrides = ConversationOverrides(compact_prompt="From the call.")
    assert home.resolve(by_key, overrides=overrides).compact_prompt == "From the call."


def test_developer_instructions_come_from_argument_then_key(home: "Home") -> None:
    text = 'developer_instructions = "From the key."'
    assert home.resolve(text).developer_instructions == "From the key."
    overrides = ConversationOverrides(developer_instructions="From the call.")
    assert home.resolve(text, overrides=overrides).developer_instructions == "From the call."
    assert home.resolve('developer_instructions = ""').developer_instructions is None


# Tools


@pytest.mark.parametrize(("argument", "offered"), [(None, False), (True, True), (False, False)])
def test_plan_tool_is_decided_by_the_argument_then_by_the_file(
    home: "Home", argument: bool | None, offered: bool
) -> None:
    overrides = ConversationOverrides(include_plan_tool=argument)
    assert home.resolve("tools.update_plan.enabled = false", overrides=overrides).include_plan_tool is offered


# Forking


def test_preload_leaves_nothing_to_load_for_a_fork() -> None:
    preload()
    watch = (
        "import sys, greenroom.config.settings as s; s.preload(); before = set(sys.modules);"
        "s.resolve_settings('/nonexistent', ['model=o3'], s.ConversationOverrides(), '/', {});"
        "print(sorted(set(sys.modules) - before), 'asyncio' in sys.modules, 'dotenv' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] False False"


def test_neither_the_settings_nor_how_they_come_about_import_pydantic() -> None:
    watch = (
        "import sys, pkgutil, importlib, greenroom.config;"
        "modules = pkgutil.iter_modules(greenroom.config.__path__, 'greenroom.config.');"
        "[importlib.import_module(module.name) for module in modules];"
        "s = sys.modules['greenroom.config.settings'];"
        "s.resolve_settings('/nonexistent', ['model=o3'], s.ConversationOverrides(), '/', {});"
        "print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("text", "provider", "model", "url"),
    [
        ("", "oss", "gpt-oss:20b", "http://localhost:11434/v1"),
        ('oss_provider = "ollama"', "ollama", "gpt-oss:20b", "http://localhost:11434/v1"),
        ('oss_provider = "lmstudio"', "lmstudio", "openai/gpt-oss-20b", "http://localhost:1234/v1"),
        (
            'oss_provider = "lmstudio"\nmodel = "gpt-oss:20b"',
            "lmstudio",
            "openai/gpt-oss-20b",
            "http://localhost:1234/v1",
        ),
        ('oss_provider = "lmstudio"\nmodel = "qwen3"', "lmstudio", "qwen3", "http://localhost:1234/v1"),
    ],
)
def test_oss_is_whichever_server_of_this_machine_is_chosen(
    home: "Home", text: str, provider: str, model: str, url: str
) -> None:
    settings = home.resolve(f'model_provider = "oss"\n{text}\n')
    assert (settings.provider_id, settings.model, settings.provider.base(chatgpt=False)) == (provider, model, url)
    assert settings.provider.wire_api == "chat"
