"""What dashboards and alerts ask for is what the services export, and all of it."""

import importlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

import promql_parser as promql
import pytest
import yaml
from prometheus_client import REGISTRY

from contracts.base import RefusalCode
from contracts.orchestrator import StepStatus
from llm_router.domain.failures import FailureKind
from orchestrator.domain.machine import Ended
from tests.deploy.manifests import K8S, ours

DEPLOY = K8S.parent
SCRAPED = {"job", "service", "pod", "instance"}
"""Labels that Prometheus adds, by deploy/prometheus/prometheus.yaml."""
NOT_OURS = {"up": set(), "process_cpu_seconds_total": set(), "process_resident_memory_bytes": set()}
BOUNDED = {
    *("agent_class", "code", "consumer", "engine", "kind", "method", "model", "outcome", "part", "route", "state"),
    *("status", "subject", "task", "trigger", "type"),
}
"""Labels that there may be: their values are few, and none is a person, a key, a run or a caller's text."""
VALUES = {
    ("http_requests", "status"): {"1xx", "2xx", "3xx", "4xx", "5xx"},
    ("bus_requests", "outcome"): {"ok", "expired", "cancelled", *RefusalCode},
    ("router_completions", "outcome"): {"completed", "cancelled", "crash", *FailureKind, *RefusalCode},
    ("orchestrator_steps_open", "status"): set(get_args(StepStatus)),
    ("orchestrator_runs_ended", "status"): set(get_args(Ended)),
    ("allowance_leases", "outcome"): {"away", "granted", "reached"},
    ("up", "service"): {workload.name for workload in ours()},
    ("up", "job"): {"llm-platform"},
}
INCREASING = {"rate", "increase", "irate"}


@dataclass(frozen=True)
class Metric:
    kind: str
    labels: frozenset[str]


@cache
def exported() -> dict[str, Metric]:
    """All metrics of the services, by the name that their declaration gives."""
    for service in ("gateway", "llm_router", "orchestrator", "registry", "trainer"):
        importlib.import_module(f"{service}.main")
    return {
        collector._name: Metric(collector._type, frozenset(collector._labelnames))
        for collector in REGISTRY._collector_to_names
        if hasattr(collector, "_labelnames") and not collector._name.startswith("python_")
    }


@cache
def recorded() -> dict[str, str]:
    return {rule["record"]: rule["expr"] for rule in _rules() if "record" in rule}


def _rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _alerts() -> list[dict[str, Any]]:
    return [rule for rule in _rules() if "alert" in rule]


def _panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted((DEPLOY / "grafana").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            yield file.stem, panel


def _targets() -> list[Any]:
    return [
        pytest.param(target["expr"], target["legendFormat"], id=f"{board}: {panel['title']} {target['refId']}")
        for board, panel in _panels()
        for target in panel.get("targets", ())
    ]


def _parse(expression: str) -> Any:
    """As Grafana would send it."""
    return promql.parse(expression.replace("$__rate_interval", "5m"))


def _resolve(name: str) -> tuple[str, Metric]:
    """What a series is of. Raises KeyError where nobody exports it."""
    if name in NOT_OURS:
        return name, Metric("counter" if name.endswith("_total") else "gauge", frozenset(NOT_OURS[name]))
    for suffix, kind in (
        ("_total", "counter"),
        ("_bucket", "histogram"),
        ("_sum", "histogram"),
        ("_count", "histogram"),
    ):
        base = name.removesuffix(suffix)
        if name.endswith(suffix) and base in exported() and exported()[base].kind == kind:
            metric = exported()[base]
            return base, Metric("counter", metric.labels | ({"le"} if suffix == "_bucket" else set()))
    metric = exported()[name]
    assert metric.kind == "gauge", f"{name} is exported under other names"
    return name, metric


def _check(node: Any, *, increasing: bool = False) -> set[str]:
    """The labels that the result of an expression has. Fails where it asks for what there is not."""
    labels: set[str] = set()
    match node:
        case promql.VectorSelector():
            labels = _selected(node, increasing=increasing)
        case promql.MatrixSelector():
            labels = _check(node.vector_selector, increasing=increasing)
        case promql.Call():
            labels = labels.union(*(_check(part, increasing=node.func.name in INCREASING) for part in node.args))
            if node.func.name == "histogram_quantile":
                assert "le" in labels, "the buckets are gone"
                labels -= {"le"}
        case promql.AggregateExpr():
            inner, kept = _check(node.expr), set(node.modifier.labels if node.modifier else ())
            assert kept <= inner, f"{kept} are no labels of {node.expr}"
            labels = inner if "topk" in str(node.op) else kept
        case promql.BinaryExpr():
            left, right = _check(node.lhs), _check(node.rhs)
            labels = left | right if str(node.op) == "or" else left or right
        case promql.ParenExpr() | promql.SubqueryExpr():
            labels = _check(node.expr)
        case _:
            assert isinstance(node, promql.NumberLiteral), f"{type(node)} is not known here"
    return labels


def _selected(selector: Any, *, increasing: bool) -> set[str]:
    if selector.name in recorded():
        return set()
    base, metric = _resolve(selector.name)
    assert (metric.kind == "counter") == increasing, f"{selector.name} is a {metric.kind}"
    labels = metric.labels | SCRAPED
    for matcher in selector.matchers.matchers:
        assert matcher.name in labels, f"{selector.name} has no label {matcher.name}"
        if (base, matcher.name) in VALUES and not matcher.value.startswith("$"):
            assert set(matcher.value.split("|")) <= VALUES[base, matcher.name]
    return set(labels)


@pytest.mark.parametrize(("expression", "legend"), _targets())
def test_a_panel_shows_what_there_is(expression: str, legend: str) -> None:
    assert set(re.findall(r"{{(\w+)}}", legend)) <= _check(_parse(expression))


@pytest.mark.parametrize("alert", [pytest.param(alert, id=alert["alert"]) for alert in _alerts()])
def test_an_alert_asks_for_what_there_is_and_says_what_to_do(alert: dict[str, Any]) -> None:
    named = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"]))
    assert named <= _check(_parse(alert["expr"]))
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"]["runbook"] == f"docs/operating.md#{alert['alert'].lower()}"


def test_what_is_recorded_asks_for_what_there_is() -> None:
    for expression in recorded().values():
        _check(_parse(expression))


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool comes with Prometheus")
def test_alerts_do_what_they_should() -> None:
    subprocess.run(["promtool", "test", "rules", str(DEPLOY / "prometheus" / "rules_test.yaml")], check=True)


def test_each_alert_has_its_place_in_the_guide_and_each_place_an_alert() -> None:
    guide = (DEPLOY.parent / "docs" / "operating.md").read_text().split("\n## What to do at an alert\n")[1]
    places = re.findall(r"^### (\w+)$", guide.split("\n## ")[0], re.MULTILINE)
    assert places == [alert["alert"] for alert in _alerts()]


def test_every_metric_is_on_a_dashboard() -> None:
    shown = " ".join(target["expr"] for _, panel in _panels() for target in panel.get("targets", ()))
    assert [name for name in exported() if not re.search(rf"\b{name}(_total|_bucket)?\b", shown)] == []


def test_no_metric_has_a_label_of_many_values() -> None:
    assert {label for metric in exported().values() for label in metric.labels} <= BOUNDED


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[str, int, int]] = set()
    for board, panel in _panels():
        place = panel["gridPos"]
        cells = {(board, place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
