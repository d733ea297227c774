"""What the platform may be asked. Made by `make sdk` from the API's description: do not edit."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal, NotRequired, TypedDict


class AdjustJob(TypedDict):
    """Changes the learning rate of the agents that train, or of the one named, from their next step on.

    The schedule keeps its shape: `learning_rate` stands for the one in the agent's configuration.
    """

    learning_rate: float
    agent_name: NotRequired[str | None]


class AnswerApproval(TypedDict):
    """Without `payload`, the first that waits."""

    payload: NotRequired[int | str | None]


class BlocksQuery(TypedDict):
    folder: NotRequired[str | None]
    tag: NotRequired[str | None]
    search: NotRequired[str | None]


class Budget(TypedDict):
    """The most that may be spent in a period, in US dollars, in tokens, or in both."""

    usd: NotRequired[float | None]
    tokens: NotRequired[int | None]
    period: NotRequired[Literal["day", "month", "total"]]


class ChangedApiKey(TypedDict):
    """Changes the given fields of a key; null takes a limit away."""

    name: NotRequired[str]
    role: NotRequired[Literal["admin", "member", "viewer"]]
    response_style: NotRequired[Literal["envelope", "plain"]]
    allowed_models: NotRequired[list[str] | None]
    requests_per_minute: NotRequired[int | None]
    budget: NotRequired[Budget | None]
    expires_at: NotRequired[datetime | str | None]


class ChangedPassword(TypedDict):
    """Gives the caller another password, which ends all other sessions."""

    password: str
    new_password: str


class ChangedUser(TypedDict):
    """Changes the given fields. A new password, another role or `disabled` ends all sessions of the user."""

    name: NotRequired[str | None]
    password: NotRequired[str | None]
    role: NotRequired[Literal["admin", "member", "viewer"] | None]
    disabled: NotRequired[bool | None]


class ChatMessage(TypedDict):
    """One turn. `content` is text, or OpenAI's list of parts, which is passed through."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: NotRequired[str | list[dict[str, Any]] | None]
    name: NotRequired[str | None]
    tool_calls: NotRequired[list[dict[str, Any]] | None]
    tool_call_id: NotRequired[str | None]


class ChatRequest(TypedDict):
    """A chat completion as OpenAI's clients ask for it. Parameters that are not named here go to the engine as is."""

    model: str
    stream: NotRequired[bool | None]
    stream_options: NotRequired[StreamOptions | None]
    n: NotRequired[int | None]
    temperature: NotRequired[float | None]
    top_p: NotRequired[float | None]
    max_tokens: NotRequired[int | None]
    stop: NotRequired[list[str] | str | None]
    seed: NotRequired[int | None]
    frequency_penalty: NotRequired[float | None]
    presence_penalty: NotRequired[float | None]
    logit_bias: NotRequired[dict[str, float] | None]
    user: NotRequired[str | None]
    messages: list[ChatMessage]
    max_completion_tokens: NotRequired[int | None]
    response_format: NotRequired[dict[str, Any] | None]
    logprobs: NotRequired[bool | None]
    top_logprobs: NotRequired[int | None]
    tools: NotRequired[list[dict[str, Any]] | None]
    tool_choice: NotRequired[str | dict[str, Any] | None]
    parallel_tool_calls: NotRequired[bool | None]


class CompletionRequest(TypedDict):
    """A text completion as OpenAI's clients ask for it: each prompt, a text or the ids of its tokens, is continued."""

    model: str
    stream: NotRequired[bool | None]
    stream_options: NotRequired[StreamOptions | None]
    n: NotRequired[int | None]
    temperature: NotRequired[float | None]
    top_p: NotRequired[float | None]
    max_tokens: NotRequired[int | None]
    stop: NotRequired[list[str] | str | None]
    seed: NotRequired[int | None]
    frequency_penalty: NotRequired[float | None]
    presence_penalty: NotRequired[float | None]
    logit_bias: NotRequired[dict[str, float] | None]
    user: NotRequired[str | None]
    prompt: str | list[str] | list[int] | list[list[int]]
    logprobs: NotRequired[int | None]
    echo: NotRequired[bool | None]
    best_of: NotRequired[int | None]
    suffix: NotRequired[str | None]


