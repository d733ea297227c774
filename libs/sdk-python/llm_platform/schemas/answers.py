"""What the platform answers. Made by `make sdk` from the API's description: do not edit."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from llm_platform.schemas.record import OrNewer, Record


class Action(Record):
    """The union of both documents' fields: `field_name` is `output_field`, `llm_model` is `model`.

    `prompt_template` is the content that it runs with: of `prompt_version`, or of the newest version where that
    is null.
    """

    id: int
    name: str
    description: str
    input_field: str | None
    output_field: str
    field_name: str
    model: str
    llm_model: str
    status: Annotated[Literal["active", "inactive"], OrNewer]
    prompt_template_id: int
    prompt_template: str
    prompt_version: int | None
    temperature: float
    max_tokens: int
    created_at: datetime
    updated_at: datetime


class ActionHistory(Record):
    """Newest first."""

    action: Action
    history: list[HistoryEntry]
    total: int
    has_more: bool


class ActionRun(Record):
    """One execution of an action. `error` is there once it has failed, and `output_data` is empty until it has
    completed.
    """

    id: int
    action_id: int
    post_id: int | None
    input_data: dict[str, Any]
    output_data: dict[str, Any]
    status: Annotated[Literal["running", "completed", "failed"], OrNewer]
    diagnostics: Diagnostics
    error: RunError | None
    created_at: datetime
    updated_at: datetime


class ActionRunData(Record):
    action_run: ActionRun


class ActionRunEnvelope(Record):
    status: Annotated[Literal["success"], OrNewer] = "success"
    data: ActionRunData


class ActionRunPage(Record):
    """Runs, newest first."""

    items: list[ActionRun]
    total: int
    limit: int
    offset: int
    has_more: bool


class ActionsData(Record):
    actions: list[Action]


class ActionsEnvelope(Record):
    """Document A's list."""

    status: Annotated[Literal["success"], OrNewer] = "success"
    data: ActionsData


class AdjustmentAccepted(Record):
    """`number` is in the record of the log that tells from which training step on it holds."""

    job_id: str
    number: int


class Alias(Record):
    """`previous` is the model that it named before."""

    model_name: str
    alias: str
    model_id: str | None
    version: int | None
    previous: str | None


class Answered(Record):
    content: str
    metadata: ResponseMetadata


class ApiDetails(Record):
    """What each API says; null where it does not answer."""

    kobold: ModelInfo | None
    openai: OpenAiDetails | None


class ApiKey(Record):
    """A key as it is shown: without its secret, which nobody can tell again."""

    key_id: str
    name: str
    role: Annotated[Literal["admin", "member", "viewer"], OrNewer]
    response_style: Annotated[Literal["envelope", "plain"], OrNewer]
    allowed_models: list[str] | None
    requests_per_minute: int | None
    budget: Budget | None
    expires_at: datetime | None
    created_at: datetime
    revoked_at: datetime | None


class ApiKeyPage(Record):
    """Keys, newest first."""

    items: list[ApiKey]
    total: int
    limit: int
    offset: int
    has_more: bool


class Approval(Record):
    """A payload whose turn has come, and that waits for a person."""

    run_id: int = Field(alias="runId")
    payload_id: int = Field(alias="payloadId")
    payload_name: str = Field(alias="payloadName")


class Artifact(Record):
    """A file, `name` beginning with the agent's. `url` is where to download it; `sha256` is null if unknown."""

    name: str
    agent_name: str
    size_bytes: int
    sha256: str | None
    s3_path: str
    url: str


class ArtifactPage(Record):
    """Files that a job's agents made."""

    items: list[Artifact]
    total: int
    limit: int
    offset: int
    has_more: bool


class AssistantMessage(Record):
    """What the model said; `reasoning_content` and the like are handed on as the engine gives them."""

    role: Annotated[Literal["assistant"], OrNewer]
    content: str | None
    refusal: str | None
    tool_calls: list[dict[str, Any]] | None = None


class Block(Record):
    """A piece of text in its newest version."""

    id: int
    title: str
    content: str
    tags: str
    folder_path: str
    created_at: datetime
    updated_at: datetime


class BlockVersion(Record):
    """A version, which never changes."""

    version: int
    created_at: datetime
    title: str
    content: str
    tags: str
    folder_path: str


class BlockVersionPage(Record):
    """Versions, newest first."""

    items: list[BlockVersion]
    total: int
    limit: int
    offset: int
    has_more: bool


class Budget(Record):
    """The most that may be spent in a period, in US dollars, in tokens, or in both."""

    usd: float | None = None
    tokens: int | None = None
    period: Annotated[Literal["day", "month", "total"], OrNewer] = "month"


class ChatChoice(Record):
    index: int
    message: AssistantMessage
    logprobs: dict[str, Any] | None
    finish_reason: Annotated[Literal["stop", "length", "tool_calls", "content_filter"], OrNewer] | None


class ChatCompletion(Record):
    """A finished completion. `system_fingerprint` names the engine that made it, and says if it was a simulated one."""

    id: str
    object: Annotated[Literal["chat.completion"], OrNewer]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    system_fingerprint: str


class ChatCompletionChunk(Record):
    """A piece of a streamed completion.

    The first of a choice brings the role, its last the finish reason; with `stream_options.include_usage` one
    more brings the usage and no choice, and all others say `"usage": null`.
    """

    id: str
    object: Annotated[Literal["chat.completion.chunk"], OrNewer]
    created: int
    model: str
    system_fingerprint: str | None
    choices: list[ChunkChoice]
    usage: Usage | None = None


class ChunkChoice(Record):
    index: int
    delta: Delta
    logprobs: dict[str, Any] | None
    finish_reason: Annotated[Literal["stop", "length", "tool_calls", "content_filter"], OrNewer] | None


class ComparedPayload(Record):
    """What both runs were answered; null where one was not. `same` is whether the texts are."""

    payload_name: str
    same: bool
    run: Answered | None
    other: Answered | None


class ComparedRun(Record):
    """A run in sum. `duration_ms` is what its instances took, `cost` null when no price is known."""

    id: int
    workflow_id: int
    status: Annotated[Literal["running", "paused", "completed", "failed", "cancelled"], OrNewer]
    tokens: int
    duration_ms: int
    cost: str | None


class Comparison(Record):
    """Two runs side by side, by the names of their payloads."""

    run: ComparedRun
    other: ComparedRun
    payloads: list[ComparedPayload]


class ComparisonOutput(Record):
    """`ranking` is best first. `best_model_path` is set where the best was trained in this job: what follows exports
    and registers that one.
    """

    kind: Annotated[Literal["ComparisonAgent"], OrNewer] = "ComparisonAgent"
    metric: Annotated[
        Literal["loss", "perplexity", "token_accuracy", "exact_match", "token_f1", "rouge_l", "accuracy", "f1"], OrNewer
    ]
    task: Annotated[Literal["generation", "classification"], OrNewer]
    rows: int
    generated_rows: int
    ranking: list[Contestant]
    best: str
    best_model_path: str | None
    best_model_id: str | None
    report_path: str


class Condition(Record):
    """What an earlier response has to be like, without the space around it. `above` and `below` compare numbers."""

    payload: int | str
    operator: Annotated[
        Literal[
            "equals",
            "not_equals",
            "contains",
            "not_contains",
            "starts_with",
            "ends_with",
            "is_empty",
            "is_not_empty",
            "above",
            "below",
        ],
        OrNewer,
    ]
    value: str = ""
    ignore_case: bool = True


class Config(Record):
    """Which provider and model answer when a request names none."""

    provider_type: Annotated[Literal["openai", "vllm", "ollama", "llamacpp", "koboldai", "local", "simulated"], OrNewer]
    model_name: str
    api_base: str


class ConfigUpdated(Record):
    success: bool = True


class Confusion(Record):
    """How often an answer was each label: `counts[i][j]` rows of `labels[i]` were answered with `labels[j]`, and
    those of the last column with none of them.
    """

    labels: list[str]
    counts: list[list[int]]


