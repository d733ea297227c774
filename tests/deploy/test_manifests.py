"""The manifests fit each other, and the code that they run."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic_settings import BaseSettings

from common.provision.__main__ import Settings as Provision
from common.service import Service
from contracts.pipeline import AGENT_CONFIGS
from contracts.topology import ACCESS, STREAMS, Access, permissions
from embedded.programs import script
from gateway.settings import GatewaySettings
from llm_router.settings import RouterSettings
from orchestrator.settings import Settings as OrchestratorSettings
from registry.settings import Settings as RegistrySettings
from tests.deploy.manifests import K8S, Workload, documents, kustomization, named, of_kind, ours, quantity, workloads
from tests.deploy.manifests import secrets as made_secrets
from trainer.settings import Settings as TrainerSettings

Secrets = Mapping[str, Mapping[str, str]]
SETTINGS: dict[str, type[BaseSettings]] = {
    "gateway.main": GatewaySettings,
    "llm_router.main": RouterSettings,
    "orchestrator.main": OrchestratorSettings,
    "registry.main": RegistrySettings,
    "trainer.main": TrainerSettings,
    "common.provision": Provision,
}
OTHERS = {"POSTGRES_ADDRESS", "POSTGRES_PASSWORD", "POSTGRES_USER", "PGSSLROOTCERT", "HF_HOME"}
"""Variables that something else reads: other manifests, Postgres' client, the client of Hugging Face."""
DOCKER = K8S.parent / "docker"
GRACE = 15
"""Seconds that a service takes to end beside what its settings allow."""
MOST_CONNECTIONS = 200
"""Connections that docs/operating.md asks of Postgres."""


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Secrets:
    return made_secrets(tmp_path_factory.mktemp("secrets"))


def _by_name(workload: Workload) -> str:
    return workload.name


