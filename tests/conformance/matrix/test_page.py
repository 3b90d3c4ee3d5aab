"""docs/clients.md names the clients of the matrix, with the versions that are installed."""

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.conformance.foreign import CLIENTS
from tests.conformance.matrix.rows import WAYS, Way

PAGE: Final = Path(__file__).parents[3] / "docs" / "clients.md"
NAMES: Final = {
    ("mcp", "1"): "MCP Python SDK 1",
    ("mcp", "2"): "MCP Python SDK 2, auto",
    ("@modelcontextprotocol/sdk", "1"): "MCP TypeScript SDK 1",
    ("@modelcontextprotocol/client", "2"): "MCP TypeScript SDK 2, auto",
    ("openai-codex", "0"): "Codex Python SDK",
    ("@agentclientprotocol/codex-acp", "2"): "codex-acp",
    ("@openai/codex-sdk", "0"): "Codex TypeScript SDK",
}
"""The rows of the matrix, by package and generation."""
ORDER: Final[tuple[Way, ...]] = ("own server", "attached", "HTTP")


def installed() -> set[tuple[str, str]]:
    """Return the packages of other makers that are installed for tests, with their versions."""
    found = {("mcp", version("mcp"))}
    for path in CLIENTS.glob("*.txt"):
        found |= set(re.findall(r"^([\w-]+)==([\d.]+)", path.read_text(), re.MULTILINE))
    for path in CLIENTS.rglob("package.json"):
        found |= set(json.loads(path.read_text())["dependencies"].items())
    return found


def test_the_page_has_the_clients_of_the_matrix_with_their_versions_and_ways() -> None:
    lines = [
        line.strip("|").split("|") for line in PAGE.read_text().splitlines() if re.match(r"\|.*`.*\((PyPI|npm)\)", line)
    ]
    told: dict[str, tuple[Way, ...]] = {}
    for name, number, *ways in ([cell.strip() for cell in line] for line in lines):
        (package,) = re.findall(r"`(.+)`", name)
        assert (package, number) in installed()
        client = NAMES[package, number.partition(".")[0]]
        told[client] = tuple(way for way, cell in zip(ORDER, ways, strict=True) if cell == "yes")
    assert told == {client: WAYS[client] for client in NAMES.values()}
