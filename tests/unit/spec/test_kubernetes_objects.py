"""Defaults, selectors and immutable facts of the Kubernetes kinds. The corpus of bad files has refusals."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import SpecError
from testbed.inet import Protocol
from testbed.spec.kubernetes import AnyObject, EndpointSlice, Pod, Service
from testbed.spec.kubernetes.catalog import BUILT, NETWORKING, WITHOUT_BEARING
from testbed.spec.kubernetes.names import is_dns_label, is_label_key, is_label_value, is_port_name
from testbed.spec.kubernetes.selectors import LabelSelector
from testbed.spec.kubernetes.updates import check_update
from testbed.spec.load import joined, load_manifests, parse_manifests

GOOD = Path(__file__).parent / "good"
UPSTREAM = Path(__file__).parents[4] / "shared" / "upstream"


def one(kind: str, spec: object, version: str = "v1", **more: object) -> AnyObject:
    metadata = {"name": "web", **more}
    (made,) = parse_manifests(
        [{"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}]
    ).objects
    return made


def service(**spec: object) -> Service:
    made = one("Service", {"ports": [{"port": 80}], "selector": {"app": "web"}, **spec})
    assert isinstance(made, Service)
    return made


def pod(**spec: object) -> Pod:
    made = one("Pod", {"containers": [{"name": "web", "image": "nginx"}], **spec})
    assert isinstance(made, Pod)
    return made


def workload(kind: str, **spec: object) -> AnyObject:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "nginx"}]},
    }
    selector = {"matchLabels": {"app": "web"}}
    return one(kind, {"selector": selector, "template": template, **spec}, "apps/v1")


def test_service_defaults() -> None:
    made = service()
    (port,) = made.spec.ports
    assert (made.metadata.namespace, made.spec.type, made.spec.cluster_ip) == ("default", "ClusterIP", "")
    assert (port.name, port.protocol, port.port, port.target_port, port.node_port) == (
        "",
        Protocol.TCP,
        80,
        80,
        None,
    )
    assert made.spec.cluster_ips == ()
    assert not made.spec.publish_not_ready_addresses
    assert service(clusterIP="10.96.0.20").spec.cluster_ips == ("10.96.0.20",)
    assert service(clusterIP="None").spec.is_headless


def test_zero_values_count_as_not_set() -> None:
    made = service(
        clusterIP="", externalIPs=[], ports=[{"port": 80, "protocol": "", "nodePort": 0, "name": ""}]
    )
    assert made.spec.ports[0].protocol is Protocol.TCP
    assert made.spec.ports[0].node_port is None
    assert pod(nodeName="", hostNetwork=False, hostAliases=None).spec.node_name == ""


def test_pod_defaults() -> None:
    made = pod(containers=[{"name": "a", "image": "b", "ports": [{"containerPort": 80}]}])
    (port,) = made.spec.containers[0].ports
    assert (port.container_port, port.protocol, port.name) == (80, Protocol.TCP, "")
    assert (made.spec.restart_policy, made.spec.dns_policy, made.spec.node_selector) == (
        "Always",
        "ClusterFirst",
        {},
    )


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet", "StatefulSet"])
def test_one_replica_by_default(kind: str) -> None:
    made = workload(kind)
    assert made.kind == kind
    assert getattr(made.spec, "replicas", None) == 1


def test_endpoint_conditions_follow_ready() -> None:
    slices = parse_manifests(
        [
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": "a", "labels": {"kubernetes.io/service-name": "web"}},
                "addressType": "IPv4",
                "endpoints": [
                    {"addresses": ["10.0.0.1"]},
                    {"addresses": ["10.0.0.2"], "conditions": {"ready": False}},
                ],
                "ports": [{"port": 80}],
            }
        ]
    ).objects
    assert isinstance(slices[0], EndpointSlice)
    seen = [
        (item.conditions.ready, item.conditions.serving, item.conditions.terminating)
        for item in slices[0].endpoints
    ]
    assert seen == [(True, True, False), (False, False, False)]
    assert slices[0].service_name == "web"


def test_objects_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        pod().spec.node_name = "node1"


def selector(**parts: object) -> LabelSelector:
    return LabelSelector.model_validate(parts)


@pytest.mark.parametrize(
    ("operator", "values", "labels", "matches"),
    [
        ("In", ["a", "b"], {"k": "a"}, True), ("In", ["a"], {"k": "c"}, False), ("In", ["a"], {}, False),
        ("In", [""], {}, False), ("NotIn", ["a"], {"k": "a"}, False), ("NotIn", ["a"], {"k": "b"}, True),
        ("NotIn", ["a"], {}, True), ("Exists", [], {"k": ""}, True), ("Exists", [], {}, False),
        ("DoesNotExist", [], {}, True), ("DoesNotExist", [], {"k": "a"}, False),
    ],
)  # fmt: skip
def test_match_expressions(
    operator: str, values: list[str], labels: Mapping[str, str], matches: bool
) -> None:
    made = selector(matchExpressions=[{"key": "k", "operator": operator, "values": values}])
    assert made.matches(labels) is matches


def test_all_parts_of_a_selector_must_match() -> None:
    made = selector(matchLabels={"app": "web"}, matchExpressions=[{"key": "tier", "operator": "Exists"}])
    assert made.matches({"app": "web", "tier": "x", "more": "y"})
    assert not made.matches({"app": "web"})
    assert not made.matches({"tier": "x"})
    assert selector().matches({})


@settings(max_examples=60)
@given(st.text(alphabet="aZ0-._/!", max_size=8))
def test_names_agree_with_their_definitions(text: str) -> None:
    inner = text.replace("-", "").replace(".", "").replace("_", "")
    assert is_dns_label(text) == (bool(text) and set(text) <= set("a0-") and text[0] != "-" != text[-1])
    assert is_label_value(text) == (
        not text or (inner.isalnum() and text[0].isalnum() and text[-1].isalnum())
    )
    assert not is_port_name(text) or (is_dns_label(text) and "a" in text and "--" not in text)
    assert not is_label_key(text) or text.count("/") < 2


def paths(old: AnyObject, new: AnyObject) -> list[tuple[str | int, ...]]:
    return [problem.path for problem in check_update(old, new)]


def test_what_may_not_change() -> None:
    assert paths(service(clusterIP="10.96.0.20"), service(clusterIP="10.96.0.21")) == [("spec", "clusterIP")]
    assert paths(workload("StatefulSet", serviceName="a"), workload("StatefulSet", serviceName="b")) == [
        ("spec", "serviceName")
    ]
    other = {"matchExpressions": [{"key": "app", "operator": "Exists"}]}
    for kind in ("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"):
        assert paths(workload(kind), workload(kind, selector=other)) == [("spec", "selector")]
    assert paths(pod(nodeName="node1"), pod(nodeName="node2")) == [("spec", "nodeName")]
    ports = [{"name": "web", "image": "nginx", "ports": [{"containerPort": 80}]}]
    assert paths(pod(), pod(containers=ports)) == [("spec", "containers", 0, "ports")]
    assert paths(pod(), one("Pod", {"containers": ports}, namespace="kube-system"))[0] == (
        "metadata",
        "namespace",
    )
    assert paths(pod(), service()) == [("kind",)]


def test_what_may_change() -> None:
    assert paths(service(clusterIP="10.96.0.20"), service()) == []
    assert paths(service(), service(selector={"app": "other"}, ports=[{"port": 81}])) == []
    assert paths(workload("Deployment"), workload("Deployment", replicas=5)) == []
    assert paths(pod(), pod(nodeName="node1")) == []
    ports = [[{"containerPort": 80, **more}] for more in ({}, {"protocol": "TCP", "name": ""})]
    old, new = (pod(containers=[{"name": "web", "image": "nginx", "ports": given}]) for given in ports)
    assert paths(old, new) == []
    assert old == new
    assert hash(old) == hash(new)
    assert paths(pod(), pod(containers=[{"name": "web", "image": "nginx:2"}])) == []


def test_every_kind_stands_in_one_table() -> None:
    tables = [set(BUILT), set(NETWORKING), set(WITHOUT_BEARING)]
    assert len(set.union(*tables)) == sum(map(len, tables))


def test_one_of_everything() -> None:
    made = load_manifests([GOOD / "application.yaml"])
    assert sorted({item.kind for item in made.objects}) == sorted(BUILT)
    assert made.ignored.summary() == (
        "accepted without bearing on networking: 1 object (ConfigMap 1) and 7 fields "
        "(env 1, hostname 1, readinessProbe 1, spec 1, strategy 1, tolerations 1, volumeClaimTemplates 1)"
    )
    assert [str(item).split(": ", 1)[1] for item in made.notices] == [
        "spec.type: the ClusterIP is served; the node port is not"
    ]


def test_notices_for_services_that_lead_nowhere() -> None:
    documents = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"app": "web"}},
         "spec": {"containers": [{"name": "a", "image": "b",
                                  "ports": [{"containerPort": 80, "name": "http"}]}]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"},
         "spec": {"selector": {"app": "wbe"}, "ports": [{"port": 80}]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "b"},
         "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "htp"}]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "c"},
         "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}},
    ]  # fmt: skip
    assert [str(item) for item in parse_manifests(documents).notices] == [
        "<generated>: spec: no selector and no EndpointSlice: this Service has no endpoints",
        "<generated>: spec.ports[0].targetPort: no selected Pod has a container port called 'htp'; "
        "did you mean 'http'?",
        "<generated>: spec.selector: no Pod in namespace default has these labels: "
        "this Service has no endpoints",
        "<generated>: spec.type: the ClusterIP is served; the load balancer is not",
    ]


def test_joined_applications_are_checked_together() -> None:
    made = load_manifests([GOOD / "application.yaml"])
    extra = parse_manifests([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}])
    assert len(joined(made, extra).objects) == len(made.objects) + 1
    with pytest.raises(SpecError, match="Namespace shop stands twice"):
        joined(made, made)


def test_documents_without_a_yaml_form_are_refused() -> None:
    with pytest.raises(SpecError, match="set has no YAML form"):
        parse_manifests([{"apiVersion": {"v1"}}])


@pytest.mark.skipif(not UPSTREAM.is_dir(), reason=f"the folder of upstream manifests is absent: {UPSTREAM}")
def test_upstream_guestbook_loads_unchanged() -> None:
    made = load_manifests([UPSTREAM / "guestbook-all-in-one.yaml"])
    assert [f"{item.kind}/{item.metadata.name}" for item in made.objects] == [
        f"{kind}/{name}"
        for name in ("redis-master", "redis-replica", "frontend")
        for kind in ("Service", "Deployment")
    ]
    assert len(made.notices) == 1
