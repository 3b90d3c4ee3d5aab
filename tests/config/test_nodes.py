"""The table `[greenroom.nodes]`: what is off, what is refused, and the tables of single nodes."""

import pytest

from greenroom.config.nodes import NodesTable, node_name, split_address
from greenroom.config.section import check
from greenroom.protocol.errors import ConfigError


def read(table: dict[str, object]) -> NodesTable:
    return check(NodesTable, table, ("greenroom", "nodes"))


def test_nothing_listens_unless_it_is_set() -> None:
    assert read({}).listen is None


def test_tables_of_nodes_stand_beside_the_settings() -> None:
    table = read(
        {"listen": "tcp://10.0.0.1:7700", "idle_workers": 0, "gpu-1": {"capacity": 8, "paths": {"/work": "/srv"}}}
    )
    assert table.named["gpu-1"].paths == {"/work": "/srv"}
    assert table.named["gpu-1"].capacity == 8
    assert table.idle_workers == 0
    assert not table.wait_for_nodes


@pytest.mark.parametrize(
    "table",
    [
        {"listen": "10.0.0.1:7700"},
        {"listen": "tcp://10.0.0.1"},
        {"listen": "tcp://10.0.0.1:0"},
        {"listen": "tcp://10.0.0.1:65535"},
        {"listen": "ipc:///tmp/x"},
        {"engine": "fleet"},
        {"unknown": 1},
        {"a b": {}},
        {"n1": {"paths": {"relative": "/x"}}},
        {"n1": {"room": 1}},
        {"n1": {"capacity": -1}},
    ],
)
def test_what_cannot_be_meant_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        read(table)


def test_an_address_has_a_host_and_a_port() -> None:
    assert split_address("tcp://host.example:7700") == ("host.example", 7700)
    with pytest.raises(ValueError, match="no address"):
        split_address("tcp://[::1]:7700")


@pytest.mark.parametrize("name", ["", "a/b", "..", "a\n", "x" * 64, "ticket node"])
def test_names_of_nodes_are_plain(name: str) -> None:
    with pytest.raises(ConfigError):
        node_name(name)