class Connected(Record):
    connected: bool = True
    model_info: ModelInfo | None = Field(alias="modelInfo")
    timestamp: datetime


class Contestant(Record):
    """A compared model: the trained one at `model_path`, the registered `model_id`, or, with neither, a base model.

    `behind` is how much worse it is than the best on the same rows; where that interval holds zero, the two
    cannot be told apart.
    """

    name: str
    base_model: str
    model_path: str | None = None
    model_id: str | None = None
    score: Interval
    behind: Interval | None = None
    metrics: dict[str, float]
    confusion: Confusion | None = None


class CreatedApiKey(Record):
    """The answer to making a key, and the only one that ever holds it."""

    key_id: str
    name: str
    role: Annotated[Literal["admin", "member", "viewer"], OrNewer]
    response_style: Annotated[Literal["envelope", "plain"], OrNewer]
    allowed_models: list[str] | None
    requests_per_minute: int | None
    budget: Budget | None
    expires_at: datetime | None
    created_at: datetime
    revoked_at: datetime | None
    key: str


class CreatedWebhook(Record):
    """The answer to making one, and the only one that ever holds `url` and `signing_secret`."""

    id: int
    workflow_id: int
    name: str
    signed: bool
    enabled: bool
    owner: str
    last_at: datetime | None
    last_run: int | None
    created_at: datetime
    updated_at: datetime
    url: str
    signing_secret: str | None


class Dataset(Record):
    """A file that was uploaded: version `version` of its name. `size_bytes` and `sha256` are those of the file
    itself, which may be compressed.
    """

    dataset_id: str
    filename: str
    version: int = 1
    format: Annotated[Literal["csv", "tsv", "json", "jsonl", "parquet", "txt"], OrNewer]
    compression: Annotated[Literal["gzip", "zstd"], OrNewer] | None = None
    size_bytes: int
    sha256: str
    s3_path: str
    rows: int
    columns: list[str]
    analysis: DatasetAnalysis
    created_at: datetime


class DatasetAnalysis(Record):
    """What reading a data set through found out; `stats` and `length_histogram` are of the text column."""

    rows: int
    columns: list[str]
    column_types: dict[str, str]
    text_column: str | None
    stats: LengthStats | None
    length_histogram: list[LengthBucket] = []
    missing: dict[str, int]
    duplicate_rows: int


class DatasetDeleted(Record):
    """`freed_bytes` were taken from the object store."""

    dataset_id: str
    deleted: bool = True
    freed_bytes: int


class DatasetLineage(Record):
    """What was made of a data set: the newest jobs that read it, and the models. Besides, all versions of its name."""

    dataset_id: str
    filename: str
    version: int
    versions: list[DatasetVersion]
    runs: list[JobOfDataset]
    models: list[ModelOfDataset]


class DatasetOutput(Record):
    kind: Annotated[Literal["DatasetAgent"], OrNewer] = "DatasetAgent"
    dataset_id: str | None
    s3_path: str
    format: Annotated[Literal["csv", "tsv", "json", "jsonl", "parquet", "txt"], OrNewer]
    rows: int
    columns: list[str]
    size_bytes: int
    sha256: str


class DatasetPage(Record):
    """Data sets, newest first."""

    items: list[Dataset]
    total: int
    limit: int
    offset: int
    has_more: bool


class DatasetPreview(Record):
    dataset_id: str
    samples: list[dict[str, Any]]
    total_rows: int


class DatasetVersion(Record):
    dataset_id: str
    version: int
    created_at: datetime


class Decision(Record):
    """What a person has said of it. The run fails with a payload that is rejected."""

    run_id: int = Field(alias="runId")
    payload_id: int = Field(alias="payloadId")
    payload_name: str = Field(alias="payloadName")
    decision: Annotated[Literal["approved", "rejected"], OrNewer]
    reason: str = ""


class Delta(Record):
    role: Annotated[Literal["assistant"], OrNewer] = "assistant"
    content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class Diagnostics(Record):
    """`execution_time` in seconds. `model` is the one that answered, or was asked where none did.

    `simulated` says that no language model ran.
    """

    tokens_used: int
    execution_time: float
    model: str
    prompt_version: int
    simulated: bool


class Difference(Record):
    """A value of two models. Of a metric `change` is the second less the first, and `better` says which one is."""

    name: str
    values: list[Any]
    change: float | None = None
    better: str | None = None


class Edge(Record):
    """`to_agent` starts when `from_agent` has finished."""

    from_agent: str
    to_agent: str


class Embedding(Record):
    object: Annotated[Literal["embedding"], OrNewer]
    index: int
    embedding: list[float] | str


class EmbeddingList(Record):
    """The vectors. `system_fingerprint` names the engine that made them, and says if it was a simulated one."""

    object: Annotated[Literal["list"], OrNewer]
    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage
    system_fingerprint: str


class EmbeddingsUsage(Record):
    prompt_tokens: int
    total_tokens: int


class EndpointInfo(Record):
    info: EndpointSummary


class EndpointSummary(Record):
    version: str | None
    api_format: list[Annotated[Literal["kobold", "openai"], OrNewer]]


class Engine(Record):
    """An LLM instance behind the router. Never carries its token; `has_token` says whether there is one.

    `source` says who has set it up: the environment declares it, `POST /api/v1/llm/config` describes it, or it
    was registered at run time. What was said there is changed there; `enabled`, `timeout`, `weight` and `prices`,
    and the token of a declared one, are changed here whoever set it up. `timeout` in seconds bounds one attempt
    up to its first token, or its whole answer where it is not streamed. Of engines with room, those of the
    highest `priority` are taken, and of those the one with the least to do for its `weight`. `prices` are by
    model, `*` for all others.
    """

    id: int
    name: str
    provider_type: Annotated[Literal["openai", "vllm", "ollama", "llamacpp", "koboldai", "local", "simulated"], OrNewer]
    api_base: str
    port: int | None
    status: Annotated[Literal["available", "unavailable", "disabled"], OrNewer]
    models: list[str]
    outstanding: int
    last_used: datetime | None
    has_token: bool
    source: Annotated[Literal["environment", "configuration", "registered"], OrNewer]
    enabled: bool
    concurrency: int
    timeout: float | None
    priority: int
    weight: float
    prices: dict[str, Prices]


class EnginePage(Record):
    """Engines, oldest first."""

    items: list[Engine]
    total: int
    limit: int
    offset: int
    has_more: bool


class EngineRemoved(Record):
    """What it was working on ends normally."""

    id: int
    name: str


class EvaluationOutput(Record):
    """Loss in nats a token over the completions of the held-out rows; perplexity is its exponential.

    `metrics` has those that the task has, `base_metrics` the same of the base model. Every row's scores and
    answer lie in JSON Lines at `report_path`.
    """

    kind: Annotated[Literal["EvaluationAgent"], OrNewer] = "EvaluationAgent"
    rows: int
    tokens: int
    loss: float
    perplexity: float
    token_accuracy: float
    base_loss: float
    base_perplexity: float
    base_token_accuracy: float
    samples: list[Sample] = []
    task: Annotated[Literal["generation", "classification"], OrNewer] = "generation"
    generated_rows: int = 0
    metrics: dict[str, float] | None = None
    base_metrics: dict[str, float] | None = None
    confusion: Confusion | None = None
    base_confusion: Confusion | None = None
    model_path: str | None = None
    report_path: str | None = None


class EventMetadata(Record):
    """`truncated`: the event holds only the beginning of the response, which is too long for one."""

    tokens: int
    prompt_tokens: int = Field(alias="promptTokens")
    completion_tokens: int = Field(alias="completionTokens")
    duration_ms: int
    tokens_per_second: float
    model: str | None = None
    engine: str | None = None
    port: int | None = None
    cost: str | None = None
    simulated: bool = False
    skipped: bool = False
    kept: bool = False
    items: int | None = None
    truncated: bool = False


