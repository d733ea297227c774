"""Every contract as JSON schema, so that any change to what services say to each other is a visible diff."""

import importlib
import json
import os
import pkgutil
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

import contracts
from contracts.base import Event, Rpc, Stream
from contracts.pipeline import AGENT_CONFIGS

SNAPSHOT = Path(__file__).with_name("snapshot.json")
OWNERS = [importlib.import_module(f"contracts.{found.name}") for found in pkgutil.iter_modules(contracts.__path__)]
"""Every module of contracts: a new one cannot be forgotten."""


def declared() -> dict[str, Rpc[Any, Any] | Stream[Any, Any, Any] | Event[Any]]:
    values = [value for owner in OWNERS for value in vars(owner).values() if isinstance(value, Rpc | Stream | Event)]
    return {value.subject: value for value in values}


def described() -> dict[str, Any]:
    told: dict[str, Any] = {}
    for subject, contract in sorted(declared().items()):
        parts = (
            {"event": contract.body}
            if isinstance(contract, Event)
            else {"request": contract.request, "reply": contract.reply}
            if isinstance(contract, Rpc)
            else {"request": contract.request, "chunk": contract.chunk, "final": contract.final}
        )
        told[subject] = {name: TypeAdapter(model).json_schema() for name, model in parts.items()}
        if not isinstance(contract, Event):
            told[subject]["refusals"] = sorted(contract.refusals)
    told["agents"] = {name: config.model_json_schema() for name, config in AGENT_CONFIGS.items()}
    return told


def test_contracts_are_those_of_the_snapshot() -> None:
    """To accept a change: `UPDATE_SNAPSHOT=1 .venv/bin/pytest tests/contracts`, and commit the diff."""
    if os.environ.get("UPDATE_SNAPSHOT"):
        SNAPSHOT.write_text(json.dumps(described(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    assert described() == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_every_subject_is_said_once() -> None:
    subjects = [v.subject for o in OWNERS for v in vars(o).values() if isinstance(v, Rpc | Stream | Event)]
    assert len(subjects) == len(set(subjects))


def test_a_question_is_in_the_name_of_its_owner() -> None:
    for subject, contract in declared().items():
        if isinstance(contract, Rpc | Stream):
            owner, version, _noun, _verb = subject.split(".")
            assert (owner, version) == (contract.owner, "v1")
