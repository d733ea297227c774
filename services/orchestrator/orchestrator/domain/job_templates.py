"""The usual jobs, so that a data set and a base model are enough to ask for one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from contracts.base import RefusalCode, Refused
from contracts.orchestrator import JobTemplate, SubmitJob, TemplateAgent, TemplateName
from contracts.pipeline import Edge, GlobalConfig, Node, PipelineConfig
from orchestrator.domain.sweeps import applied

_DATASET, _VALIDATION, _PREPROCESSING = (
    ("dataset", "DatasetAgent"),
    ("validation", "ValidationAgent"),
    ("preprocessing", "PreprocessingAgent"),
)
_TRAINING, _COMPARISON = ("training", "TrainingAgent"), ("comparison", "ComparisonAgent")
_EXPORT, _REGISTRATION = ("export", "ExportAgent"), ("registration", "RegistrationAgent")


@dataclass(frozen=True)
class _Form:
    """Agents one after the other. `required` are fields of the submission besides where the data comes from."""

    description: str
    agents: Sequence[tuple[str, str]]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def edges(self) -> list[Edge]:
        return [Edge(from_agent=before, to_agent=after) for (before, _), (after, _) in pairwise(self.agents)]


_FORMS: Mapping[TemplateName, _Form] = {
    "finetune": _Form(
        "Reads and checks a data set, trains a model on it, measures it beside its base, exports and registers it",
        (
            _DATASET,
            _VALIDATION,
            _PREPROCESSING,
            _TRAINING,
            ("evaluation", "EvaluationAgent"),
            _EXPORT,
            _REGISTRATION,
        ),
        required=("base_model",),
        optional=("model_name",),
    ),
    "sweep": _Form(
        "As finetune, once for each combination of the swept values; compares what was trained and registers the best",
        (_DATASET, _VALIDATION, _PREPROCESSING, _TRAINING, _COMPARISON, _EXPORT, _REGISTRATION),
        required=("base_model", "sweep"),
        optional=("model_name",),
    ),
    "evaluate": _Form(
        "Ranks registered models, and the base model beside them, on held-out rows of a data set",
        (_DATASET, _PREPROCESSING, _COMPARISON),
        required=("base_model", "models"),
    ),
    "export": _Form(
        "Trains, which is not done again where nothing has changed, and writes the model in the formats of the export",
        (_DATASET, _PREPROCESSING, _TRAINING, _EXPORT),
        required=("base_model",),
    ),
    "prepare": _Form(
        "Reads and checks a data set and makes training examples of it, and stops there",
        (_DATASET, _VALIDATION, _PREPROCESSING),
        required=("base_model",),
    ),
    "validate": _Form("Reads a data set and checks it, with a report", (_DATASET, _VALIDATION)),
}
_SOURCES = ("dataset_id", "file_path")
_OF_ALL = ("run_id", "configs", "sweep", "global_config")
_OF_TEMPLATES = (*_SOURCES, "base_model", "model_name", "models", *_OF_ALL)


def definition_of(request: SubmitJob) -> PipelineConfig:
    """The job that is asked for, written out. Raises `Refused`: INVALID, CONFIG_INVALID."""
    if request.template is None:
        if request.pipeline_config is None:
            raise _invalid([("pipeline_config", "field required, or else `template` with what that needs")])
        if superfluous := [name for name in _OF_TEMPLATES if getattr(request, name)]:
            raise _invalid([(name, "belongs to a template, not to a pipeline_config") for name in superfluous])
        return request.pipeline_config
    if request.pipeline_config is not None:
        raise _invalid([("template", "give a template or a pipeline_config, not both")])
    return _filled(_FORMS[request.template], request)


def listed() -> list[JobTemplate]:
    return [
        JobTemplate(
            template=name,
            description=form.description,
            required=["dataset_id", *form.required],
            optional=["file_path", *form.optional, *(name for name in _OF_ALL if name not in form.required)],
            agents=[TemplateAgent(agent_name=agent, agent_class=kind) for agent, kind in form.agents],
            edges=form.edges,
        )
        for name, form in _FORMS.items()
    ]


def _filled(form: _Form, request: SubmitJob) -> PipelineConfig:
    _check_fields(form, request)
    defaults: dict[str, dict[str, Any]] = {}
    if request.models:
        defaults["comparison"] = {"models": request.models}
    if request.file_path is not None:
        defaults["dataset"] = {"file_path": request.file_path}
    if request.model_name is not None:
        defaults["registration"] = {"model_name": request.model_name}
    nodes = [
        Node(agent_name=name, agent_class=kind, config=defaults.get(name, {}), sweep=request.sweep.get(name, {}))
        for name, kind in form.agents
    ]
    given = request.global_config or GlobalConfig()
    shared = {
        "dataset_id": request.dataset_id or given.dataset_id,
        "base_model": request.base_model or given.base_model,
    }
    return PipelineConfig(
        run_id=request.run_id,
        nodes=applied(nodes, request.configs),
        edges=form.edges,
        global_config=given.model_copy(update=shared),
    )


def _check_fields(form: _Form, request: SubmitJob) -> None:
    given = {name for name in _OF_TEMPLATES if getattr(request, name)}
    if request.global_config is not None:
        given |= {name for name in ("dataset_id", "base_model") if getattr(request.global_config, name)}
    errors = [(name, "field required") for name in form.required if name not in given]
    if not given & {*_SOURCES}:
        errors.insert(0, ("dataset_id", "field required"))
    allowed = {*_OF_ALL, *_SOURCES, *form.required, *form.optional}
    errors += [(name, f"the template {request.template!r} takes none") for name in sorted(given - allowed)]
    agents = {name for name, _ in form.agents}
    errors += [(f"sweep.{name}", "is no agent of the template") for name in request.sweep if name not in agents]
    if errors:
        raise _invalid(errors)


def _invalid(errors: Sequence[tuple[str, str]]) -> Refused:
    listed = [{"field": name, "message": message} for name, message in errors]
    return Refused(RefusalCode.INVALID, "Input validation failed", {"errors": listed})