class Condition(TypedDict):
    """What an earlier response has to be like, without the space around it. `above` and `below` compare numbers."""

    payload: int | str
    operator: Literal[
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
    ]
    value: NotRequired[str]
    ignore_case: NotRequired[bool]


class CreateAction(TypedDict):
    """An action to make, in the words of either document: `field_name` or `output_field`, `llm_model` or `model`.

    Without `prompt_version` it follows its prompt. Without `name` it has that of its prompt; without
    `input_field` its input is the prompt's first variable.
    """

    field_name: NotRequired[str | None]
    prompt_template_id: int
    llm_model: NotRequired[str | None]
    temperature: NotRequired[float]
    max_tokens: NotRequired[int]
    name: NotRequired[str | None]
    description: NotRequired[str]
    input_field: NotRequired[str | None]
    output_field: NotRequired[str | None]
    model: NotRequired[str | None]
    status: NotRequired[Literal["active", "inactive"]]
    prompt_version: NotRequired[int | None]


class CreateBlock(TypedDict):
    title: str
    content: str
    tags: NotRequired[str]
    folder_path: NotRequired[str]


class CreateEngine(TypedDict):
    """Registers an engine. `models` are served whether or not the engine lists them.

    Without `api_base` a hosted provider's own is taken; without `concurrency` what suits the type.
    """

    name: str
    provider_type: Literal["openai", "vllm", "ollama", "llamacpp", "koboldai", "local", "simulated"]
    api_base: NotRequired[str | None]
    port: NotRequired[int | None]
    auth_token: NotRequired[str | None]
    concurrency: NotRequired[int | None]
    timeout: NotRequired[float | None]
    enabled: NotRequired[bool]
    priority: NotRequired[int]
    weight: NotRequired[float]
    models: NotRequired[list[str]]
    prices: NotRequired[dict[str, Prices]]


class CreateInstance(TypedDict):
    """Registers the engine on a port of this machine, of `host`, or where `api_base` says.

    Without `provider_type` it is asked which API it speaks; one that does not answer is taken for OpenAI's.
    """

    port: int
    name: str
    provider_type: NotRequired[Literal["openai", "vllm", "ollama", "llamacpp", "koboldai", "local", "simulated"] | None]
    host: NotRequired[str | None]
    api_base: NotRequired[str | None]
    auth_token: NotRequired[str | None]
    config: NotRequired[InstanceConfig]


class CreatePayload(TypedDict):
    model: NotRequired[str | None]
    depends_on: NotRequired[list[int | str] | None]
    retries: NotRequired[int | None]
    timeout: NotRequired[float | None]
    fallback_port: NotRequired[int | None]
    condition: NotRequired[Condition | None]
    for_each: NotRequired[int | str | None]
    items_at_once: NotRequired[int | None]
    approval: NotRequired[bool | None]
    when_skipped: NotRequired[Literal["run", "skip"] | None]
    name: str
    temperature: NotRequired[float]
    response_length: NotRequired[int]
    llm_port: int
    model_format: NotRequired[
        Literal["chat", "mistral", "llama", "llama3", "chatml", "alpaca", "vicuna", "gemma", "phi", "raw"]
    ]
    blocks: NotRequired[list[int]]


class CreatePost(TypedDict):
    title: str
    summary: NotRequired[str]


class CreatePrompt(TypedDict):
    name: str
    content: str


class CreateSchedule(TypedDict):
    cron: str
    time_zone: NotRequired[str]
    inputs: NotRequired[dict[str, Any]]
    overlap: NotRequired[Literal["skip", "queue"]]
    enabled: NotRequired[bool]


class CreateSection(TypedDict):
    """Without a `position` it comes last."""

    title: str
    content: NotRequired[str]
    position: NotRequired[int | None]


class CreateTask(TypedDict):
    """What is to be done, and under which system prompts: the role says who answers, the profile how."""

    prompt: str
    profile: NotRequired[str]
    role: NotRequired[str]


class CreateWebhook(TypedDict):
    name: NotRequired[str]
    signed: NotRequired[bool]
    enabled: NotRequired[bool]