class ExecutionStarted(Record):
    """The run is kept and will be worked on, whatever happens to those who asked."""

    run_id: int = Field(alias="runId")
    message: str
    status: Annotated[Literal["running", "paused", "completed", "failed", "cancelled"], OrNewer]


class Expansion(Record):
    """A section written out, with a snippet for each platform that was asked for."""

    content: str
    keywords: list[str]
    social_media_snippets: dict[str, str]


class ExportCheck(Record):
    """An export, loaded again and asked: `top1_agreement` is the share of positions where its most probable token is
    that of the trained model. It is below 1 where weights were rounded; everything else that differs is refused.
    """

    format: Annotated[Literal["adapter", "merged", "gguf"], OrNewer]
    quantization: (
        Annotated[
            Literal["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q6_K", "Q5_K_M", "Q4_K_M"], OrNewer
        ]
        | None
    ) = None
    positions: int
    top1_agreement: float


class ExportOutput(Record):
    """`exports` are the S3 prefixes of what was written, checked and may be registered."""

    kind: Annotated[Literal["ExportAgent"], OrNewer] = "ExportAgent"
    exports: dict[str, str]
    size_bytes: int
    files: list[ExportedFile] = []
    checks: list[ExportCheck] = []


class ExportedBlock(Record):
    id: int
    title: str
    content: str
    tags: str = ""
    folder_path: str = ""


class ExportedFile(Record):
    """One file of an export: `name` below the export's prefix, `size` in bytes."""

    format: Annotated[Literal["adapter", "merged", "gguf"], OrNewer]
    name: str
    size: int
    sha256: str


class ExportedPayload(Record):
    model: str | None = None
    depends_on: list[int | str] | None = None
    retries: int | None = None
    timeout: float | None = None
    fallback_port: int | None = None
    condition: Condition | None = None
    for_each: int | str | None = None
    items_at_once: int | None = None
    approval: bool | None = None
    when_skipped: Annotated[Literal["run", "skip"], OrNewer] | None = None
    id: int
    name: str
    temperature: float
    response_length: int
    llm_port: int
    model_format: Annotated[
        Literal["chat", "mistral", "llama", "llama3", "chatml", "alpaca", "vicuna", "gemma", "phi", "raw"], OrNewer
    ]
    blocks: list[int]


class Failure(Record):
    """Also of a run that was cancelled, or deleted while it went on."""

    run_id: int = Field(alias="runId")
    error: str


class Health(Record):
    """Document E's health; `services` lists the parts that this system has."""

    status: Annotated[Literal["healthy", "degraded", "unhealthy"], OrNewer]
    version: str
    services: dict[str, Annotated[Literal["healthy", "unhealthy"], OrNewer]]


class HistoryEntry(Record):
    """A run in document B's words: the whole prompt that the model was given, and the text that it answered."""

    id: int
    action_id: int
    post_id: int | None
    input_text: str
    output_text: str
    status: Annotated[Literal["running", "completed", "failed"], OrNewer]
    error_message: str | None
    created_at: datetime


class Idea(Record):
    """An idea for a post: its headings are the `outline`."""

    title: str
    outline: list[str]
    keywords: list[str]


class IncompleteDetails(Record):
    reason: Annotated[Literal["max_output_tokens", "content_filter"], OrNewer]


class InputDetails(Record):
    cached_tokens: int = 0
    cache_write_tokens: int = 0


class InstanceConfig(Record):
    """What a completion that is asked of the instance by its port has where it says nothing else; tokens at most."""

    temperature: float = 0.7
    max_length: int = 1000


class InstanceInfoView(Record):
    port: int
    timestamp: datetime
    connected: bool
    kobold_api_available: bool = Field(alias="koboldApiAvailable")
    open_ai_api_available: bool = Field(alias="openAiApiAvailable")
    model_info: ModelInfo | None = Field(alias="modelInfo")
    api_details: ApiDetails = Field(alias="apiDetails")
    endpoint_info: EndpointInfo = Field(alias="endpointInfo")


class InstanceView(Record):
    """`lastUsed` is null until it is."""

    port: int
    name: str
    status: Annotated[Literal["available", "unavailable", "disabled"], OrNewer]
    last_used: datetime | None = Field(alias="lastUsed")
    config: InstanceConfig


class InteractionPage(Record):
    """`total` counts all that the filters let through, whatever the page."""

    items: list[KeptInteraction]
    total: int
    limit: int
    offset: int
    has_more: bool
    next_cursor: str | None


class Interval(Record):
    """A value, and where it lies with the configured confidence if other rows had been held out."""

    value: float
    low: float
    high: float


class IssuedTicket(Record):
    """Opens one `/ws` or one event stream as its caller, if used within `expires_in` seconds."""

    ticket: str
    expires_in: int


class ItemCounts(Record):
    """How it stands with the items of a payload's `for_each`. What is in none of the counts has yet to start."""

    payload_id: int
    payload_name: str
    total: int
    running: int
    completed: int
    failed: int


class ItemFailure(Record):
    """An item has failed for good. The others go on; the payload fails when all have ended."""

    run_id: int = Field(alias="runId")
    payload_id: int = Field(alias="payloadId")
    payload_name: str = Field(alias="payloadName")
    item: int
    items: int
    error: str


class ItemProgress(Record):
    """As `Progress`, of one item of a payload's `for_each`, counted from 0."""

    run_id: int = Field(alias="runId")
    payload_id: int = Field(alias="payloadId")
    payload_name: str = Field(alias="payloadName")
    status: Annotated[Literal["running"], OrNewer] = "running"
    progress: int
    metadata: Pace
    item: int


class ItemResponse(Record):
    """Of `items` items, the response to one, counted from 0."""

    run_id: int = Field(alias="runId")
    payload_id: int = Field(alias="payloadId")
    payload_name: str = Field(alias="payloadName")
    content: str
    metadata: EventMetadata
    item: int
    items: int


class Job(Record):
    """`owner` is the id of who submitted it, and may steer it. `retry_of` is the job that this one goes on from."""

    job_id: str
    run_id: str
    status: Annotated[Literal["pending", "running", "paused", "completed", "failed", "cancelled"], OrNewer]
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    progress: JobProgress
    steps: list[StepView]
    model_id: str | None
    result: (
        dict[
            str,
            DatasetOutput
            | ValidationOutput
            | PreprocessingOutput
            | TrainingOutput
            | EvaluationOutput
            | ComparisonOutput
            | ExportOutput
            | RegistrationOutput,
        ]
        | None
    )
    error: JobError | None
    owner: str = ""
    retry_of: str | None = None


class JobAccepted(Record):
    job_id: str
    run_id: str
    status: Annotated[Literal["pending", "running", "paused", "completed", "failed", "cancelled"], OrNewer]
    created_at: datetime


class JobCancelled(Record):
    job_id: str
    status: Annotated[Literal["pending", "running", "paused", "completed", "failed", "cancelled"], OrNewer]


class JobDeleted(Record):
    """A job that is gone for good. `freed_bytes` of the object store are free so far. With `pending` the rest
    follows: within minutes, or once jobs that go on have read what they were told to read of it.
    """

    job_id: str
    status: Annotated[Literal["deleted"], OrNewer] = "deleted"
    freed_bytes: int
    pending: bool


class JobError(Record):
    """What a failed job failed of; `code` is one of document E's error codes."""

    agent: str | None
    code: str
    message: str
    metadata: dict[str, Any] | None = None


class JobOfDataset(Record):
    """A job that reads a data set. `goes_on`: it has not ended, and may need it still."""

    job_id: str
    run_id: str
    goes_on: bool


class JobPage(Record):
    """Jobs, newest first. `result` is left out of them: a page would carry all outputs of all jobs."""

    items: list[Job]
    total: int
    limit: int
    offset: int
    has_more: bool


