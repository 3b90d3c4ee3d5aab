"""Judges messages by the schemas that the reference prints of its own protocol."""

import json
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft7Validator

from benchmarks.reference_program import NEWEST, Missing, ensure_reference
from tests.conformance.packages import CACHE
from tests.support.client import Message, RequestId

_RESULTS: Final = {
    "initialize": "InitializeResponse",
    "account/logout": "LogoutAccountResponse",
    "account/rateLimits/read": "GetAccountRateLimitsResponse",
    "account/securitySetup/read": "GetAccountSecuritySetupResponse",
    "account/usage/read": "GetAccountTokenUsageResponse",
    "account/workspaceMessages/read": "GetWorkspaceMessagesResponse",
    "configRequirements/read": "ConfigRequirementsReadResponse",
    "config/mcpServer/reload": "McpServerRefreshResponse",
    "config/value/write": "ConfigWriteResponse",
    "config/batchWrite": "ConfigWriteResponse",
    "windowsSandbox/readiness": "WindowsSandboxReadinessResponse",
}
"""The schemas of results whose names do not follow from those of their params."""
SECONDS: Final = 60.0


class Schemas:
    """What one release says of its messages."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.requests = self._by_method("ClientRequest")
        self.questions = self._by_method("ServerRequest")
        self.notifications = self._by_method("ServerNotification")
        self._validators: dict[str, Draft7Validator] = {}

    def check_params(self, table: Mapping[str, str], method: str, params: object) -> None:
        """Raise `ValidationError` if the params of a message do not fit, `KeyError` if there is no such message."""
        name = table[method]
        if name:
            self._validator(name).validate({} if params is None else params)

    def check_result(self, method: str, result: object) -> None:
        """Raise `ValidationError` if a result does not fit, or `KeyError` where the reference has no such method."""
        named = self.requests[method].removesuffix("Params") + "Response"
        self._validator(_RESULTS.get(method, named)).validate(result)

    def check_answer(self, method: str, result: object) -> None:
        """Do the same with the client's answer to a question."""
        self._validator(self.questions[method].removesuffix("Params") + "Response").validate(result)

    def _by_method(self, name: str) -> dict[str, str]:
        variants = json.loads((self._directory / f"{name}.json").read_text())["oneOf"]
        return {variant["properties"]["method"]["enum"][0]: _params(variant) for variant in variants}

    def _validator(self, name: str) -> Draft7Validator:
        if name not in self._validators:
            places = (self._directory / folder / f"{name}.json" for folder in ("v2", "v1", "."))
            schema = json.loads(next(place for place in places if place.exists()).read_text())
            self._validators[name] = Draft7Validator(schema)
        return self._validators[name]


class Judge:
    """Judges every message of one connection, in both directions."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self._requests: dict[RequestId, str] = {}
        self._questions: dict[RequestId, str] = {}
        self.judged: Counter[str] = Counter()

    def __call__(self, message: Message, is_own: bool) -> None:
        """Take a message of the client, where `is_own`, or of the server. Raises `ValidationError`."""
        match message:
            case {"method": str(method), "id": request_id} if is_own:
                self._requests[request_id] = method
                if method in self._schemas.requests:
                    self._schemas.check_params(self._schemas.requests, method, message.get("params"))
            case {"method": str(method), "id": request_id}:
                self._questions[request_id] = method
                self._schemas.check_params(self._schemas.questions, method, message["params"])
                self.judged[method] += 1
            case {"method": str(method)} if not is_own:
                self._schemas.check_params(self._schemas.notifications, method, message["params"])
                assert isinstance(message["emittedAtMs"], int)
                self.judged[method] += 1
            case {"id": request_id, "result": result} if is_own:
                self._schemas.check_answer(self._questions[request_id], result)
            case {"id": request_id, "result": result}:
                self._schemas.check_result(self._requests[request_id], result)
                self.judged[f"result of {self._requests[request_id]}"] += 1


@cache
def printed_schemas() -> Schemas | Missing:
    """Return the schemas that the newest reference prints, those of experimental methods included."""
    directory = CACHE / f"schemas-{NEWEST.version}"
    if not directory.exists():
        program = ensure_reference(release=NEWEST)
        failure = program if isinstance(program, Missing) else _print(program.path, directory)
        if failure is not None:
            return failure
    return Schemas(directory)


def _print(program: str, directory: Path) -> Missing | None:
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        printed, home = Path(scratch) / "printed", Path(scratch) / "home"
        home.mkdir()
        command = (program, "app-server", "generate-json-schema", "--experimental", "--out", str(printed))
        environment = {**os.environ, "CODEX_HOME": str(home)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
        if done.returncode:
            return Missing(f"the reference prints no schemas: {done.stderr.strip()[-200:]}")
        with suppress(OSError):  # another test process was faster
            printed.rename(directory)
    return None


def _params(variant: dict[str, Any]) -> str:
    params = variant["properties"].get("params", {})
    return str(params.get("$ref", "")).rpartition("/")[2]
