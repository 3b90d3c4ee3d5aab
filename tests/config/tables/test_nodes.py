"""The table `[greenroom.nodes]`: what is off, what is refused, and the tables of single nodes."""

import pytest

from greenroom.config.section import check
from greenroom.config.tables.nodes import NodesTable, node_name, split_address
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


def test_ray_has_a_table_of_its_own_and_paths_for_all_its_nodes() -> None:
    told = {"max_nodes": 3, "resources": {"rack": 1}, "paths": {"/work": "/srv"}}
    table = read({"engine": "ray", "ray": told, "n1": {"capacity": 8}})
    assert table.ray.max_nodes == 3
    assert table.ray.resources == {"rack": 1.0}
    assert table.of("ray-2").paths == {"/work": "/srv"}
    assert table.of("n1").capacity == 8
    assert table.of("n2").paths == {}
    assert read({"ray": told}).of("ray-2").paths == {}, "one that has joined by itself"


@pytest.mark.parametrize(
    "ray",
    [
        {"min_nodes": 2, "max_nodes": 1},
        {"max_nodes": 0},
        {"spread": "PACK"},
        {"resources": {"CPU": 1}},
        {"resources": {"rack": 0}},
        {"num_cpus": -1},
        {"max_restarts": -2},
        {"idle_s": 0},
        {"gpu": 1},
    ],
)
def test_what_ray_could_not_do_is_refused(ray: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        read({"engine": "ray", "ray": ray})