class JobProgress(Record):
    """With parallel branches `current_agent` is the one that started first; `current_agents` lists all.

    `cached_agents` are those of the completed that were not done again, since nothing they depend on had changed.
    `percent` counts each agent alike, one that trains as far as it ever came: it never falls.
    """

    completed_agents: list[str]
    current_agent: str | None
    current_agents: list[str]
    total_agents: int
    cached_agents: list[str] = []
    percent: float = 0.0


class JobTemplate(Record):
    """A usual job. `required` and `optional` are fields of its submission; `configs` name its `agents`."""

    template: Annotated[Literal["finetune", "sweep", "evaluate", "export", "prepare", "validate"], OrNewer]
    description: str
    required: list[str]
    optional: list[str]
    agents: list[TemplateAgent]
    edges: list[Edge]


class JobTemplates(Record):
    templates: list[JobTemplate]


class KeptInteraction(Record):
    """One completion of any route. Durations are seconds, `cost` is USD and null when no price is known.

    `key` is the id of the caller's key. `counted_by` says who counted the tokens: the engine, the model's
    tokenizer, or nobody, so that they are known by the texts' length alone; null where none were used. In lists
    the texts are cut after 2,000 characters, which `truncated` says.
    """

    interaction_id: str
    route: str
    model: str
    requested_model: str | None
    engine: str | None
    input_text: str
    output_text: str
    truncated: bool
    parameters: dict[str, Any]
    status: Annotated[Literal["completed", "failed", "cancelled"], OrNewer]
    error_message: str | None
    error_type: str | None
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    counted_by: Annotated[Literal["engine", "tokenizer", "length"], OrNewer] | None
    cost: str | None
    duration: float
    time_to_first_token: float | None
    key: str | None
    trace_id: str | None
    created_at: datetime


class LearningRateChange(Record):
    """What somebody set the peak learning rate to while the run went on: held from optimizer step `step` on."""

    step: int
    previous: float
    learning_rate: float
    by: str
    at: datetime


class LengthBucket(Record):
    """How many texts are that long, in characters; each bucket is twice as wide as the one before."""

    from_length: int
    to_length: int
    rows: int


class LengthStats(Record):
    """Lengths of the text column, in characters."""

    avg_length: float
    min_length: int
    max_length: int


class LineageStep(Record):
    """One link between a served model and the rows it was made of; `path` is where its artifact lies."""

    kind: Annotated[
        Literal["served", "model", "export", "evaluation", "training", "preprocessing", "dataset", "file"], OrNewer
    ]
    name: str
    path: str | None = None
    details: dict[str, Any] | None = None


class ListedModel(Record):
    """A model as OpenAI's API lists it."""

    id: str
    object: str
    created: int
    owned_by: str


class LlmError(Record):
    """One body that satisfies documents A and B."""

    status: Annotated[Literal["error"], OrNewer] = "error"
    message: str
    errors: list[LlmErrorEntry]
    error: LlmErrorBody


class LlmErrorBody(Record):
    """Document B's error; `temporary` tells a failure that may pass from one that will not."""

    type: str
    message: str
    details: dict[str, list[str]]
    troubleshooting: list[str]
    temporary: bool


class LlmErrorEntry(Record):
    code: str
    message: str
    details: str | None = None


class LogHistory(Record):
    """Document E's history. `last_sequence` is what to ask `after` next, and what a stream can resume from."""

    run_id: str
    logs: list[LogRecord]
    total: int
    last_sequence: int | None
    has_more: bool


class LogRecord(Record):
    """One line of a run's log. METRIC records carry the numbers that the caller plots; absent ones are left out.

    `agent` is the class of the agent as document E has it, `agent_name` its name in the job. `adjustment` is the
    number of the one that has taken effect.
    """

    run_id: str
    timestamp: datetime
    agent: str
    agent_name: str | None = None
    level: Annotated[Literal["INFO", "WARN", "ERROR", "METRIC"], OrNewer]
    message: str
    step: int | None = None
    total_steps: int | None = None
    epoch: float | None = None
    loss: float | None = None
    eval_loss: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    tokens_per_second: float | None = None
    memory_bytes: int | None = None
    steering: Steering | None = None
    adjustment: int | None = None


class LoggedIn(Record):
    """A session begun; its cookie comes with the answer. Requests that change something carry `X-CSRF-Token`."""

    user: User
    csrf_token: str
    expires_at: datetime


class LoggedOut(Record):
    """How many sessions ended."""

    ended: int


class Me(Record):
    """Who calls. `csrf_token` is there for a session alone."""

    id: str
    name: str
    role: Annotated[Literal["admin", "member", "viewer"], OrNewer]
    kind: Annotated[Literal["admin_key", "api_key", "session"], OrNewer]
    response_style: Annotated[Literal["envelope", "plain"], OrNewer]
    csrf_token: str | None


class MetricSeries(Record):
    """What one agent measured, by training step: every number of its records."""

    agent: str
    agent_name: str | None
    points: list[dict[str, int | float]]


class Model(Record):
    """A trained model. `version` counts the models of its name from 1, and is never given twice."""

    model_id: str
    run_id: str
    model_name: str
    description: str
    base_model: str
    dataset_id: str | None
    training_config: dict[str, Any]
    metrics: dict[str, float]
    exports: dict[str, str]
    chat_template: str | None
    created_at: datetime
    version: int = 1
    tags: list[str] = []
    aliases: list[str] = []
    deployment: Annotated[Literal["automatic", "requested", "none"], OrNewer] = "automatic"
    files: list[ExportedFile] = []
    checks: list[ExportCheck] = []


class ModelComparison(Record):
    """What sets two models apart; what they share is left out, but metrics are all there."""

    models: list[Any]
    metrics: list[Difference]
    training_config: list[Difference]
    other: list[Difference]


class ModelDeleted(Record):
    """`freed_bytes` of the object store are free. With `pending` the rest follows within minutes: once the store is
    back, or once jobs that go on with rows or weights of the model's have ended.
    """

    model_id: str
    freed_bytes: int
    pending: bool


class ModelDeployment(Record):
    """`names` are those that the model is asked by from now on."""

    model_id: str
    model_name: str
    version: int
    status: Annotated[Literal["deployed", "undeployed"], OrNewer]
    names: list[str]


class ModelInfo(Record):
    """What an instance says of itself, as far as it does."""

    model: str | None
    version: str | None


class ModelLineage(Record):
    """From what is asked for back to the rows, link by link."""

    model_id: str
    steps: list[LineageStep]


class ModelOfDataset(Record):
    model_id: str
    model_name: str
    run_id: str


class ModelPage(Record):
    models: list[ModelSummary]
    total: int
    limit: int
    offset: int
    has_more: bool


class ModelSettings(Record):
    """Of the model that is asked for by this name. `fallbacks` are asked in this order when it cannot answer.

    One that is not `enabled` is not asked, only its fallbacks are; under the id of a trained model that holds for
    its name too. `prices` stand over what engines say of all their models and over the providers' lists, and an
    engine's price for this very model over them. `context_size` in tokens and `capabilities` replace what the
    engines and the price list say. Null leaves each to what is known.
    """

    model: str
    enabled: bool = True
    prices: Prices | None = None
    fallbacks: list[str] = []
    context_size: int | None = None
    capabilities: list[str] | None = None


class ModelSummary(Record):
    model_id: str
    run_id: str
    model_name: str
    base_model: str
    created_at: datetime
    metrics: dict[str, float]
    exports: list[Annotated[Literal["adapter", "merged", "gguf"], OrNewer]]
    version: int = 1
    tags: list[str] = []
    aliases: list[str] = []
    deployment: Annotated[Literal["automatic", "requested", "none"], OrNewer] = "automatic"


class ModelsData(Record):
    models: list[ServedModel]


class ModelsEnvelope(Record):
    """Document A's envelope around the models."""

    status: Annotated[Literal["success"], OrNewer] = "success"
    data: ModelsData


class NotConnected(Record):
    connected: bool = False
    model_info: None = Field(default=None, alias="modelInfo")
    timestamp: datetime
    error: str


