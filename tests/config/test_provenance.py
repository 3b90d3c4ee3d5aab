"""Each value in force is told with its layer, as `resolve_settings` would choose it, and secrets are hidden."""

from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.document import Table
from greenroom.config.overrides import Assignment, assign
from greenroom.config.provenance import HIDDEN, Origin, chosen_profile, value_origins


def test_the_strongest_layer_counts() -> None:
    file: Table = {"model": "a", "sandbox_mode": "read-only", "profiles": {"p": {"model": "b"}, "q": {"model": "c"}}}
    assert value_origins(file, [], None) == [
        Origin("model", "a", "config.toml"),
        Origin("sandbox_mode", "read-only", "config.toml"),
    ]
    assert Origin("model", "b", "profile p") in value_origins(file, [], "p")
    assert Origin("model", "d", "-c") in value_origins(file, [Assignment(("model",), "d")], "p")


def test_a_table_and_a_value_replace_each_other() -> None:
    file: Table = {"tools": {"web_search": {"context_size": "low"}}}
    assert value_origins(file, [Assignment(("tools", "web_search"), True)], None) == [
        Origin("tools.web_search", "true", "-c"),
    ]
    assert value_origins({"tools": {"web_search": True}}, [Assignment(("tools",), {"web_search": {"x": 1}})], None) == [
        Origin("tools.web_search.x", "1", "-c"),
    ]


def test_secrets_are_hidden_and_long_values_are_cut() -> None:
    file: Table = {
        "model_providers": {"p": {"experimental_bearer_token": "t", "http_headers": {"X": "y"}, "env_key": "NAME"}},
        "mcp_servers": {"s": {"env": {"A": "b"}, "args": ["--token", "abc"]}},
        "shell_environment_policy": {"set": {"A": "b"}},
        "developer_instructions": "x" * 500,
    }
    found = {origin.key: origin.value for origin in value_origins(file, [], None)}
    hidden = {key for key, value in found.items() if value == HIDDEN}
    assert hidden == {
        "model_providers.p.experimental_bearer_token",
        "model_providers.p.http_headers.X",
        "mcp_servers.s.env.A",
        "mcp_servers.s.args",
        "shell_environment_policy.set.A",
    }
    assert found["model_providers.p.env_key"] == "NAME"
    assert len(found["developer_instructions"]) == 60


def test_the_profile_of_the_file_is_chosen_unless_another_is_given() -> None:
    assert (chosen_profile({"profile": "a"}), chosen_profile({"profile": "a"}, "b"), chosen_profile({})) == (
        "a",
        "b",
        None,
    )


paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple)
values = st.integers() | st.dictionaries(st.sampled_from("abc"), st.integers(), min_size=1, max_size=2)


def leaves(value: object, path: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the values of a table as text, by their dotted keys."""
    if isinstance(value, dict) and value:
        return {key: text for name, member in value.items() for key, text in leaves(member, (*path, name)).items()}
    return {".".join(path): str(value)}


@given(st.lists(st.builds(Assignment, paths, values), max_size=6))
def test_what_is_told_is_what_the_overrides_lead_to(assignments: list[Assignment]) -> None:
    table: Table = {}
    for assignment in assignments:
        assign(table, assignment)
    told = {origin.key: origin.value for origin in value_origins({}, assignments, None)}
    assert told == (leaves(table) if table else {})
