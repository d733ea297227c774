"""Bad configurations of jobs: each is refused in document E's form before anything starts, and leaves nothing."""

import json
from itertools import pairwise
from typing import Any

import pytest

from embedded.platform import Platform
from tests.e2e.caller import Caller
from tests.e2e.leftovers import kept

pytestmark = pytest.mark.e2e

Json = dict[str, Any]
SOURCE = {"file_path": "s3://datasets/x/y.csv"}
PREPARED = {"base_model": "small-llama"}


def node(kind: str, config: Any = None, name: str | None = None, **fields: Any) -> Json:
    return {"agent_name": name or kind.lower(), "agent_class": f"{kind}Agent", "config": config or {}, **fields}


def job(*nodes: Json, edges: Any = None, **fields: Any) -> Json:
    """A job of these agents, in a row unless `edges` say otherwise."""
    names = [one.get("agent_name") for one in nodes]
    row = [[before, after] for before, after in pairwise(names)]
    listed = [{"from_agent": before, "to_agent": after} for before, after in (row if edges is None else edges)]
    return {"pipeline_config": {"nodes": list(nodes), "edges": listed, **fields}}


def trained(config: Any = None, **fields: Any) -> Json:
    """A job that trains with this configuration."""
    return job(node("Dataset", SOURCE), node("Preprocessing", PREPARED), node("Training", config, **fields), edges=None)


def written(body: Json, value: str) -> str:
    """The body as JSON with `value` in the place of "@", as no serialiser would write it."""
    return json.dumps(body).replace('"@"', value)


DATASET = node("Dataset", SOURCE)
INVALID, CONFIG, MISSING = "VALIDATION_ERROR", "CONFIG_ERROR", "NOT_FOUND"