class CreateWorkflow(TypedDict):
    name: str
    payloads: NotRequired[list[int]]
    inputs: NotRequired[dict[str, Any] | None]


class Credentials(TypedDict):
    """A name and a password, as the login page sends them."""

    name: str
    password: str


class DatasetUpload(TypedDict):
    """The parts of an upload. Without `format` it follows from the file's name and content."""

    file: bytes
    format: NotRequired[Literal["csv", "tsv", "json", "jsonl", "parquet", "txt"] | None]


class DatasetsQuery(TypedDict):
    filename: NotRequired[str | None]
    search: NotRequired[str | None]
    format: NotRequired[Literal["csv", "tsv", "json", "jsonl", "parquet", "txt"] | None]
    sha256: NotRequired[str | None]


class DatasetsTokensQuery(TypedDict):
    base_model: str
    column: NotRequired[str | None]


class DeleteBlocksQuery(TypedDict):
    force: NotRequired[bool]


class DeleteDatasetsQuery(TypedDict):
    force: NotRequired[bool]


class DeleteJobsQuery(TypedDict):
    purge: NotRequired[bool]


class DeleteModelsQuery(TypedDict):
    force: NotRequired[bool]


class DeletePayloadsQuery(TypedDict):
    force: NotRequired[bool]


class Edge(TypedDict):
    """`to_agent` starts when `from_agent` has finished."""

    from_agent: str
    to_agent: str


class EmbeddingsRequest(TypedDict):
    """Texts, or the ids of their tokens. Parameters that are not named here go to the engine as they are."""

    model: str
    input: str | list[str] | list[int] | list[list[int]]
    encoding_format: NotRequired[Literal["float", "base64"]]
    dimensions: NotRequired[int | None]


class ExecuteAction(TypedDict):
    """`input_data` holds the prompt's variables. `post_id` names the post that it is done for, if any.

    A prompt without variables is followed by the value of the action's input field.
    """

    input_data: dict[str, Any]
    post_id: NotRequired[int | None]


class ExecuteWorkflow(TypedDict):
    inputs: NotRequired[dict[str, Any]]


class ExpandSection(TypedDict):
    tone: NotRequired[str]
    platforms: NotRequired[list[str]]


class ExportedBlock(TypedDict):
    id: int
    title: str
    content: str
    tags: NotRequired[str]
    folder_path: NotRequired[str]


class ExportedPayload(TypedDict):
    model: NotRequired[str | None]
    depends_on: NotRequired[list[int | str] | None]
    retries: NotRequired[int | None]
    timeout: NotRequired[float | None]
    fallback_port: NotRequired[int | None]
    condition: NotRequired[Condition | None]
    for_each: NotRequired[int | str | None]
    items_at_once: NotRequired[int | None]
    approval: NotRequired[bool | None]
    when_skipped: NotRequired[Literal["run", "skip"] | None]
    id: int
    name: str
    temperature: float
    response_length: int
    llm_port: int
    model_format: Literal["chat", "mistral", "llama", "llama3", "chatml", "alpaca", "vicuna", "gemma", "phi", "raw"]
    blocks: list[int]


class ForkWorkflow(TypedDict):
    """As `RerunWorkflow`, with these inputs in the place of those of the same name. Without `from_payload` nothing
    is kept, since any response may have come from an input.
    """

    from_payload: NotRequired[int | str | None]
    inputs: NotRequired[dict[str, Any]]


class GenerateIdea(TypedDict):
    topic: str
    style: NotRequired[str]
    audience: NotRequired[str]


class GenerateSocial(TypedDict):
    platforms: NotRequired[list[str]]


class GlobalConfig(TypedDict):
    """What holds for every agent of a job. `base_model` and `dataset_id` are defaults for agents that name none.

    Without `use_cache` every agent does its work, also where nothing has changed since an earlier run.
    """

    max_retries: NotRequired[int]
    base_model: NotRequired[str | None]
    dataset_id: NotRequired[str | None]
    step_timeout_seconds: NotRequired[float]
    use_cache: NotRequired[bool]


class InstanceConfig(TypedDict):
    """What a completion that is asked of the instance by its port has where it says nothing else; tokens at most."""

    temperature: NotRequired[float]
    max_length: NotRequired[int]