class OpenAiDetails(Record):
    data: list[ListedModel]


class OpenAiError(Record):
    """OpenAI's error."""

    error: OpenAiErrorBody


class OpenAiErrorBody(Record):
    message: str
    type: str
    param: str | None
    code: str | None


class OpenAiModel(Record):
    id: str
    object: Annotated[Literal["model"], OrNewer]
    created: int
    owned_by: str


class OpenAiModels(Record):
    object: Annotated[Literal["list"], OrNewer]
    data: list[OpenAiModel]


class OrderedBlock(Record):
    """A block in its place."""

    id: int
    title: str
    content: str
    order_index: int


class OrderedPayload(Record):
    """A payload in its place."""

    id: int
    name: str
    order_index: int


class OutputCall(Record):
    """A call of one of the caller's functions; `arguments` is JSON, as the model wrote it."""

    type: Annotated[Literal["function_call"], OrNewer] = "function_call"
    id: str
    status: Annotated[Literal["in_progress", "completed", "incomplete"], OrNewer]
    call_id: str
    name: str
    arguments: str


class OutputDetails(Record):
    reasoning_tokens: int = 0


class OutputMessage(Record):
    """What the model said."""

    type: Annotated[Literal["message"], OrNewer] = "message"
    id: str
    status: Annotated[Literal["in_progress", "completed", "incomplete"], OrNewer]
    role: Annotated[Literal["assistant"], OrNewer] = "assistant"
    content: list[OutputText | OutputRefusal]


class OutputReasoning(Record):
    """What the model thought first, where the engine tells."""

    type: Annotated[Literal["reasoning"], OrNewer] = "reasoning"
    id: str
    status: Annotated[Literal["in_progress", "completed", "incomplete"], OrNewer]
    summary: list[dict[str, Any]] = []
    content: list[ReasoningText]


class OutputRefusal(Record):
    type: Annotated[Literal["refusal"], OrNewer] = "refusal"
    refusal: str


class OutputText(Record):
    type: Annotated[Literal["output_text"], OrNewer] = "output_text"
    text: str
    annotations: list[dict[str, Any]] = []
    logprobs: list[dict[str, Any]] = []


class Pace(Record):
    tokens_per_second: float


class Payload(Record):
    """A prompt of `blocks` in order, and the instance that answers it, in its newest version."""

    model: str | None = None
    depends_on: list[int | str] | None = None
    retries: int | None = None
    timeout: float | None = None
    fallback_port: int | None = None
    condition: Condition | None = None
    for_each: int | str | None = None
    items_at_once: int | None = None
    approval: bool | None = None
    when_skipped: Annotated[Literal["run", "skip"], OrNewer] | None = None
    id: int
    name: str
    temperature: float
    response_length: int
    llm_port: int
    model_format: Annotated[
        Literal["chat", "mistral", "llama", "llama3", "chatml", "alpaca", "vicuna", "gemma", "phi", "raw"], OrNewer
    ]
    created_at: datetime
    updated_at: datetime
    blocks: list[OrderedBlock]


class PayloadPreview(Record):
    """`prompt` is the blocks with the inputs in their places; `text` is that as its instance would be asked with it.

    `used` names the inputs that stand in it, `missing` the names in braces that stand for nothing and stay as
    they are.
    """

    payload_id: int
    prompt: str
    text: str
    used: list[str]
    missing: list[str]
    characters: int


class PayloadVersion(Record):
    """A version, which never changes. `blocks` are ids."""

    version: int
    created_at: datetime
    model: str | None = None
    depends_on: list[int | str] | None = None
    retries: int | None = None
    timeout: float | None = None
    fallback_port: int | None = None
    condition: Condition | None = None
    for_each: int | str | None = None
    items_at_once: int | None = None
    approval: bool | None = None
    when_skipped: Annotated[Literal["run", "skip"], OrNewer] | None = None
    name: str
    temperature: float
    response_length: int
    llm_port: int
    model_format: Annotated[
        Literal["chat", "mistral", "llama", "llama3", "chatml", "alpaca", "vicuna", "gemma", "phi", "raw"], OrNewer
    ]
    blocks: list[int]


class PayloadVersionPage(Record):
    """Versions, newest first."""

    items: list[PayloadVersion]
    total: int
    limit: int
    offset: int
    has_more: bool


class Persona(Record):
    """A named system prompt, be it a profile or a role."""

    name: str
    system_prompt: str
    description: str
    created_at: datetime
    updated_at: datetime


class PersonaPage(Record):
    """By name."""

    items: list[Persona]
    total: int
    limit: int
    offset: int
    has_more: bool


class Post(Record):
    id: int
    title: str
    summary: str
    created_at: datetime
    updated_at: datetime


class PostPage(Record):
    """Posts, newest first."""

    items: list[Post]
    total: int
    limit: int
    offset: int
    has_more: bool


class PreprocessingOutput(Record):
    """`train_path` and `eval_path` are JSON Lines objects of `{"prompt", "completion"}` rows, already in the
    template's form. Below `tokens_path` are their token ids; at `data_path` is the table that they were made of.
    """

    kind: Annotated[Literal["PreprocessingAgent"], OrNewer] = "PreprocessingAgent"
    base_model: str
    template: Annotated[
        Literal["alpaca", "chatml", "sharegpt", "messages", "llama", "mistral", "model", "custom"], OrNewer
    ]
    chat_template: str | None
    train_path: str
    eval_path: str
    tokens_path: str | None = None
    data_path: str | None = None
    train_rows: int
    eval_rows: int
    dropped_rows: int
    contaminated_rows: int = 0
    truncated_rows: int = 0
    train_tokens: int
    eval_tokens: int
    max_seq_length: int


class PresignedDownload(Record):
    """URLs that need no key until they expire, `expires_in` seconds from now. `url` is that of an only file."""

    url: str | None
    expires_in: int
    files: list[PresignedFile]


class PresignedFile(Record):
    """One file of an export, under its name there."""

    name: str
    url: str
    size: int
    sha256: str | None


class Prices(Record):
    """USD for a million tokens."""

    input: str
    output: str


class Progress(Record):
    """`progress` is in percent of the tokens that the payload may have."""

    run_id: int = Field(alias="runId")
    payload_id: int = Field(alias="payloadId")
    payload_name: str = Field(alias="payloadName")
    status: Annotated[Literal["running"], OrNewer] = "running"
    progress: int
    metadata: Pace


class Prompt(Record):
    """A prompt in its newest version. `variables` are those of its content, in order."""

    id: int
    name: str
    content: str
    variables: list[str]
    version: int
    created_at: datetime
    updated_at: datetime


class PromptData(Record):
    prompt: Prompt


class PromptEnvelope(Record):
    status: Annotated[Literal["success"], OrNewer] = "success"
    data: PromptData


class PromptVersion(Record):
    """A version, which never changes."""

    version: int
    content: str
    variables: list[str]
    created_at: datetime


class PromptVersionPage(Record):
    """Versions, newest first."""

    items: list[PromptVersion]
    total: int
    limit: int
    offset: int
    has_more: bool


class PromptsData(Record):
    prompts: list[Prompt]


class PromptsEnvelope(Record):
    """Document A's list."""

    status: Annotated[Literal["success"], OrNewer] = "success"
    data: PromptsData


class Readiness(Record):
    """Whether this gateway can take requests: its connections, one by one."""

    status: Annotated[Literal["ready", "not ready"], OrNewer]
    checks: dict[str, Annotated[Literal["ok", "unavailable"], OrNewer]]


class ReasoningText(Record):
    type: Annotated[Literal["reasoning_text"], OrNewer] = "reasoning_text"
    text: str


class RegistrationOutput(Record):
    kind: Annotated[Literal["RegistrationAgent"], OrNewer] = "RegistrationAgent"
    model_id: str
    model_name: str


class ResponseError(Record):
    code: str
    message: str