def _settings(workload: Workload, secrets: Secrets, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in [name for name in os.environ if name.startswith("PLATFORM_")]:
        monkeypatch.delenv(name)
    for name, value in workload.environment(secrets).items():
        monkeypatch.setenv(name, value)
    return SETTINGS[workload.module]()


@pytest.mark.parametrize("workload", ours(), ids=_by_name)
def test_what_a_pod_is_told_is_what_its_settings_read(
    workload: Workload, secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _settings(workload, secrets, monkeypatch)
    fields = {f"PLATFORM_{name.upper()}" for name in type(settings).model_fields}
    own = {entry["name"] for entry in workload.container["env"]}
    for source in workload.container["envFrom"]:
        own |= set(secrets[source["secretRef"]["name"]] if "secretRef" in source else ())
    assert {name.split("__")[0] for name in own} <= fields | OTHERS
    if workload.module != "common.provision":
        role = workload.module.split(".")[0]
        assert settings.nats_user == role
        assert settings.database_url.get_secret_value().startswith(f"postgresql://{role}:p")
        assert (settings.admin_host, settings.admin_port) == ("0.0.0.0", 9000)


def test_what_all_are_told_is_read_by_somebody(secrets: Secrets) -> None:
    told = named("ConfigMap", "platform")["data"]
    read = {f"PLATFORM_{name.upper()}" for settings in SETTINGS.values() for name in settings.model_fields}
    assert {name for name in told if not name.startswith("OTEL_")} <= read | OTHERS


def test_new_secrets_are_what_the_services_take(secrets: Secrets) -> None:
    Fernet(secrets["llm-router"]["PLATFORM_SECRET_KEY"])
    made = [value for secret in secrets.values() for name, value in secret.items() if "NATS" in name or "ADMIN" in name]
    assert len(set(made)) == len(made)
    assert all(value[0].isalpha() and len(value) > 32 for value in made)


@pytest.mark.parametrize("workload", ours(), ids=_by_name)
def test_a_pod_has_the_time_to_end_that_its_service_takes(
    workload: Workload, secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    if workload.kind == "Job":
        return
    settings = _settings(workload, secrets, monkeypatch)
    before = workload.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    drain = max(settings.drain_seconds, getattr(settings, "shutdown_seconds", 0))
    assert workload.pod["terminationGracePeriodSeconds"] >= before + drain + GRACE


def test_routers_and_gateways_let_answers_end_that_engines_may_take_for(
    secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_name = {workload.name: workload for workload in ours()}
    router = _settings(by_name["llm-router"], secrets, monkeypatch)
    gateway = _settings(by_name["gateway"], secrets, monkeypatch)
    assert min(router.drain_seconds, gateway.shutdown_seconds) >= router.engine_request_timeout


@pytest.mark.parametrize("workload", workloads(), ids=_by_name)
def test_pods_have_no_rights_that_they_do_not_need(workload: Workload) -> None:
    pod, own = workload.pod, workload.container["securityContext"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert own.get("readOnlyRootFilesystem") is True or "vllm" in workload.container["image"]
    assert "memory" in workload.container["resources"]["limits"]
    assert "cpu" in workload.container["resources"]["requests"]


@pytest.mark.parametrize("workload", workloads(), ids=_by_name)
def test_what_a_pod_refers_to_is_there(workload: Workload) -> None:
    pod, container = workload.pod, workload.container
    volumes = {volume["name"]: volume for volume in pod.get("volumes", ())}
    volumes |= {claim["metadata"]["name"]: claim for claim in workload.spec.get("volumeClaimTemplates", ())}
    assert {mount["name"] for mount in container.get("volumeMounts", ())} == set(volumes)
    generated = {generator["name"] for generator in kustomization()["configMapGenerator"]}
    for volume in volumes.values():
        if "persistentVolumeClaim" in volume:
            assert named("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
        if "configMap" in volume:
            assert volume["configMap"]["name"] in generated
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe in container:
            assert container[probe]["httpGet"]["port"] in workload.ports
    if workload.kind != "Job":
        assert workload.spec["selector"]["matchLabels"].items() <= workload.labels.items()
        assert "/healthz" in container["livenessProbe"]["httpGet"]["path"] or "vllm" in container["image"]


def test_what_points_at_pods_finds_them() -> None:
    by_name = {workload.name: workload for workload in workloads()}

    def selected(labels: Mapping[str, str]) -> list[Workload]:
        return [workload for workload in by_name.values() if labels.items() <= workload.labels.items()]

    for service in of_kind("Service"):
        (target,) = selected(service["spec"]["selector"])
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= target.ports
    for budget in of_kind("PodDisruptionBudget"):
        assert selected(budget["spec"]["selector"]["matchLabels"])
    for scaler in of_kind("HorizontalPodAutoscaler"):
        target = by_name[scaler["spec"]["scaleTargetRef"]["name"]]
        # Each time it is applied, a number of replicas would undo what the scaler decided.
        assert "replicas" not in target.spec
    for ingress in of_kind("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                ports = {port["name"] for port in named("Service", backend["name"])["spec"]["ports"]}
                assert backend["port"]["name"] in ports
    for policy in of_kind("NetworkPolicy"):
        for expression in _expressions(policy["spec"]):
            assert {"gateway", "provision"} <= set(expression["values"]) <= set(by_name)
            assert {workload.name for workload in ours()} == set(expression["values"])


def _expressions(spec: Any) -> list[dict[str, Any]]:
    if isinstance(spec, dict):
        return [*spec.get("matchExpressions", ()), *(found for value in spec.values() for found in _expressions(value))]
    return [found for value in spec for found in _expressions(value)] if isinstance(spec, list) else []


def test_every_file_is_applied() -> None:
    known = {*kustomization()["resources"], "kustomization.yaml", "make-secrets.sh"}
    known |= {file for generator in kustomization()["configMapGenerator"] for file in generator["files"]}
    assert {path.name for path in K8S.iterdir()} == known
    names = [(document["kind"], document["metadata"]["name"]) for document in documents()]
    assert len(set(names)) == len(names)


def test_every_agent_has_a_worker(secrets: Secrets, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = [workload for workload in ours() if workload.module == "trainer.main"]
    classes = [_settings(worker, secrets, monkeypatch).agent_classes for worker in workers]
    assert sorted(name for taken in classes for name in taken) == sorted(AGENT_CONFIGS)


def test_a_registry_has_the_memory_and_the_disk_that_reading_takes(
    secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = next(workload for workload in ours() if workload.name == "registry")
    settings = _settings(registry, secrets, monkeypatch)
    limits = registry.container["resources"]["limits"]
    assert quantity(limits["memory"]) >= settings.inspections * settings.inspection_memory_bytes + 2**29
    # The copy of what is read, and as much again where it is packed.
    assert quantity(limits["ephemeral-storage"]) >= settings.inspections * settings.max_dataset_bytes * 1.25


def test_postgres_has_the_connections_that_all_replicas_may_hold(
    secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 0
    scaled = {scaler["spec"]["scaleTargetRef"]["name"]: scaler["spec"] for scaler in of_kind("HorizontalPodAutoscaler")}
    for workload in ours():
        if workload.kind == "Deployment":
            settings = _settings(workload, secrets, monkeypatch)
            replicas = scaled[workload.name]["maxReplicas"] if workload.name in scaled else workload.spec["replicas"]
            # One more while it is replaced.
            most += (replicas + 1) * settings.database_pool_size
    assert most <= MOST_CONNECTIONS
    assert f"max_connections` of at least {MOST_CONNECTIONS}" in (K8S.parents[1] / "docs" / "operating.md").read_text()


# NATS


def _users() -> str:
    """The users of NATS as its configuration has them: what they may is what the topology says."""
    lines = ["# Made from contracts/topology.py by `UPDATE_SNAPSHOT=1 pytest tests/deploy`; do not edit."]
    lines += ["authorization {", "  users: ["]
    lines += ["    { user: platform, password: $PROVISIONER_NATS_PASSWORD }"]
    lines += [line for access in ACCESS for line in _user(access)]
    return "\n".join([*lines, "  ]", "}", ""])


def _user(access: Access) -> list[str]:
    def subjects(kind: str, allowed: tuple[str, ...]) -> list[str]:
        return [f"        {kind}: {{ allow: [", *(f'          "{subject}"' for subject in allowed), "        ] }"]

    allowed = permissions(access)
    return [
        "    {",
        f"      user: {access.service}",
        f"      password: ${access.service.upper()}_NATS_PASSWORD",
        "      permissions: {",
        *subjects("publish", allowed.publish),
        *subjects("subscribe", allowed.subscribe),
        "      }",
        "    }",
    ]


def test_users_of_nats_may_do_what_the_topology_says(secrets: Secrets, tmp_path: Path) -> None:
    file = K8S / "users.conf"
    if os.environ.get("UPDATE_SNAPSHOT"):
        file.write_text(_users())
    assert file.read_text() == _users(), "the topology has changed: UPDATE_SNAPSHOT=1 pytest tests/deploy"
    nats = next(workload for workload in workloads() if workload.name == "nats")
    environment = {"PATH": os.defpath, **nats.environment(secrets)}
    checked = subprocess.run(
        [script("nats-server"), "--config", str(K8S / "nats.conf"), "-t"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_streams_fit_on_the_disks_of_nats() -> None:
    (line,) = [line for line in (K8S / "nats.conf").read_text().splitlines() if "max_file_store" in line]
    store = int(line.split(":")[1].strip().removesuffix("GB")) * 2**30
    (claim,) = named("StatefulSet", "nats")["spec"]["volumeClaimTemplates"]
    assert sum(stream.max_bytes for stream in STREAMS) <= store
    assert store <= quantity(claim["spec"]["resources"]["requests"]["storage"])
    provision = next(workload for workload in ours() if workload.kind == "Job")
    replicas = next(entry["value"] for entry in provision.container["env"] if entry["name"] == "PLATFORM_NATS_REPLICAS")
    assert int(replicas) <= named("StatefulSet", "nats")["spec"]["replicas"]


# Images


def test_services_start_without_what_only_training_needs() -> None:
    left_out = [line[1:-2] for line in (DOCKER / "training.txt").read_text().split()]
    left_out += [line[1:-2] for line in (DOCKER / "servers.txt").read_text().split()]
    modules = [module for module in SETTINGS if module != "trainer.main"] + ["registry.engine.inspection_process"]
    code = (
        "import importlib, importlib.abc, sys\n"
        f"left_out = {[name.replace('-', '_') for name in left_out]}\n"
        "class Absent(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name.split('.')[0] in left_out: raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        f"for module in {modules}: importlib.import_module(module)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    pinned = (DOCKER.parents[1] / "requirements" / "services.txt").read_text()
    assert all(f"\n{name}==" in pinned for name in left_out)


async def test_the_part_that_gateways_do_without_is_one() -> None:
    path = named("Deployment", "gateway")["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]
    service = Service("gateway", GatewaySettings())

    async def away() -> None:
        raise ConnectionError

    service.add_check("postgres", away)
    assert path["path"] == "/readyz?exclude=postgres"
    assert await service.readiness(exclude=["postgres"]) == {}
