"""What a client reads and writes of the configuration, the models and the account."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from greenroom.demo.script import Text, rule
from greenroom.protocol.app_server.methods import METHODS, UNSUPPORTED
from tests.supervisor.frontend.app_server.conftest import Serve
from tests.support.app_server import AppClient
from tests.support.server import SCRIPT
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Hi.")])


def result(client: AppClient, method: str, **params: object) -> dict[str, Any]:
    return client.result(client.request(method, params))


def edit(key: str, value: object, strategy: str = "replace") -> dict[str, object]:
    return {"keyPath": key, "value": value, "mergeStrategy": strategy}


def test_the_configuration_is_read_with_its_origins_and_without_secrets(stage: Stage, app: Serve) -> None:
    stage.play(HELLO, more='http_headers = { Authorization = "s3cret" }')
    client = app("-c", "model=flagged").app
    read = result(client, "config/read", includeLayers=True, cwd=stage.cwd)
    config, origins = read["config"], read["origins"]
    assert (config["model"], config["model_provider"], config["approval_policy"]) == ("flagged", "mock", "never")
    assert origins["model"]["name"] == {"type": "sessionFlags"}
    assert origins["approval_policy"]["name"] == {"type": "user", "file": str(stage.home.config)}
    assert [layer["name"]["type"] for layer in read["layers"]] == ["sessionFlags", "user"]
    assert "s3cret" not in json.dumps(read)
    assert result(client, "config/read").get("layers") is None


def test_a_setting_is_written_and_everything_else_stays(stage: Stage, app: Serve) -> None:
    stage.play(HELLO)
    text = "# mine\n" + stage.home.config.read_text() + "\n# the end\n"
    stage.home.config.write_text(text)
    client = app().app
    version = result(client, "config/read", includeLayers=True)["layers"][0]["version"]
    written = result(client, "config/value/write", **edit("model", "other"), expectedVersion=version)
    assert (written["status"], written["filePath"]) == ("ok", str(stage.home.config))
    assert stage.home.config.read_text() == text.replace('model = "scripted"', 'model = "other"')
    assert result(client, "thread/start", cwd=stage.cwd)["model"] == "other"
    edits = [
        edit('projects."/a.b".trust_level', "trusted"),
        edit("tools", {"update_plan": {"enabled": False}}, "upsert"),
    ]
    again = result(client, "config/batchWrite", edits=edits, expectedVersion=written["version"])
    assert '[projects."/a.b"]\ntrust_level = "trusted"' in stage.home.config.read_text()
    result(client, "config/value/write", **edit('projects."/a.b".trust_level', None), expectedVersion=again["version"])
    assert "trusted" not in stage.home.config.read_text()


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"edits": [edit("model", "x"), edit("approval_policy", "bogus")]}, "configValidationError"),
        ({"edits": [edit("model\n[x]\na", "x")]}, "configValidationError"),
        ({"edits": [edit("model", "x")], "expectedVersion": "sha256:0"}, "configVersionConflict"),
        ({"edits": [edit("model", "x")], "filePath": "/etc/passwd"}, "configLayerReadonly"),
    ],
)
def test_what_cannot_be_written_leaves_the_file_alone(
    stage: Stage, app: Serve, params: dict[str, object], code: str
) -> None:
    stage.play(HELLO)
    before = stage.home.config.read_bytes()
    error = app().app.ask("config/batchWrite", params)["error"]
    assert (error["code"], error["data"]) == (-32600, {"config_write_error_code": code})
    assert stage.home.config.read_bytes() == before


def put_skill(root: Path, name: str) -> Path:
    file = root / name / "SKILL.md"
    file.parent.mkdir(parents=True)
    file.write_text(f"---\nname: {name}\ndescription: About {name}.\n---\nDo it.\n")
    return file


def test_a_client_names_folders_of_skills_and_switches_skills_off(stage: Stage, app: Serve) -> None:
    stage.play(HELLO)
    further, own = stage.workspace / "further", stage.home.path / "skills"
    path, other = put_skill(further, "further-skill"), put_skill(own, "own-skill")
    client = app().app

    def skills() -> dict[str, tuple[str, bool]]:
        (entry,) = result(client, "skills/list", cwds=[stage.cwd])["data"]
        assert entry["errors"] == []
        return {
            one["name"]: (one["scope"], one["enabled"]) for one in entry["skills"] if one["name"].endswith("-skill")
        }

    usual = {"own-skill": ("user", True)}
    assert skills() == usual
    assert result(client, "skills/extraRoots/set", extraRoots=[str(further), "/nonexistent"]) == {}
    client.told("skills/changed")
    assert skills() == {**usual, "further-skill": ("user", True)}
    # a thread is offered them as well
    client.completed(client.say(client.start(cwd=stage.cwd), "hello"))
    assert b"further-skill: About further-skill." in stage.model.requests()[-1].body
    # and another client is not
    (entry,) = result(app().app, "skills/list", cwds=[stage.cwd])["data"]
    assert "further-skill" not in json.dumps(entry)
    written = result(client, "skills/config/write", enabled=False, name="own-skill")
    assert written == {"effectiveEnabled": False}
    result(client, "skills/config/write", enabled=False, path=str(path))
    assert skills() == {"own-skill": ("user", False), "further-skill": ("user", False)}
    for skill in ({"name": "own-skill"}, {"path": str(path)}):
        assert result(client, "skills/config/write", enabled=True, **skill) == {"effectiveEnabled": True}
    assert skills() == {**usual, "further-skill": ("user", True)}
    result(client, "skills/extraRoots/set", extraRoots=[])
    assert skills() == usual
    wrong: list[tuple[str, dict[str, object]]] = [
        ("skills/extraRoots/set", {}),
        ("skills/extraRoots/set", {"extraRoots": ["relative"]}),
        ("skills/extraRoots/set", {"extraRoots": ["/a\0b"]}),
        ("skills/extraRoots/set", {"extraRoots": ["/a"] * 51}),
        ("skills/config/write", {"enabled": False}),
        ("skills/config/write", {"enabled": False, "name": "a", "path": str(other)}),
        ("skills/config/write", {"enabled": False, "path": "relative"}),
        ("skills/config/write", {"name": "a"}),
    ]
    client.judge = None  # some of these do not fit the schema
    for method, params in wrong:
        assert client.refused(method, params)[0] == -32602, (method, params)
    stage.home.config.write_text(
        stage.home.config.read_text().replace("[model_providers", "skills = 1\n[model_providers", 1)
    )
    assert client.refused("skills/config/write", {"enabled": False, "name": "a"})[0] == -32600


def test_models_providers_profiles_and_skills_are_listed(stage: Stage, app: Serve) -> None:
    stage.play(HELLO)
    client = app().app
    models = result(client, "model/list")["data"]
    assert [model["id"] for model in models if model["isDefault"]] == ["scripted"]
    providers = result(client, "modelProvider/list")
    assert providers["defaultProviderId"] == "mock"
    assert [one["id"] for one in providers["data"]] == ["mock", "openai"]
    profiles = result(client, "permissionProfile/list", cwd=stage.cwd)["data"]
    assert [one["id"] for one in profiles] == [":read-only", ":workspace", ":danger-full-access"]
    skill = stage.workspace / ".agents" / "skills" / "greet" / "SKILL.md"
    skill.parent.mkdir(parents=True)
    skill.write_text("---\nname: greet\ndescription: How to greet.\n---\nSay hello.\n")
    (entry,) = result(client, "skills/list", cwds=[stage.cwd])["data"]
    (greet,) = [one for one in entry["skills"] if one["scope"] == "repo"]
    assert (entry["cwd"], greet["name"], greet["description"]) == (stage.cwd, "greet", "How to greet.")
    assert result(client, "configRequirements/read") == {"requirements": None}
    (stage.workspace / "needle.txt").write_text("")
    found = result(client, "fuzzyFileSearch", query="nedl", roots=[stage.cwd], cancellationToken=None)["files"]
    assert [one["path"] for one in found] == ["needle.txt"]


def test_an_account_is_read_and_an_api_key_logs_in_and_out(stage: Stage, app: Serve) -> None:
    stage.play(HELLO)
    client = app().app
    assert result(client, "account/read") == {"account": None, "requiresOpenaiAuth": False}
    assert result(client, "account/login/start", type="apiKey", apiKey="sk-x") == {"type": "apiKey"}
    assert client.told("account/updated")["authMode"] == "apikey"
    assert result(client, "account/read")["account"] == {"type": "apiKey"}
    gone = "01a2b3c4-0000-7000-8000-000000000000"
    assert result(client, "account/login/cancel", loginId=gone) == {"status": "notFound"}
    assert client.result(client.request("account/logout")) == {}
    assert result(client, "account/read")["account"] is None
    assert {"loginChatGptComplete", "authStatusChange"}.isdisjoint(client.methods())


def test_every_method_of_the_table_is_served_and_no_other(stage: Stage, app: Serve) -> None:
    stage.play(HELLO)
    client = app().app
    client.judge = None
    for method in METHODS:
        error = client.ask(method, {})
        assert error.get("error", {}).get("code") != -32601, method


def test_schemas_are_written_for_clients_that_want_to_know(stage: Stage, tmp_path: Path) -> None:
    out = tmp_path / "schemas"
    command = (str(SCRIPT), "-c", "a=b", "app-server", "generate-json-schema", "--experimental", "--out", str(out))
    done = subprocess.run(command, env=stage.environment(), capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for name, member in (
        ("TurnStart", "turnTrigger"),
        ("ThreadResume", "excludeTurns"),
        ("ThreadFork", "excludeTurns"),
    ):
        schema = json.loads((out / "v2" / f"{name}Params.json").read_text())
        assert member in schema["properties"], name
    requests = json.loads((out / "ClientRequest.json").read_text())["oneOf"]
    assert [one["properties"]["method"]["enum"][0] for one in requests] == list(METHODS)


def test_the_tables_name_every_stable_method_of_the_reference_once() -> None:
    from benchmarks.reference_program import Missing
    from tests.conformance.app_server.schemas import printed_schemas

    named = [*METHODS, *(name for refused in UNSUPPORTED.values() for name in refused.names)]
    assert len(named) == len(set(named))
    schemas = printed_schemas()
    if isinstance(schemas, Missing):
        pytest.skip(schemas.reason)
    assert set(named) <= schemas.requests.keys()