class ResponseEvent(Record):
    """One event of a streamed response; which of the fields it has depends on its type."""

    type: str
    sequence_number: int
    response: ResponsesResponse | None = None
    output_index: int | None = None
    item: OutputMessage | OutputReasoning | OutputCall | None = None
    item_id: str | None = None
    content_index: int | None = None
    part: OutputText | OutputRefusal | ReasoningText | None = None
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    logprobs: list[dict[str, Any]] | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None
    error: dict[str, Any] | None = None


class ResponseMetadata(Record):
    """`tokens_per_second` counts all tokens. A payload that was `skipped` has asked nobody.

    `port` and `engine` are those that answered, which may be the fallback's. `cost` is null when no price is
    known. One that was `kept` is the response of the parent run, and was not asked for again.
    """

    tokens: int
    prompt_tokens: int = Field(alias="promptTokens")
    completion_tokens: int = Field(alias="completionTokens")
    duration_ms: int
    tokens_per_second: float
    model: str | None = None
    engine: str | None = None
    port: int | None = None
    cost: str | None = None
    simulated: bool = False
    skipped: bool = False
    kept: bool = False
    items: int | None = None


class ResponseUsage(Record):
    """Tokens. The details are 0: engines' own are not told over the platform."""

    input_tokens: int
    input_tokens_details: InputDetails | None = None
    output_tokens: int
    output_tokens_details: OutputDetails | None = None
    total_tokens: int


class ResponsesResponse(Record):
    """A response. `system_fingerprint` names the engine that made it, and says if it was a simulated one."""

    id: str
    object: Annotated[Literal["response"], OrNewer] = "response"
    created_at: int
    completed_at: int | None = None
    status: Annotated[Literal["in_progress", "completed", "incomplete", "failed"], OrNewer]
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    model: str
    system_fingerprint: str | None = None
    output: list[OutputMessage | OutputReasoning | OutputCall]
    usage: ResponseUsage | None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    reasoning: dict[str, Any]
    temperature: float | None
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float | None
    user: str | None
    background: bool = False
    previous_response_id: None = None
    store: bool = False
    truncation: Annotated[Literal["disabled"], OrNewer] = "disabled"


class RuleFinding(Record):
    """One broken rule: how many rows, and the first of them (0-based): some, and as many as are told at all."""

    rule: str
    severity: Annotated[Literal["error", "warning"], OrNewer]
    message: str
    rows: int
    examples: list[int] = []
    row_numbers: list[int] = []


class RunDeleted(Record):
    message: str = "Run and associated responses deleted successfully"


class RunEnd(Record):
    """The last event of a run's stream. `status` is null for a run that was deleted."""

    run_id: int
    status: Annotated[Literal["running", "paused", "completed", "failed", "cancelled"], OrNewer] | None


class RunError(Record):
    """Why a run failed, in document B's words; `temporary` failures may pass by themselves."""

    code: str
    type: str
    message: str
    temporary: bool


class RunEvent(Record):
    """A message in document C's form, with an id to go on from."""

    id: int
    type: Annotated[
        Literal[
            "execution_progress",
            "payload_completed",
            "item_progress",
            "item_completed",
            "item_failed",
            "approval_requested",
            "approval_decided",
            "workflow_completed",
            "workflow_failed",
        ],
        OrNewer,
    ]
    data: (
        Progress
        | RunEventsResponse
        | ItemProgress
        | ItemResponse
        | ItemFailure
        | Approval
        | Decision
        | RunEventsCompletion
        | Failure
    )


class RunEventsCompletion(Record):
    run_id: int = Field(alias="runId")
    status: Annotated[Literal["completed"], OrNewer] = "completed"


class RunEventsResponse(Record):
    run_id: int = Field(alias="runId")
    payload_id: int = Field(alias="payloadId")
    payload_name: str = Field(alias="payloadName")
    content: str
    metadata: EventMetadata


class RunItem(Record):
    """What became of the item of number `item`, from 0, of a payload's `for_each`. `text` is the item itself.

    `content`, `prompt` and `metadata` are those of its response, null until it has one; `error` says why it
    failed.
    """

    payload_id: int
    payload_name: str
    item: int
    text: str
    status: Annotated[Literal["pending", "running", "completed", "failed", "cancelled"], OrNewer]
    attempts: int
    content: str | None
    prompt: str | None
    metadata: ResponseMetadata | None
    error: str | None
    started_at: datetime | None
    completed_at: datetime | None


class RunItemPage(Record):
    """Items, in the order of their payloads and their lists."""

    items: list[RunItem]
    total: int
    limit: int
    offset: int
    has_more: bool


class RunMetadata(Record):
    """`awaiting_approval` names the payloads whose turn has come and that wait for a person."""

    workflow_name: str
    workflow_version: int
    total_payloads: int
    completed_payloads: int
    awaiting_approval: list[str]
    started_at: datetime
    completed_at: datetime | None


class RunMetrics(Record):
    run_id: str
    series: list[MetricSeries]


class RunResponse(Record):
    """What a payload of a run answered. `prompt` is the exact text that the instance was asked with.

    Of one that was done for each item of a list both are those of all items, up to a million characters: the
    run's items have the rest.
    """

    id: int
    run_id: int
    payload_id: int
    payload_name: str
    content: str
    prompt: str
    metadata: ResponseMetadata
    created_at: datetime


class RunWithResponses(Record):
    id: int
    workflow_id: int
    status: Annotated[Literal["running", "paused", "completed", "failed", "cancelled"], OrNewer]
    started_at: datetime
    completed_at: datetime | None
    error: str | None
    parent_run_id: int | None
    trigger: Annotated[Literal["api", "schedule", "webhook", "rerun", "fork"], OrNewer]
    trigger_id: int | None
    metadata: RunMetadata
    inputs: dict[str, Any]
    items: list[ItemCounts]
    responses: list[RunResponse]


class Sample(Record):
    """One held-out question with the reference, the base model's answer and the trained model's."""

    prompt: str
    reference: str
    base_answer: str
    answer: str


class SavedAction(Record):
    """Document B's answer to who makes or changes an action."""

    status: Annotated[Literal["success"], OrNewer] = "success"
    action: Action


class SavedPayload(Record):
    """A payload without its blocks: the answer to who makes or changes one."""

    model: str | None = None
    depends_on: list[int | str] | None = None
    retries: int | None = None
    timeout: float | None = None
    fallback_port: int | None = None
    condition: Condition | None = None
    for_each: int | str | None = None
    items_at_once: int | None = None
    approval: bool | None = None
    when_skipped: Annotated[Literal["run", "skip"], OrNewer] | None = None
    id: int
    name: str
    temperature: float
    response_length: int
    llm_port: int
    model_format: Annotated[
        Literal["chat", "mistral", "llama", "llama3", "chatml", "alpaca", "vicuna", "gemma", "phi", "raw"], OrNewer
    ]
    created_at: datetime
    updated_at: datetime


class SavedTemplate(Record):
    status: Annotated[Literal["success"], OrNewer] = "success"
    message: str = "Template settings saved successfully"
    data: TemplateSettings


class SavedWorkflow(Record):
    """A workflow without its payloads: the answer to who makes or changes one."""

    id: int
    name: str
    inputs: dict[str, Any] | None = None
    created_at: datetime
    updated_at: datetime


class Schedule(Record):
    """`next_at` is null while it is not `enabled`. `last_at` is the moment that the last start was due, `last_run`
    the run that it made, `error` why it made none.
    """

    id: int
    workflow_id: int
    cron: str
    time_zone: str
    inputs: dict[str, Any]
    overlap: Annotated[Literal["skip", "queue"], OrNewer]
    enabled: bool
    owner: str
    next_at: datetime | None
    last_at: datetime | None
    last_run: int | None
    error: str | None
    created_at: datetime
    updated_at: datetime


class ScheduleDeleted(Record):
    message: str = "Schedule deleted successfully"


class SchedulePage(Record):
    """Schedules, by id."""

    items: list[Schedule]
    total: int
    limit: int
    offset: int
    has_more: bool


