"""What the server serves and what the catalogue of the wire says are the same; programs can read it as JSON Schema."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from greenroom.demo.script import CommandStep, PatchStep, Quote, Text, rule
from greenroom.protocol import catalog
from greenroom.protocol.errors import ERROR_KINDS
from greenroom.protocol.events.table import EVENTS
from greenroom.protocol.methods import METHODS
from greenroom.supervisor.cli.schema import schema_document
from tests.support.client import LATER, text
from tests.support.played import SETTLING, serve
from tests.support.server import SCRIPT
from tests.support.stage import Stage


@pytest.fixture
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="gr-", dir="/tmp"))  # short: addresses of sockets are
    yield path
    shutil.rmtree(path)


def test_every_method_that_is_served_is_listed(home: Path) -> None:
    served = serve(lambda _: [SETTLING], home, {"XDG_RUNTIME_DIR": str(home), "CODEX_HOME": str(home)}).methods
    assert served == METHODS.keys(), "enter the method in protocol/methods.py, then `make docs`"


@pytest.mark.parametrize("name", METHODS)
def test_the_models_of_its_params_exist(name: str) -> None:
    assert all(issubclass(model, msgspec.Struct) for model in catalog.params_models(METHODS[name]))


def test_every_kind_of_failure_is_described() -> None:
    assert catalog.KINDS.keys() == ERROR_KINDS


def test_the_schemas_are_schemas_and_what_they_refer_to_is_there() -> None:
    schema = json.loads(json.dumps(schema_document()))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["events"].keys() == EVENTS.keys()
    for reference in references(schema):
        assert reference.removeprefix("#/$defs/") in schema["$defs"]
    for definition in schema["$defs"].values():
        jsonschema.Draft202012Validator.check_schema(definition)


def references(node: Any) -> Iterator[str]:
    match node:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for value in node.values():
                yield from references(value)
        case list():
            for value in node:
                yield from references(value)


def test_what_is_sent_fits_the_schemas_that_the_program_prints(stage: Stage) -> None:
    printed = subprocess.run((SCRIPT, "schema"), capture_output=True, timeout=30, check=True).stdout
    schema = json.loads(printed)
    stage.play(rule("go", [Text("Now."), CommandStep(("echo", "hi"))], [Quote("It said ")]))
    client = stage.serve("fork").client
    call = client.codex("go", cwd=stage.cwd)
    client.result(call)
    forms = {name: {**form, "$defs": schema["$defs"]} for name, form in schema["events"].items()}
    for event in client.all_events(call):
        jsonschema.Draft202012Validator(forms[event["type"]]).validate(event)


def test_a_client_of_august_2025_gets_the_forms_of_its_time(stage: Stage) -> None:
    patch = "*** Begin Patch\n*** Add File: new.txt\n+hello\n*** End Patch\n"
    stage.play(rule("go", [CommandStep(("echo", "hi"))], [PatchStep(patch)], [Text("Done.")]))
    client = stage.serve("fork", "-c", "greenroom.event_form=baseline").client
    client.expects_current_form = False
    call = client.codex("go", cwd=stage.cwd)
    assert text(client.result(call)) == "Done."
    later = {event["type"] for event in client.all_events(call)} & LATER
    assert later == {"mcp_startup_complete"}, "which nobody can misread"
    assert client.event(call, "exec_command_output_delta")["chunk"] == list(b"hi\n")
    changes = client.event(call, "patch_apply_begin")["changes"]
    assert changes == {f"{stage.cwd}/new.txt": {"add": {"content": "hello\n"}}}
    assert "info" not in client.event(call, "token_count")