class InteractionsQuery(TypedDict):
    model: NotRequired[str | None]
    status: NotRequired[Literal["completed", "failed", "cancelled"] | None]
    engine: NotRequired[str | None]
    route: NotRequired[str | None]
    key: NotRequired[str | None]
    trace_id: NotRequired[str | None]
    since: NotRequired[datetime | str | None]
    until: NotRequired[datetime | str | None]


class JobsQuery(TypedDict):
    status: NotRequired[Literal["pending", "running", "paused", "completed", "failed", "cancelled"] | None]
    owner: NotRequired[str | None]
    created_after: NotRequired[datetime | str | None]
    created_before: NotRequired[datetime | str | None]


class KeysQuery(TypedDict):
    include_revoked: NotRequired[bool]


class LogsHistoryQuery(TypedDict):
    before: NotRequired[int | None]
    order: NotRequired[Literal["asc", "desc"]]
    level: NotRequired[Literal["INFO", "WARN", "ERROR", "METRIC"] | None]
    agent: NotRequired[str | None]


class LogsMetricsQuery(TypedDict):
    agent: NotRequired[str | None]
    points: NotRequired[int]


class LogsStreamQuery(TypedDict):
    level: NotRequired[Literal["INFO", "WARN", "ERROR", "METRIC"] | None]
    agent: NotRequired[str | None]


class MetricsQuery(TypedDict):
    window: NotRequired[float]


class ModelSettings(TypedDict):
    """Of the model that is asked for by this name. `fallbacks` are asked in this order when it cannot answer.

    One that is not `enabled` is not asked, only its fallbacks are; under the id of a trained model that holds for
    its name too. `prices` stand over what engines say of all their models and over the providers' lists, and an
    engine's price for this very model over them. `context_size` in tokens and `capabilities` replace what the
    engines and the price list say. Null leaves each to what is known.
    """

    enabled: NotRequired[bool]
    prices: NotRequired[Prices | None]
    fallbacks: NotRequired[list[str]]
    context_size: NotRequired[int | None]
    capabilities: NotRequired[list[str] | None]


class ModelsDownloadQuery(TypedDict):
    format: NotRequired[Literal["adapter", "merged", "gguf"]]
    quantization: NotRequired[
        Literal["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q6_K", "Q5_K_M", "Q4_K_M"] | None
    ]
    presigned: NotRequired[bool]


class ModelsQuery(TypedDict):
    base_model: NotRequired[str | None]
    model_name: NotRequired[str | None]
    tag: NotRequired[str | None]
    alias: NotRequired[str | None]
    dataset_id: NotRequired[str | None]
    run_id: NotRequired[str | None]
    format: NotRequired[Literal["adapter", "merged", "gguf"] | None]
    deployed: NotRequired[bool | None]


class NewApiKey(TypedDict):
    """A key to make. A viewer only reads, a member reads and writes, an admin also manages keys and configuration.

    `allowed_models` are those it may ask, null for all. `requests_per_minute` takes the place of the limit that
    every user has. From `expires_at` on it is refused.
    """

    name: str
    role: NotRequired[Literal["admin", "member", "viewer"]]
    response_style: NotRequired[Literal["envelope", "plain"]]
    allowed_models: NotRequired[list[str] | None]
    requests_per_minute: NotRequired[int | None]
    budget: NotRequired[Budget | None]
    expires_at: NotRequired[datetime | str | None]


class NewUser(TypedDict):
    """A person to let in. Names are told apart without regard to case."""

    name: str
    password: str
    role: NotRequired[Literal["admin", "member", "viewer"]]


class Node(TypedDict):
    """One agent of a job as a caller writes it; `config` is checked against `AGENT_CONFIGS[agent_class]`.

    With `sweep`, values to try for fields of its configuration, it becomes one agent for each combination of
    them, as `<agent_name>-1` and so on, and so does all that follows it, until a ComparisonAgent brings them
    together.
    """

    agent_name: str
    agent_class: str
    config: NotRequired[dict[str, Any]]
    sweep: NotRequired[dict[str, list[Any]]]


class OptimizeSeo(TypedDict):
    keywords: list[str]