class Section(Record):
    """A part of a post. Sections are ordered by `position`, those of the same position by age."""

    id: int
    post_id: int
    position: int
    title: str
    content: str
    created_at: datetime
    updated_at: datetime


class SectionPage(Record):
    """The sections of a post, in order."""

    items: list[Section]
    total: int
    limit: int
    offset: int
    has_more: bool


class SeoAnswer(Record):
    suggestions: SeoSuggestions


class SeoSuggestions(Record):
    title_suggestions: list[str]
    meta_description: str
    keyword_suggestions: list[str]


class ServedModel(Record):
    """A model that can be asked for by `name`.

    `parent` is the base of an adapter; `model_id` its id in the registry, `versioned` the name that always is its
    own. `context_size` in tokens is None when nobody has said it; `max_tokens` is what to count on. `prices` is
    None when none is known; what costs nothing says so. `fallbacks` are asked in this order when it cannot
    answer. A `disabled` one is so in its settings.
    """

    id: int
    name: str
    provider: str
    max_tokens: int
    status: Annotated[Literal["active", "unavailable", "disabled"], OrNewer]
    engine: str
    parent: str | None = None
    model_id: str | None = None
    versioned: str | None = None
    context_size: int | None = None
    prices: Prices | None = None
    capabilities: list[str] = []
    fallbacks: list[str] = []
    created_at: datetime
    updated_at: datetime


class ServerMetrics(Record):
    """Document D's metrics. The server is offline when no engine can be asked.

    `tokens_per_second`, `average_response_time` (seconds) and `success_rate` (percent of the tasks that ended)
    are of the window and null when nothing happened in it. `total_requests` counts all completions of any route,
    `api_costs` is what they cost in USD, null when no price is known. `active_tasks` are being worked on,
    `queue_length` have not begun.
    """

    server_status: Annotated[Literal["online", "offline"], OrNewer]
    llm_status: dict[str, str]
    tokens_per_second: float | None
    average_response_time: float | None
    total_requests: int
    active_tasks: int
    queue_length: int
    success_rate: float | None
    api_costs: float | None


class Steering(Record):
    """What somebody did to a job, for all who watch it. `number` is also in the record that tells of its effect."""

    number: int
    action: Annotated[Literal["pause", "resume", "cancel", "adjust"], OrNewer]
    by: str
    learning_rate: float | None = None
    agent_name: str | None = None


class StepView(Record):
    """`cached`: its result is that of an earlier run. `sweep` are the values that this one of a sweep tries.

    `training_step` of `total_steps` is how far an agent is that trains, by its last record, and `seconds_left`
    how long the rest takes at its present pace, without evaluation; null while that is not known.
    """

    agent_name: str
    agent_class: str
    status: Annotated[
        Literal["waiting", "ready", "paused", "running", "completed", "failed", "cancelled", "skipped"], OrNewer
    ]
    attempt: int
    started_at: datetime | None
    finished_at: datetime | None
    cached: bool = False
    sweep: dict[str, Any] | None = None
    training_step: int | None = None
    total_steps: int | None = None
    seconds_left: float | None = None


class Succeeded(Record):
    """All that document B says of a deletion."""

    status: Annotated[Literal["success"], OrNewer] = "success"


class Task(Record):
    """Document D's answer, and `details` besides."""

    task_id: str
    status: Annotated[Literal["Planned", "Processing", "Completed", "Failed", "Cancelled"], OrNewer]
    result: str | None
    error: str | None
    details: TaskDetails


class TaskAnalysis(Record):
    """How it was decided whether one answer will do: a plan is made when `score` reaches `threshold`."""

    decision: Annotated[Literal["direct", "plan"], OrNewer]
    score: float
    threshold: float
    signals: list[TaskSignal]


class TaskDetails(Record):
    """What document D's four fields do not say. `plan` is empty where the prompt was answered directly."""

    profile: str
    role: str
    analysis: TaskAnalysis
    plan: list[TaskStep]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class TaskPage(Record):
    """Tasks, newest first."""

    items: list[TaskSummary]
    total: int
    limit: int
    offset: int
    has_more: bool


class TaskSignal(Record):
    """Something about the prompt that spoke for a plan (positive `weight`) or against one, and where it was seen."""

    name: str
    weight: float
    evidence: list[str]


class TaskStep(Record):
    """A step of a task's plan. `needs` names the steps right before it; it sees the results of all that came before."""

    name: str
    instruction: str
    needs: list[str]
    status: Annotated[
        Literal["waiting", "ready", "paused", "running", "completed", "failed", "cancelled", "skipped"], OrNewer
    ]
    attempt: int
    result: str | None
    error: str | None
    started_at: datetime | None
    finished_at: datetime | None


class TaskSummary(Record):
    """A task in a list: its results are left to `GET`, and its prompt is cut to its beginning."""

    task_id: str
    status: Annotated[Literal["Planned", "Processing", "Completed", "Failed", "Cancelled"], OrNewer]
    error: str | None
    prompt: str
    profile: str
    role: str
    created_at: datetime
    finished_at: datetime | None


class TemplateAgent(Record):
    agent_name: str
    agent_class: str


class TemplateSettings(Record):
    """An action in the words of document B's template settings. `template_id` is the id of its prompt."""

    template_id: str
    template_name: str
    source_field: str
    template: str
    llm_model: str
    temperature: float
    max_tokens: int


class Templates(Record):
    """The templates of a source field, the one saved last first, and the names of the models that can be asked."""

    templates: list[TemplateSettings]
    models: list[str]


class TemplatesEnvelope(Record):
    status: Annotated[Literal["success"], OrNewer] = "success"
    data: Templates


class TestResult(Record):
    """`duration` in seconds."""

    result: str
    model: str
    duration: float


class TextChoice(Record):
    text: str
    index: int
    logprobs: dict[str, Any] | None
    finish_reason: Annotated[Literal["stop", "length", "tool_calls", "content_filter"], OrNewer] | None


class TextCompletion(Record):
    """A finished completion, or a piece of a streamed one. The choices of a prompt follow those of the one before."""

    id: str
    object: Annotated[Literal["text_completion"], OrNewer]
    created: int
    model: str
    choices: list[TextChoice]
    system_fingerprint: str | None
    usage: Usage | None = None


class TokenCounts(Record):
    """Tokens of one column. Of a large data set the first `rows_counted` rows are counted, and `tokens` is what all
    have if they are like those.
    """

    tokens: int
    mean: float
    p50: int
    p90: int
    p99: int
    longest: int
    dataset_id: str
    base_model: str
    column: str
    rows_counted: int
    is_estimate: bool


class Told(Record):
    message: str


class TrainingConfig(Record):
    """One fine-tuning run. The names that PEFT, TRL, LLaMA-Factory and Axolotl have for these fields are taken too.

    `objective`: `sft` learns answers, `dpo` learns to prefer the chosen of two answers (rows with `chosen` and
    `rejected`), against the base model without the adapter, with `dpo_beta` as its temperature.

    `max_steps` (optimizer steps) overrides `epochs`. `batch_size` counts rows, or with `packing` sequences of up
    to `max_seq_length` tokens that are filled with whole rows, which never see each other. `max_seq_length` cuts
    the rows shorter than they were prepared. The learning rate warms up over `warmup_steps`, or else over
    `warmup_ratio` of all steps, and ends at `min_lr_ratio` of its peak.

    Every `eval_steps`, by default after each epoch, the loss is measured on held-out rows. `keep_best` keeps the
    weights of the best measurement, and `early_stopping_patience` ends a run after that many that are not better
    by `early_stopping_threshold`. `save_steps` is the checkpoint interval.

    `activation_checkpointing`, by default only where memory needs it, computes activations twice to save memory;
    `torch_compile` compiles the model, which pays on long runs; `use_liger_kernel`, by default where they are
    installed and there is a GPU, takes Liger's kernels.
    """

    base_model: str | None = None
    method: Annotated[Literal["lora", "qlora", "full"], OrNewer] = "lora"
    objective: Annotated[Literal["sft", "dpo"], OrNewer] = "sft"
    dpo_beta: float = 0.1
    lora_r: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.0
    target_modules: list[str] | Annotated[Literal["all-linear"], OrNewer] = "all-linear"
    epochs: float = 3
    max_steps: int | None = None
    batch_size: int = 4
    gradient_accumulation_steps: int = 1
    packing: bool = False
    max_seq_length: int | None = None
    learning_rate: float = 0.0002
    lr_scheduler_type: Annotated[Literal["linear", "cosine", "constant", "inverse_sqrt"], OrNewer] = "cosine"
    warmup_ratio: float = 0.03
    warmup_steps: int | None = None
    min_lr_ratio: float = 0.0
    optimizer: Annotated[Literal["adamw"], OrNewer] = "adamw"
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-08
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    train_on_inputs: bool = False
    precision: Annotated[Literal["auto", "bfloat16", "float32"], OrNewer] = "auto"
    activation_checkpointing: bool | None = None
    torch_compile: bool = False
    use_liger_kernel: bool | None = None
    logging_steps: int = 10
    eval_steps: int | None = None
    early_stopping_patience: int | None = None
    early_stopping_threshold: float = 0.0
    keep_best: bool = False
    save_steps: int = 50
    seed: int = 42