BAD: dict[str, tuple[Any, str, str]] = {
    # What a job consists of
    "nothing": ({}, INVALID, "pipeline_config"),
    "no object": ([], INVALID, "object"),
    "no JSON": ("{", INVALID, "JSON"),
    "a text for a pipeline": ({"pipeline_config": "train"}, INVALID, "pipeline_config"),
    "no agents": (job(), INVALID, "nodes"),
    "too many agents": (job(*(node("Dataset", SOURCE, f"d{n}") for n in range(201))), INVALID, "nodes"),
    "an unknown field of the job": (job(DATASET, colour="red"), INVALID, "colour"),
    "an unknown field beside it": ({**job(DATASET), "priority": 1}, INVALID, "priority"),
    "a run id that is no name": (job(DATASET, run_id="../a"), INVALID, "run_id"),
    "no class": (job({"agent_name": "a", "config": {}}), INVALID, "agent_class"),
    "an unknown class": (job(node("Dream")), CONFIG, "DreamAgent"),
    "a name that is none": (job(node("Dataset", SOURCE, "a/b")), INVALID, "agent_name"),
    "a name too long": (job(node("Dataset", SOURCE, "a" * 65)), INVALID, "agent_name"),
    "two of one name": (job(node("Dataset", SOURCE, "a"), node("Validation", {}, "a"), edges=[]), CONFIG, "'a'"),
    "an edge to nowhere": (job(DATASET, edges=[["dataset", "b"]]), CONFIG, "'b'"),
    "an edge without an end": (
        {"pipeline_config": {"nodes": [DATASET], "edges": [{"from_agent": "dataset"}]}},
        INVALID,
        "to_agent",
    ),
    "an edge to itself": (job(DATASET, edges=[["dataset", "dataset"]]), CONFIG, "itself"),
    "a cycle": (
        job(
            DATASET,
            node("Validation", {}, "b"),
            node("Validation", {}, "c"),
            edges=[["dataset", "b"], ["b", "c"], ["c", "b"]],
        ),
        CONFIG,
        "cycle",
    ),
    "training on nothing": (job(DATASET, node("Training")), CONFIG, "PreprocessingAgent"),
    "registration of nothing": (job(DATASET, node("Registration")), CONFIG, "ExportAgent"),
    "names of another script": (job(node("Dataset", SOURCE, "датасет")), INVALID, "agent_name"),
    "a name that turns the text round": (job(DATASET, run_id="\u202eabc"), INVALID, "run_id"),
    "ten thousand agents": (job(*(node("Dataset", SOURCE, f"d{n}") for n in range(10_000)), edges=[]), INVALID, "200"),
    "ten thousand edges": (job(DATASET, edges=[["dataset", "b"]] * 10_000), INVALID, "2000"),
    # What JSON may say, or nearly
    "no body": ("", INVALID, "pipeline_config"),
    "null": ("null", INVALID, "object"),
    "half a character": ('{"run_id": "\\ud800"}', INVALID, "Invalid JSON"),
    "a depth without end": ("[" * 100_000 + "]" * 100_000, INVALID, "recursion"),
    "a depth in a configuration": (written(trained({"seed": "@"}), '{"a":' * 500 + "1" + "}" * 500), INVALID, "recurs"),
    "not a number": (written(trained({"learning_rate": "@"}), "NaN"), INVALID, "Invalid JSON"),
    "no finite number": (written(trained({"learning_rate": "@"}), "-Infinity"), INVALID, "Invalid JSON"),
    "a number beyond all": (written(trained({"learning_rate": "@"}), "1e999"), INVALID, "learning_rate"),
    "a number of four hundred digits": (written(trained({"max_steps": "@"}), "9" * 400), INVALID, "max_steps"),
    # What holds for all agents
    "fewer retries than none": (job(DATASET, global_config={"max_retries": -1}), INVALID, "max_retries"),
    "more retries than anybody waits for": (job(DATASET, global_config={"max_retries": 10**9}), INVALID, "max_retries"),
    "time without end": (
        job(DATASET, global_config={"step_timeout_seconds": 1e308}),
        INVALID,
        "step_timeout_seconds",
    ),
    "no time at all": (job(DATASET, global_config={"step_timeout_seconds": 0}), INVALID, "step_timeout_seconds"),
    "an unknown default": (job(DATASET, global_config={"speed": 11}), INVALID, "speed"),
    # What each agent is told
    "no source": (job(node("Dataset")), INVALID, "file_path"),
    "two sources": (job(node("Dataset", {**SOURCE, "dataset_id": "ds_1"})), INVALID, "not both"),
    "a file of this machine": (job(node("Dataset", {"file_path": "/etc/passwd"})), INVALID, "s3://"),
    "a data set that is not there": (job(node("Dataset", {"dataset_id": "ds_nobody"})), MISSING, "data set"),
    "an unknown format": (job(node("Dataset", {**SOURCE, "format": "docx"})), INVALID, "format"),
    "an unknown field of an agent": (job(node("Dataset", {**SOURCE, "colour": "red"})), INVALID, "colour"),
    "a list for a configuration": (job(node("Dataset", [1])), INVALID, "config"),
    "a NUL": (job(node("Dataset", {"file_path": "s3://datasets/\0"})), INVALID, "NUL"),
    "a ratio above one": (job(DATASET, node("Validation", {"max_missing_ratio": 2})), INVALID, "max_missing_ratio"),
    "a template without its text": (
        job(DATASET, node("Preprocessing", {**PREPARED, "template": "custom"})),
        INVALID,
        "custom_template",
    ),
    "no rows to learn from": (
        job(DATASET, node("Preprocessing", {**PREPARED, "eval_ratio": 1})),
        INVALID,
        "eval_ratio",
    ),
    "no base model": (job(DATASET, node("Preprocessing")), CONFIG, "base_model"),
    "a base model elsewhere": (trained({"base_model": "a/../../../etc"}), INVALID, "base_model"),
    "a base model by its address": (trained({"base_model": "file:///etc/passwd"}), INVALID, "base_model"),
    "half a row": (trained({"batch_size": 2.5}), INVALID, "batch_size"),
    "steps below none": (trained({"max_steps": -5}), INVALID, "max_steps"),
    "an unknown method": (trained({"method": "magic"}), INVALID, "method"),
    "a rate below zero": (trained({"learning_rate": -1}), INVALID, "learning_rate"),
    "a rate that is a word": (trained({"learning_rate": "fast"}), INVALID, "learning_rate"),
    "an unknown field of training": (trained({"learning_rte": 1e-4}), INVALID, "learning_rte"),
    "an unknown export": (
        job(DATASET, node("Preprocessing", PREPARED), node("Training"), node("Export", {"formats": ["onnx"]})),
        INVALID,
        "formats",
    ),
    "a model to compare with that is not there": (
        job(DATASET, node("Preprocessing", PREPARED), node("Comparison", {"models": ["nobody@production"]})),
        MISSING,
        "nobody@production",
    ),
    # Sweeps and templates
    "a sweep over nothing": (trained(sweep={"seed": []}), INVALID, "sweep"),
    "a sweep that is too large": (trained(sweep={"seed": list(range(100)), "lora_r": [1, 2, 3]}), CONFIG, "200"),
    "a sweep over a value that is given": (trained({"seed": 1}, sweep={"seed": [1, 2]}), CONFIG, "both"),
    "a swept value that does not fit": (trained(sweep={"epochs": [1, -1]}), INVALID, "epochs"),
    "an unknown template": ({"template": "magic"}, INVALID, "template"),
    "a template without its data": ({"template": "finetune", "base_model": "m"}, INVALID, "dataset_id"),
    "a template and a pipeline": ({"template": "validate", "dataset_id": "d", **job(DATASET)}, INVALID, "not both"),
    "a template's agent that is none": (
        {"template": "validate", **SOURCE, "configs": {"training": {}}},
        CONFIG,
        "'training'",
    ),
}