class PayloadsQuery(TypedDict):
    search: NotRequired[str | None]
    block_id: NotRequired[int | None]


class PipelineConfig(TypedDict):
    """The DAG of a job, as document E writes it."""

    run_id: NotRequired[str | None]
    nodes: list[Node]
    edges: NotRequired[list[Edge]]
    global_config: NotRequired[GlobalConfig]


class PreviewPayload(TypedDict):
    """`inputs` are what its prompt may name: inputs of a run, responses of earlier payloads, `item`."""

    inputs: NotRequired[dict[str, Any]]


class Prices(TypedDict):
    """USD for a million tokens."""

    input: float | str
    output: float | str


class PutPersona(TypedDict):
    """Makes or replaces one. A task that has started keeps the prompt that it started with."""

    system_prompt: str
    description: NotRequired[str]


class ReasoningOptions(TypedDict):
    """`effort` goes to the engine. Summaries are not made, so a wish for one changes nothing."""

    effort: NotRequired[str | None]


class RejectPayload(TypedDict):
    payload: NotRequired[int | str | None]
    reason: NotRequired[str]


class ReplacedApiKey(TypedDict):
    """A key as it shall be from now on, but for its secret: what is left out gets its default."""

    name: str
    role: NotRequired[Literal["admin", "member", "viewer"]]
    response_style: NotRequired[Literal["envelope", "plain"]]
    allowed_models: NotRequired[list[str] | None]
    requests_per_minute: NotRequired[int | None]
    budget: NotRequired[Budget | None]
    expires_at: NotRequired[datetime | str | None]


class RerunWorkflow(TypedDict):
    """Starts a new run of what `run_id` pinned. It keeps the responses of all payloads that neither are nor follow
    the one at `from_payload` (its id or name); without one, of all payloads and items that had completed when the
    run ended badly.
    """

    from_payload: NotRequired[int | str | None]


class ResponsesRequest(TypedDict):
    """A response as OpenAI's clients ask for one. Parameters that are not named here go to the engine as they are.

    `store` is false whether or not it is given: nothing is kept.
    """

    model: str
    input: str | list[dict[str, Any]]
    instructions: NotRequired[str | None]
    stream: NotRequired[bool | None]
    stream_options: NotRequired[dict[str, Any] | None]
    max_output_tokens: NotRequired[int | None]
    temperature: NotRequired[float | None]
    top_p: NotRequired[float | None]
    top_logprobs: NotRequired[int | None]
    text: NotRequired[TextOptions | None]
    tools: NotRequired[list[dict[str, Any]] | None]
    tool_choice: NotRequired[str | dict[str, Any] | None]
    parallel_tool_calls: NotRequired[bool | None]
    max_tool_calls: NotRequired[int | None]
    reasoning: NotRequired[ReasoningOptions | None]
    include: NotRequired[list[str] | None]
    metadata: NotRequired[dict[str, str] | None]
    user: NotRequired[str | None]
    safety_identifier: NotRequired[str | None]
    prompt_cache_key: NotRequired[str | None]
    service_tier: NotRequired[str | None]
    store: NotRequired[bool | None]
    background: NotRequired[bool | None]
    previous_response_id: NotRequired[str | None]
    conversation: NotRequired[str | dict[str, Any] | None]
    prompt: NotRequired[dict[str, Any] | None]
    truncation: NotRequired[str | None]
    context_management: NotRequired[list[dict[str, Any]] | None]
    moderation: NotRequired[dict[str, Any] | None]


class RetryJob(TypedDict):
    """Goes on from a job that has ended: what had completed is taken over, the rest is done.

    `configs` stand over fields of agents' configurations, by name; those agents and what follows them are done
    again. So are `from_agent` and what follows it. A job that had completed is done again whole, where neither is
    given.
    """

    run_id: NotRequired[str | None]
    from_agent: NotRequired[str | None]
    configs: NotRequired[dict[str, Any]]


class RunsItemsQuery(TypedDict):
    payload: NotRequired[int | str | None]
    status: NotRequired[Literal["pending", "running", "completed", "failed", "cancelled"] | None]


