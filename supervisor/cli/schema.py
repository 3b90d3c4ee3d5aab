"""`greenroom schema`: JSON Schemas of all that crosses a client's connection, for programs in any language."""

import sys
from typing import Final

import msgspec

from greenroom.protocol import catalog
from greenroom.protocol.catalog import params_models
from greenroom.protocol.events.table import EVENTS
from greenroom.protocol.mcp.toolset import TOOLS
from greenroom.protocol.methods import METHODS
from greenroom.protocol.version import __version__

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TEMPLATE: Final = "#/$defs/{name}"


def schema_document() -> dict[str, object]:
    """Return one schema with a definition for each method's params, each event and each tool."""
    params = {name: params_models(method) for name, method in METHODS.items()}
    models = [*dict.fromkeys(model for found in params.values() for model in found), *EVENTS.values()]
    references, definitions = msgspec.json.schema_components(models, ref_template=_TEMPLATE)
    schemas = dict(zip(models, references, strict=True))
    return {
        "$schema": DIALECT,
        "title": f"What clients and Greenroom {__version__} say to each other",
        "methods": {
            name: {"description": method.meaning, "params": [schemas[model] for model in params[name]]}
            for name, method in METHODS.items()
        },
        "tools": {str(tool["name"]): tool for tool in TOOLS},
        "events": {name: schemas[model] for name, model in EVENTS.items()},
        "notifications": _told(catalog.NOTIFICATIONS),
        "requests": _told(catalog.QUESTIONS),
        "errors": {code.name: {"code": code.number, "description": code.cause} for code in catalog.CODES},
        "kinds": catalog.KINDS,
        "$defs": definitions,
    }


def _told(messages: tuple[catalog.SentMessage, ...]) -> dict[str, object]:
    return {message.name: {"description": message.meaning} for message in catalog.served(messages)}


def run() -> int:
    """Print the document."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(schema_document())).decode() + "\n")
    return 0
