"""`greenroom app-server generate-json-schema`: JSON Schemas of the protocol, as far as it is served.

Each message has a file of its own below `v2`, named after its struct. Three files list what there is: the requests of
clients, and the notifications and requests of the server. Clients look there for members that they want to use.
"""

import os
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from greenroom.protocol.app_server.methods import METHODS, struct_of
from greenroom.protocol.app_server.notifications import NOTIFICATIONS
from greenroom.protocol.app_server.questions import QUESTIONS
from greenroom.supervisor.cli.schema import DIALECT

_TEMPLATE: Final = "#/definitions/{name}"


def schemas() -> dict[str, dict[str, Any]]:
    """Return the files by their paths."""
    params = {name: struct_of(method.params) for name, method in METHODS.items()}
    results = [struct_of(method.result) for method in METHODS.values()]
    structs = {struct.__name__: struct for struct in (*params.values(), *results, *NOTIFICATIONS.values())}
    structs |= {struct.__name__: struct for struct in QUESTIONS.values()}
    files = {f"v2/{name}.json": _document(name, {name: struct}) for name, struct in structs.items()}
    return {
        **files,
        "ClientRequest.json": _union("ClientRequest", params),
        "ServerNotification.json": _union("ServerNotification", NOTIFICATIONS),
        "ServerRequest.json": _union("ServerRequest", QUESTIONS),
    }


def run(directory: str) -> int:
    """Write the files below a directory, which is made where it is missing."""
    for path, schema in schemas().items():
        whole = os.path.join(directory, path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(schema)) + b"\n")
    return 0


def _document(name: str, structs: Mapping[str, type[msgspec.Struct]]) -> dict[str, Any]:
    _, definitions = msgspec.json.schema_components(list(structs.values()), ref_template=_TEMPLATE)
    own = definitions.pop(name)
    return {"$schema": DIALECT, **own, "definitions": definitions}


def _union(title: str, structs: Mapping[str, type[msgspec.Struct]]) -> dict[str, Any]:
    references, definitions = msgspec.json.schema_components(list(structs.values()), ref_template=_TEMPLATE)
    variants = [
        {
            "type": "object",
            "properties": {"method": {"enum": [method]}, "params": reference},
            "required": ["method"],
        }
        for method, reference in zip(structs, references, strict=True)
    ]
    return {"$schema": DIALECT, "title": title, "oneOf": variants, "definitions": definitions}