class RunsQuery(TypedDict):
    status: NotRequired[Literal["running", "paused", "completed", "failed", "cancelled"] | None]
    workflow_id: NotRequired[int | None]
    trigger: NotRequired[Literal["api", "schedule", "webhook", "rerun", "fork"] | None]
    trigger_id: NotRequired[int | None]
    before: NotRequired[int | None]


class SaveTemplate(TypedDict):
    """Settings to keep for a source field. With a `template_name` that the field has not, they become a new
    template; without one they change the template that was saved last, or become the first.
    """

    source_field: str
    template: str
    llm_model: str
    temperature: float
    max_tokens: int
    template_name: NotRequired[str | None]


class StreamOptions(TypedDict):
    """How to stream; options that are not known here change nothing that the platform sends."""

    include_usage: NotRequired[bool]


class SubmitJob(TypedDict):
    """A job, written out in `pipeline_config`, or of one of the usual forms, named by `template`.

    What else is given belongs to the template. `configs` are fields of its agents' configurations, by their
    names.
    """

    pipeline_config: NotRequired[PipelineConfig | None]
    template: NotRequired[Literal["finetune", "sweep", "evaluate", "export", "prepare", "validate"] | None]
    run_id: NotRequired[str | None]
    dataset_id: NotRequired[str | None]
    file_path: NotRequired[str | None]
    base_model: NotRequired[str | None]
    model_name: NotRequired[str | None]
    models: NotRequired[list[str]]
    configs: NotRequired[dict[str, Any]]
    sweep: NotRequired[dict[str, Any]]
    global_config: NotRequired[GlobalConfig | None]


class TasksQuery(TypedDict):
    status: NotRequired[Literal["Planned", "Processing", "Completed", "Failed", "Cancelled"] | None]


class TestPrompt(TypedDict):
    """Document B's test: the prompt, then the input. Without `model_name` the configured model answers."""

    prompt: str
    model_name: NotRequired[str | None]
    temperature: NotRequired[float]
    max_tokens: NotRequired[int]
    input: NotRequired[str]


class TextFormat(TypedDict):
    """What form the answer shall have; `name`, `schema`, `strict` and `description` belong to a `json_schema`."""

    type: NotRequired[Literal["text", "json_object", "json_schema"]]
    name: NotRequired[str | None]
    schema: NotRequired[dict[str, Any] | None]
    strict: NotRequired[bool | None]
    description: NotRequired[str | None]


class TextOptions(TypedDict):
    format: NotRequired[TextFormat | None]
    verbosity: NotRequired[Literal["low", "medium", "high"] | None]


class UndeployModel(TypedDict):
    """`force` also ends serving a model that has aliases, and removes them."""

    force: NotRequired[bool]


class UpdateAction(TypedDict):
    """Changes the given fields. `prompt_version` 0 follows the prompt again."""

    field_name: NotRequired[str | None]
    prompt_template_id: NotRequired[int | None]
    llm_model: NotRequired[str | None]
    temperature: NotRequired[float | None]
    max_tokens: NotRequired[int | None]
    name: NotRequired[str | None]
    description: NotRequired[str | None]
    input_field: NotRequired[str | None]
    output_field: NotRequired[str | None]
    model: NotRequired[str | None]
    status: NotRequired[Literal["active", "inactive"] | None]
    prompt_version: NotRequired[int | None]


class UpdateBlock(TypedDict):
    """Changes the given fields; what is another than before becomes the next version."""

    title: NotRequired[str | None]
    content: NotRequired[str | None]
    tags: NotRequired[str | None]
    folder_path: NotRequired[str | None]


class UpdateConfig(TypedDict):
    """Changes the given fields. `auth_token` is encrypted at rest and never returned."""

    provider_type: NotRequired[Literal["openai", "vllm", "ollama", "llamacpp", "koboldai", "local", "simulated"] | None]
    model_name: NotRequired[str | None]
    api_base: NotRequired[str | None]
    auth_token: NotRequired[str | None]