async def test_each_is_refused_in_the_documented_form_and_leaves_nothing(platform: Platform, caller: Caller) -> None:
    assert len(BAD) >= 30
    before = await kept(platform)
    wrong = {}
    for name, (body, code, word) in BAD.items():
        data = body if isinstance(body, str) else json.dumps(body)
        status, error = await caller.call(
            "POST", "/api/v1/jobs", data=data, headers={"Content-Type": "application/json"}
        )
        told = (status, error.get("error"), set(error))
        if told != (404 if code == MISSING else 400, code, {"error", "message", "metadata"}) or word not in str(error):
            wrong[name] = (status, error)
    assert wrong == {}
    assert await kept(platform) == before


JOB = "/api/v1/jobs/job_nobody"
LONG = "x" * 9_000_000
REQUESTS: tuple[tuple[str, str, Json, int, str], ...] = (
    ("PUT", "/api/v1/jobs", {}, 405, "METHOD_NOT_ALLOWED"),
    ("GET", f"{JOB}/pause", {}, 405, "METHOD_NOT_ALLOWED"),
    ("GET", "/api/v1/jobs/job_a%2Fb", {}, 404, MISSING),
    ("GET", "/api/v1/jobs/..%2F..%2Fetc", {}, 404, MISSING),
    ("GET", "/api/v1/jobs/job_%00", {}, 400, INVALID),
    ("GET", "/api/v1/jobs/job_%FF%FE", {}, 404, MISSING),
    ("GET", f"/api/v1/jobs/job_{'a' * 5000}", {}, 404, MISSING),
    ("GET", f"{JOB}/artifacts/..%2F..%2Fother", {}, 404, MISSING),
    ("GET", "/api/v1/jobs?limit=101", {}, 400, INVALID),
    ("GET", "/api/v1/jobs?limit=1&limit=2", {}, 400, INVALID),
    ("GET", "/api/v1/jobs?offset=99999999999999999999", {}, 400, INVALID),
    ("GET", "/api/v1/jobs?created_after=0001-01-01T00:00:00%2B14:00", {}, 400, INVALID),
    ("GET", "/api/v1/jobs?created_before=yesterday", {}, 400, INVALID),
    ("GET", "/api/v1/jobs?status=sleeping", {}, 400, INVALID),
    ("POST", "/api/v1/jobs", {"data": json.dumps(job(DATASET)).encode("utf-16")}, 400, INVALID),
    ("POST", "/api/v1/jobs", {"data": b'{"template": "\xff"}'}, 400, INVALID),
    ("POST", "/api/v1/jobs", {"data": "<job/>", "headers": {"Content-Type": "application/xml"}}, 400, INVALID),
    ("POST", "/api/v1/jobs", {"data": f'{{"a": "{LONG}"}}'}, 413, "PAYLOAD_TOO_LARGE"),
    ("POST", "/api/v1/jobs", {"json": job(DATASET), "headers": {"Idempotency-Key": "k" * 256}}, 400, INVALID),
    ("POST", f"{JOB}/retry", {"json": {}}, 404, MISSING),
    ("POST", f"{JOB}/adjust", {"data": '{"learning_rate": NaN}'}, 400, INVALID),
    ("POST", f"{JOB}/adjust", {"json": {"learning_rate": -1}}, 400, INVALID),
    ("GET", "/api/v1/logs/history/abc123?level=LOUD", {}, 400, INVALID),
    ("GET", "/api/v1/logs/history/a%20b", {}, 400, INVALID),
    ("GET", "/api/v1/logs/stream/nobody", {"headers": {"Last-Event-ID": "x"}}, 400, INVALID),
    ("GET", "/ws/jobs/job_nobody", {}, 404, MISSING),
)


async def test_requests_that_make_no_sense_are_refused_in_the_documented_form(
    platform: Platform, caller: Caller
) -> None:
    before = await kept(platform)
    wrong = []
    for method, path, options, status, code in REQUESTS:
        answered, error = await caller.call(method, path, **options)
        if (answered, error.get("error"), set(error)) != (status, code, {"error", "message", "metadata"}):
            wrong.append((method, path[:60], answered, error))
    assert wrong == []
    assert await kept(platform) == before


async def test_a_missing_field_is_named_as_in_the_document(caller: Caller) -> None:
    _, error = await caller.call("POST", "/api/v1/jobs", json=job(node("Dataset")))
    assert error == {
        "error": "VALIDATION_ERROR",
        "message": "Input validation failed for DatasetAgent",
        "metadata": {"errors": [{"field": "file_path", "message": "field required"}]},
    }
