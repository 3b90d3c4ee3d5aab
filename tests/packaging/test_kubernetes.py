"""The manifests fit the schemas of Kubernetes, the command line, the settings and metrics, and each other."""

import argparse
import shlex
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml

from greenroom.config.section import check
from greenroom.config.tables.greenroom import GreenroomTable
from greenroom.config.tables.nodes import PORTS, NodesTable, split_address
from greenroom.protocol.telemetry.metrics import METRICS
from greenroom.protocol.version import __version__
from greenroom.supervisor.cli import command_line
from greenroom.supervisor.processes.nodes.addresses import Service, address_of

FOLDER: Final = Path(__file__).parents[2] / "packaging" / "kubernetes"
FILES: Final = sorted(FOLDER.iterdir())
DOCUMENTS: Final[list[dict[str, Any]]] = [
    document for path in FILES for document in yaml.safe_load_all(path.read_text("utf-8"))
]
VERSIONS: Final = ("1.31", "1.37")
"""The oldest and the newest Kubernetes whose schemas are looked at."""
WORKLOADS: Final = [one for one in DOCUMENTS if one["kind"] == "StatefulSet"]
PAGE: Final = (FOLDER.parents[1] / "docs" / "scale.md").read_text("utf-8")


def document(kind: str, name: str) -> dict[str, Any]:
    (found,) = (one for one in DOCUMENTS if (one["kind"], one["metadata"]["name"]) == (kind, name))
    return found


def named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = (one for one in items if one["name"] == name)
    return found


def pod(name: str) -> dict[str, Any]:
    template: dict[str, Any] = document("StatefulSet", name)["spec"]["template"]
    return template


def containers(workload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    spec = workload["spec"]["template"]["spec"]
    yield from (*spec.get("initContainers", ()), *spec["containers"])


def settings() -> dict[str, Any]:
    return tomllib.loads(document("ConfigMap", "greenroom-config")["data"]["config.toml"])


def parsed(words: list[str]) -> argparse.Namespace:
    """Return what the program makes of the words behind its name."""
    return command_line.command_parser().parse_args(words)


def label(one: Mapping[str, Any]) -> str:
    return f"{one['kind']}-{one['metadata']['name']}"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("one", DOCUMENTS, ids=label)
def test_a_manifest_fits_the_schema(one: dict[str, Any], version: str) -> None:
    assert kubernetes_validate.validate(one, version, strict=True) == version


def test_the_schemas_find_a_wrong_member() -> None:
    wrong = {**document("StatefulSet", "greenroom-node")}
    wrong["spec"] = {**wrong["spec"], "replica": 3}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_the_command_lines_are_those_of_the_program() -> None:
    host = named(pod("greenroom-host")["spec"]["containers"], "host")
    assert host["args"][0] == "serve"
    assert parsed(host["args"])
    node = named(pod("greenroom-node")["spec"]["containers"], "node")
    (variable,) = (one for one in node["env"] if one["name"] == "POD_NAME")
    assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    arguments = parsed([word.replace("$(POD_NAME)", "greenroom-node-7") for word in node["args"]])
    address, port = split_address(arguments.join)
    service = document("Service", address)["spec"]
    assert named(service["ports"], "nodes")["port"] == port
    assert arguments.name == "greenroom-node-7"
    mounts = {one["mountPath"] for one in node["volumeMounts"]}
    assert str(Path(arguments.ticket).parent) in mounts
    assert str(Path(arguments.state).parent) in mounts, "a directory of the program's own, below the volume"
    check_words = host["livenessProbe"]["exec"]["command"]
    assert check_words[:2] == ["greenroom", "status"]
    assert parsed(check_words[1:])


def test_the_settings_are_those_of_the_program() -> None:
    table = settings()["greenroom"]
    read = check(GreenroomTable, table, ("greenroom",))
    nodes = check(NodesTable, read.nodes, ("greenroom", "nodes"))
    assert nodes.wait_for_nodes
    assert nodes.host_capacity is not None
    node = named(pod("greenroom-node")["spec"]["containers"], "node")
    capacity = parsed(node["args"]).capacity
    most = document("HorizontalPodAutoscaler", "greenroom-node")["spec"]["maxReplicas"]
    assert 0 <= nodes.host_capacity + most * capacity - read.live_workers <= capacity
    grace = pod("greenroom-node")["spec"]["terminationGracePeriodSeconds"]
    assert grace == pod("greenroom-host")["spec"]["terminationGracePeriodSeconds"]
    assert grace >= read.drain_s + 15


def test_every_port_of_the_host_is_open_to_nodes_and_no_other() -> None:
    listen = settings()["greenroom"]["nodes"]["listen"]
    names: tuple[Service, ...] = ("nodes", "mailbox", "broker", "changes")
    expected = {name: split_address(address_of(listen, name))[1] for name in names}
    assert len(expected) == PORTS
    service = document("Service", "greenroom-host")["spec"]
    assert {one["name"]: one["port"] for one in service["ports"]} == expected
    host = named(pod("greenroom-host")["spec"]["containers"], "host")
    assert {one["name"]: one["containerPort"] for one in host["ports"]} == expected
    (rule,) = document("NetworkPolicy", "greenroom-host")["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": min(expected.values()), "endPort": max(expected.values())}]
    policy = document("NetworkPolicy", "greenroom-node")["spec"]
    assert "Ingress" in policy["policyTypes"]
    assert "ingress" not in policy
    assert policy["egress"][0]["ports"] == rule["ports"]
    open_to_the_world = [rule for rule in policy["egress"] if any("ipBlock" in peer for peer in rule["to"])]
    assert [rule["ports"] for rule in open_to_the_world] == [[{"protocol": "TCP", "port": 443}]]