class UpdateEngine(TypedDict):
    """Changes the given fields. An empty `auth_token` takes the token away, a `port` or `timeout` of 0 that one.

    A token that was stored for one host is never sent to another: with a new host it has to be given again.
    """

    name: NotRequired[str | None]
    provider_type: NotRequired[Literal["openai", "vllm", "ollama", "llamacpp", "koboldai", "local", "simulated"] | None]
    api_base: NotRequired[str | None]
    port: NotRequired[int | None]
    auth_token: NotRequired[str | None]
    concurrency: NotRequired[int | None]
    timeout: NotRequired[float | None]
    enabled: NotRequired[bool | None]
    priority: NotRequired[int | None]
    weight: NotRequired[float | None]
    models: NotRequired[list[str] | None]
    prices: NotRequired[dict[str, Prices] | None]


class UpdateInstance(TypedDict):
    """Changes the given fields. An empty `auth_token` takes the token away; a port is for good."""

    name: NotRequired[str | None]
    provider_type: NotRequired[Literal["openai", "vllm", "ollama", "llamacpp", "koboldai", "local", "simulated"] | None]
    host: NotRequired[str | None]
    api_base: NotRequired[str | None]
    auth_token: NotRequired[str | None]
    enabled: NotRequired[bool | None]
    config: NotRequired[InstanceConfig | None]


class UpdateModel(TypedDict):
    """Changes what is said of a model; what is not given stays."""

    description: NotRequired[str | None]
    tags: NotRequired[list[str] | None]


class UpdatePayload(TypedDict):
    """Changes the given fields; null takes an option away. What is another than before becomes the next version."""

    model: NotRequired[str | None]
    depends_on: NotRequired[list[int | str] | None]
    retries: NotRequired[int | None]
    timeout: NotRequired[float | None]
    fallback_port: NotRequired[int | None]
    condition: NotRequired[Condition | None]
    for_each: NotRequired[int | str | None]
    items_at_once: NotRequired[int | None]
    approval: NotRequired[bool | None]
    when_skipped: NotRequired[Literal["run", "skip"] | None]
    name: NotRequired[str | None]
    temperature: NotRequired[float | None]
    response_length: NotRequired[int | None]
    llm_port: NotRequired[int | None]
    model_format: NotRequired[
        Literal["chat", "mistral", "llama", "llama3", "chatml", "alpaca", "vicuna", "gemma", "phi", "raw"] | None
    ]
    blocks: NotRequired[list[int] | None]


class UpdatePost(TypedDict):
    """Changes the given fields."""

    title: NotRequired[str | None]
    summary: NotRequired[str | None]


class UpdatePrompt(TypedDict):
    """Changes the given fields. Another content becomes the next version."""

    name: NotRequired[str | None]
    content: NotRequired[str | None]


class UpdateSchedule(TypedDict):
    """Changes the given fields."""

    cron: NotRequired[str]
    time_zone: NotRequired[str]
    inputs: NotRequired[dict[str, Any]]
    overlap: NotRequired[Literal["skip", "queue"]]
    enabled: NotRequired[bool]


class UpdateSection(TypedDict):
    """Changes the given fields."""

    title: NotRequired[str | None]
    content: NotRequired[str | None]
    position: NotRequired[int | None]


class UpdateWebhook(TypedDict):
    """Changes the given fields."""

    name: NotRequired[str]
    enabled: NotRequired[bool]


class UpdateWorkflow(TypedDict):
    """Changes the given fields; what is another than before becomes the next version."""

    name: NotRequired[str | None]
    payloads: NotRequired[list[int] | None]
    inputs: NotRequired[dict[str, Any] | None]


class UsageQuery(TypedDict):
    group_by: NotRequired[Literal["day", "model", "key", "day,model", "day,key", "model,key", "day,model,key"]]
    model: NotRequired[str | None]
    key: NotRequired[str | None]
    since: NotRequired[date | str | None]
    until: NotRequired[date | str | None]


class WorkflowDocument(TypedDict):
    """A workflow with all that it needs, to be kept in a file and imported elsewhere."""

    format: NotRequired[Literal["llm-platform/workflow"]]
    version: NotRequired[int]
    name: str
    inputs: NotRequired[dict[str, Any] | None]
    workflow: list[int]
    payloads: list[ExportedPayload]
    blocks: list[ExportedBlock]


class WorkflowsQuery(TypedDict):
    search: NotRequired[str | None]
    payload_id: NotRequired[int | None]


class WsQuery(TypedDict):
    run_id: NotRequired[int | None]
