"""What is under deploy/k8s, read as Kubernetes would read it."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

K8S = Path(__file__).parents[2] / "deploy" / "k8s"
SERVICES = ("gateway", "llm-router", "orchestrator", "registry", "trainer")

_REFERENCE = re.compile(r"\$\((\w+)\)")
_UNITS = {"": 1, "m": 0.001, "Mi": 2**20, "Gi": 2**30}


def quantity(text: str) -> float:
    """`4Gi`, `500m`, `2` and so on, as a number."""
    number, unit = re.fullmatch(r"([\d.]+)(\w*)", text).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit]


@cache
def kustomization() -> dict[str, Any]:
    return yaml.safe_load((K8S / "kustomization.yaml").read_text())


@cache
def documents() -> tuple[dict[str, Any], ...]:
    """All resources that are applied."""
    return tuple(
        document for file in kustomization()["resources"] for document in yaml.safe_load_all((K8S / file).read_text())
    )


def of_kind(*kinds: str) -> Iterator[dict[str, Any]]:
    return (document for document in documents() if document["kind"] in kinds)


def named(kind: str, name: str) -> dict[str, Any]:
    """Raises StopIteration where there is none."""
    return next(document for document in of_kind(kind) if document["metadata"]["name"] == name)


@cache
def secrets(folder: Path) -> Mapping[str, Mapping[str, str]]:
    """What `make-secrets.sh` makes for a new installation."""
    names = (*SERVICES, "provisioner")
    keys = folder / "keys"
    keys.write_text("".join(f"{name} access-{name} secret-{name}\n" for name in names))
    given = {"POSTGRES_USER": "root", "POSTGRES_PASSWORD": "secret", "S3_KEYS": str(keys)}
    made = subprocess.run(
        [str(K8S / "make-secrets.sh")], env={**os.environ, **given}, check=True, capture_output=True, text=True
    )
    documents = [document for document in yaml.safe_load_all(made.stdout) if document]
    return {document["metadata"]["name"]: document["stringData"] for document in documents}


@dataclass(frozen=True)
class Workload:
    """A pod template and what keeps it running."""

    kind: str
    name: str
    spec: dict[str, Any]

    @property
    def pod(self) -> dict[str, Any]:
        return self.spec["template"]["spec"]

    @property
    def labels(self) -> dict[str, str]:
        return self.spec["template"]["metadata"]["labels"]

    @property
    def container(self) -> dict[str, Any]:
        (container,) = self.pod["containers"]
        return container

    @property
    def module(self) -> str:
        """What of ours it runs."""
        return self.container["args"][0]

    @property
    def ports(self) -> set[str]:
        return {port["name"] for port in self.container.get("ports", ())}

    def environment(self, secrets: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        """As the process sees it. Raises KeyError for what is nowhere."""
        seen: dict[str, str] = {}
        for source in self.container.get("envFrom", ()):
            if "configMapRef" in source:
                seen |= named("ConfigMap", source["configMapRef"]["name"])["data"]
            else:
                seen |= secrets[source["secretRef"]["name"]]
        for entry in self.container.get("env", ()):
            if "value" in entry:
                seen[entry["name"]] = _REFERENCE.sub(lambda match: seen[match[1]], entry["value"])
            elif "secretKeyRef" in entry["valueFrom"]:
                key = entry["valueFrom"]["secretKeyRef"]
                seen[entry["name"]] = secrets[key["name"]][key["key"]]
            else:
                seen[entry["name"]] = self.name
        return seen


def workloads() -> list[Workload]:
    return [
        Workload(document["kind"], document["metadata"]["name"], document["spec"])
        for document in of_kind("Deployment", "StatefulSet", "Job")
    ]


def ours() -> list[Workload]:
    """Those that run our images."""
    return [workload for workload in workloads() if "llm-platform/" in workload.container["image"]]