@pytest.mark.parametrize("workload", WORKLOADS, ids=label)
def test_labels_select_what_they_mean(workload: dict[str, Any]) -> None:
    name, labels = workload["metadata"]["name"], workload["spec"]["template"]["metadata"]["labels"]
    assert workload["spec"]["selector"]["matchLabels"] == labels
    assert document("Service", workload["spec"]["serviceName"])["spec"]["selector"] == labels
    assert document("NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"] == labels


@pytest.mark.parametrize("workload", WORKLOADS, ids=label)
def test_a_pod_has_no_right_that_it_does_not_need_and_leaves_the_sandbox_possible(workload: dict[str, Any]) -> None:
    spec = workload["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    context = spec["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] == context["fsGroup"] == 1000
    assert context["fsGroupChangePolicy"] == "OnRootMismatch"
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(workload):
        own = container["securityContext"]
        assert own == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["image"] == f"greenroom:{__version__}", "a node of another version is refused"
        volumes = {one["name"] for one in spec["volumes"]}
        volumes |= {one["metadata"]["name"] for one in workload["spec"].get("volumeClaimTemplates", ())}
        assert {one["name"] for one in container["volumeMounts"]} <= volumes


def test_directories_are_at_the_same_path_on_host_and_nodes() -> None:
    places = {
        next(mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "work")
        for workload in WORKLOADS
        for container in workload["spec"]["template"]["spec"]["containers"]
    }
    assert places == {"/work"}


def test_the_autoscaler_goes_by_a_metric_of_the_program() -> None:
    scaler = document("HorizontalPodAutoscaler", "greenroom-node")["spec"]
    target = document(scaler["scaleTargetRef"]["kind"], scaler["scaleTargetRef"]["name"])
    assert "replicas" not in target["spec"], "what the autoscaler has set stays"
    (metric,) = scaler["metrics"]
    name = metric["external"]["metric"]["name"]
    assert METRICS[name].kind == "gauge"
    node = named(pod("greenroom-node")["spec"]["containers"], "node")
    capacity = parsed(node["args"]).capacity
    assert int(metric["external"]["target"]["averageValue"]) <= capacity
    assert name in PAGE


def test_the_ticket_is_for_the_pool_of_the_autoscaler() -> None:
    words = next(
        shlex.split(line)
        for line in PAGE.replace("\\\n", " ").splitlines()
        if line.startswith("kubectl exec") and "node ticket" in line
    )
    arguments = parsed(words[words.index("greenroom") + 1 :])
    assert arguments.name == document("StatefulSet", "greenroom-node")["metadata"]["name"], "as its pods are called"
    assert arguments.pool == document("HorizontalPodAutoscaler", "greenroom-node")["spec"]["maxReplicas"]


def test_a_ticket_of_a_secret_becomes_one_for_its_user_alone(tmp_path: Path) -> None:
    (step,) = pod("greenroom-node")["spec"]["initContainers"]
    shell, flag, script = step["command"]
    (tmp_path / "secret").mkdir()
    (tmp_path / "ticket").mkdir()
    moved = script.replace("/secret/", f"{tmp_path}/secret/").replace("/ticket/ticket;", f"{tmp_path}/ticket/ticket;")
    for text in (None, "a ticket"):
        if text is not None:
            (tmp_path / "secret" / "ticket").write_text(text)
            (tmp_path / "secret" / "ticket").chmod(0o440)
        subprocess.run((shell, flag, moved), check=True, timeout=20)
    copied = tmp_path / "ticket" / "ticket"
    assert copied.read_text() == "a ticket"
    assert copied.stat().st_mode & 0o777 == 0o600