class TrainingEstimate(Record):
    """What was expected before the first step: bytes of memory on the device, and seconds, as the first steps ran."""

    memory_bytes: int
    available_bytes: int
    seconds: float | None = None


class TrainingOutput(Record):
    """`model_path` is the S3 prefix of the adapter (LoRA, QLoRA) or of the whole model (full); at `rows_path` are
    the rows that it learnt.

    Losses are nats a token; `eval_loss` is that of the weights that were kept, of step `best_step`.
    `stopped_early` says that the held-out loss had stopped falling. `config` is what was asked for,
    `learning_rate_changes` what people made of it on the way to these weights.
    """

    kind: Annotated[Literal["TrainingAgent"], OrNewer] = "TrainingAgent"
    base_model: str
    method: Annotated[Literal["lora", "qlora", "full"], OrNewer]
    config: TrainingConfig
    model_path: str
    rows_path: str | None = None
    steps: int
    epochs: float
    first_loss: float
    final_loss: float
    tokens: int
    seconds: float
    resumed_from_step: int
    eval_loss: float | None = None
    best_step: int | None = None
    stopped_early: bool = False
    peak_memory_bytes: int | None = None
    estimate: TrainingEstimate | None = None
    learning_rate_changes: list[LearningRateChange] = []


class TrialDelta(Record):
    """The event `delta`: more of the answer."""

    content: str


class TrialResult(Record):
    """The event `result`, which comes last: document B's answer, and what it took.

    `duration` and `time_to_first_token` in seconds; `cost` in USD, null when no price is known. `simulated` says
    that no model made it.
    """

    result: str
    model: str
    duration: float
    finish_reason: Annotated[Literal["stop", "length", "tool_calls", "content_filter"], OrNewer] | None
    usage: Usage
    cost: str | None
    time_to_first_token: float | None
    engine: str
    simulated: bool


class UploadState(Record):
    """An upload that can be resumed: send what is behind `offset`. `dataset_id` is there once it is a data set."""

    upload_id: str
    filename: str
    length: int
    offset: int
    status: str
    dataset_id: str | None
    error: str | None
    expires_at: datetime


class Usage(Record):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class UsagePage(Record):
    """Newest day first, then by model and key."""

    items: list[UsageRow]
    total: int
    limit: int
    offset: int
    has_more: bool


class UsageRow(Record):
    """What was used of one model on one day by one key, or the sum over those that `group_by` does not name.

    These are null then; `key` is also null for callers without one. `mean_duration` in seconds; `errors` are
    failed requests. `cost` in USD is the sum of what is known; `unpriced` requests are those whose price nobody
    knows.
    """

    day: date | None = None
    model: str | None = None
    key: str | None = None
    requests: int
    errors: int
    cancelled: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost: str
    unpriced: int
    mean_duration: float


class User(Record):
    user_id: str
    name: str
    role: Annotated[Literal["admin", "member", "viewer"], OrNewer]
    disabled: bool
    created_at: datetime
    updated_at: datetime


class UserPage(Record):
    """Users, by name."""

    items: list[User]
    total: int
    limit: int
    offset: int
    has_more: bool


class ValidationOutput(Record):
    kind: Annotated[Literal["ValidationAgent"], OrNewer] = "ValidationAgent"
    rows: int
    findings: list[RuleFinding]
    report_path: str


class Webhook(Record):
    """`signed` ones take only what is signed with their secret. `last_at` is when one last started a run."""

    id: int
    workflow_id: int
    name: str
    signed: bool
    enabled: bool
    owner: str
    last_at: datetime | None
    last_run: int | None
    created_at: datetime
    updated_at: datetime


class WebhookDeleted(Record):
    message: str = "Webhook deleted successfully"


class WebhookPage(Record):
    """Webhooks, by id."""

    items: list[Webhook]
    total: int
    limit: int
    offset: int
    has_more: bool


class Workflow(Record):
    """Payloads in order, in its newest version. `inputs` is null where it declares none."""

    id: int
    name: str
    inputs: dict[str, Any] | None = None
    created_at: datetime
    updated_at: datetime
    payloads: list[OrderedPayload]


class WorkflowDocument(Record):
    """A workflow with all that it needs, to be kept in a file and imported elsewhere."""

    format: Annotated[Literal["llm-platform/workflow"], OrNewer] = "llm-platform/workflow"
    version: int = 1
    name: str
    inputs: dict[str, Any] | None = None
    workflow: list[int]
    payloads: list[ExportedPayload]
    blocks: list[ExportedBlock]


class WorkflowRun(Record):
    """`error` says why it failed. `parent_run_id` is the run that it repeats a part of, or was forked from.
    `trigger_id` is that of the schedule or the webhook that started it.
    """

    id: int
    workflow_id: int
    status: Annotated[Literal["running", "paused", "completed", "failed", "cancelled"], OrNewer]
    started_at: datetime
    completed_at: datetime | None
    error: str | None
    parent_run_id: int | None
    trigger: Annotated[Literal["api", "schedule", "webhook", "rerun", "fork"], OrNewer]
    trigger_id: int | None
    metadata: RunMetadata


class WorkflowRunWithInputs(Record):
    """`items` are of payloads that are done for each item of a list, once that is known."""

    id: int
    workflow_id: int
    status: Annotated[Literal["running", "paused", "completed", "failed", "cancelled"], OrNewer]
    started_at: datetime
    completed_at: datetime | None
    error: str | None
    parent_run_id: int | None
    trigger: Annotated[Literal["api", "schedule", "webhook", "rerun", "fork"], OrNewer]
    trigger_id: int | None
    metadata: RunMetadata
    inputs: dict[str, Any]
    items: list[ItemCounts]


class WorkflowVersion(Record):
    """A version, which never changes. `payloads` are ids."""

    version: int
    created_at: datetime
    name: str
    inputs: dict[str, Any] | None = None
    payloads: list[int]


class WorkflowVersionPage(Record):
    """Versions, newest first."""

    items: list[WorkflowVersion]
    total: int
    limit: int
    offset: int
    has_more: bool


ActionList: TypeAlias = ActionsEnvelope | list[Action]
ActionOrTemplates: TypeAlias = Action | TemplatesEnvelope
BlockArray: TypeAlias = list[Block]
ConnectivityView: TypeAlias = Connected | NotConnected
InstanceArray: TypeAlias = list[InstanceView]
PayloadArray: TypeAlias = list[Payload]
ResponseArray: TypeAlias = list[RunResponse]
RunArray: TypeAlias = list[WorkflowRun]
SocialAnswer: TypeAlias = dict[str, str]
WorkflowArray: TypeAlias = list[Workflow]
