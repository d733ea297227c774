// What the platform answers. Made by `make sdk` from the API's description: do not edit.

/**
 * The union of both documents' fields: `field_name` is `output_field`, `llm_model` is `model`.
 *
 * `prompt_template` is the content that it runs with: of `prompt_version`, or of the newest version where that is
 * null.
 */
export interface Action {
  id: number;
  name: string;
  description: string;
  inputField: string | null;
  outputField: string;
  fieldName: string;
  model: string;
  llmModel: string;
  status: "active" | "inactive";
  promptTemplateId: number;
  promptTemplate: string;
  promptVersion: number | null;
  temperature: number;
  maxTokens: number;
  createdAt: string;
  updatedAt: string;
}

/**
 * Newest first.
 */
export interface ActionHistory {
  action: Action;
  history: Array<HistoryEntry>;
  total: number;
  hasMore: boolean;
}

/**
 * Document A's envelope, or document B's bare list where the style is `plain`.
 */
export type ActionList = ActionsEnvelope | Array<Action>;

/**
 * An action, or the template settings of a source field.
 */
export type ActionOrTemplates = Action | TemplatesEnvelope;

/**
 * One execution of an action. `error` is there once it has failed, and `output_data` is empty until it has
 * completed.
 */
export interface ActionRun {
  id: number;
  actionId: number;
  postId: number | null;
  inputData: Record<string, unknown>;
  outputData: Record<string, unknown>;
  status: "running" | "completed" | "failed";
  diagnostics: Diagnostics;
  error: RunError | null;
  createdAt: string;
  updatedAt: string;
}

export interface ActionRunData {
  actionRun: ActionRun;
}

export interface ActionRunEnvelope {
  status?: "success";
  data: ActionRunData;
}

/**
 * Runs, newest first.
 */
export interface ActionRunPage {
  items: Array<ActionRun>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
}

export interface ActionsData {
  actions: Array<Action>;
}

/**
 * Document A's list.
 */
export interface ActionsEnvelope {
  status?: "success";
  data: ActionsData;
}

/**
 * `number` is in the record of the log that tells from which training step on it holds.
 */
export interface AdjustmentAccepted {
  jobId: string;
  number: number;
}

/**
 * `previous` is the model that it named before.
 */
export interface Alias {
  modelName: string;
  alias: string;
  modelId: string | null;
  version: number | null;
  previous: string | null;
}

export interface Answered {
  content: string;
  metadata: ResponseMetadata;
}

/**
 * What each API says; null where it does not answer.
 */
export interface ApiDetails {
  kobold: ModelInfo | null;
  openai: OpenAiDetails | null;
}

/**
 * A key as it is shown: without its secret, which nobody can tell again.
 */
export interface ApiKey {
  keyId: string;
  name: string;
  role: "admin" | "member" | "viewer";
  responseStyle: "envelope" | "plain";
  allowedModels: Array<string> | null;
  requestsPerMinute: number | null;
  budget: Budget | null;
  expiresAt: string | null;
  createdAt: string;
  revokedAt: string | null;
}

/**
 * Keys, newest first.
 */
export interface ApiKeyPage {
  items: Array<ApiKey>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
}

/**
 * A payload whose turn has come, and that waits for a person.
 */
export interface Approval {
  runId: number;
  payloadId: number;
  payloadName: string;
}

/**
 * A file, `name` beginning with the agent's. `url` is where to download it; `sha256` is null if unknown.
 */
export interface Artifact {
  name: string;
  agentName: string;
  sizeBytes: number;
  sha256: string | null;
  s3Path: string;
  url: string;
}

/**
 * Files that a job's agents made.
 */
export interface ArtifactPage {
  items: Array<Artifact>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
}

/**
 * What the model said; `reasoning_content` and the like are handed on as the engine gives them.
 */
export interface AssistantMessage {
  role: "assistant";
  content: string | null;
  refusal: string | null;
  toolCalls?: Array<Record<string, unknown>>;
}

/**
 * A piece of text in its newest version.
 */
export interface Block {
  id: number;
  title: string;
  content: string;
  tags: string;
  folderPath: string;
  createdAt: string;
  updatedAt: string;
}

/**
 * All blocks, by id.
 */
export type BlockArray = Array<Block>;

/**
 * A version, which never changes.
 */
export interface BlockVersion {
  version: number;
  createdAt: string;
  title: string;
  content: string;
  tags: string;
  folderPath: string;
}

/**
 * Versions, newest first.
 */
export interface BlockVersionPage {
  items: Array<BlockVersion>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
}

/**
 * The most that may be spent in a period, in US dollars, in tokens, or in both.
 */
export interface Budget {
  usd?: number | null;
  tokens?: number | null;
  period?: "day" | "month" | "total";
}

export interface ChatChoice {
  index: number;
  message: AssistantMessage;
  logprobs: Record<string, unknown> | null;
  finishReason: "stop" | "length" | "tool_calls" | "content_filter" | null;
}

/**
 * A finished completion. `system_fingerprint` names the engine that made it, and says if it was a simulated one.
 */
export interface ChatCompletion {
  id: string;
  object: "chat.completion";
  created: number;
  model: string;
  choices: Array<ChatChoice>;
  usage: Usage;
  systemFingerprint: string;
}

/**
 * A piece of a streamed completion.
 *
 * The first of a choice brings the role, its last the finish reason; with `stream_options.include_usage` one more
 * brings the usage and no choice, and all others say `"usage": null`.
 */
export interface ChatCompletionChunk {
  id: string;
  object: "chat.completion.chunk";
  created: number;
  model: string;
  systemFingerprint: string | null;
  choices: Array<ChunkChoice>;
  usage?: Usage | null;
}

export interface ChunkChoice {
  index: number;
  delta: Delta;
  logprobs: Record<string, unknown> | null;
  finishReason: "stop" | "length" | "tool_calls" | "content_filter" | null;
}

/**
 * What both runs were answered; null where one was not. `same` is whether the texts are.
 */
export interface ComparedPayload {
  payloadName: string;
  same: boolean;
  run: Answered | null;
  other: Answered | null;
}

/**
 * A run in sum. `duration_ms` is what its instances took, `cost` null when no price is known.
 */
export interface ComparedRun {
  id: number;
  workflowId: number;
  status: "running" | "paused" | "completed" | "failed" | "cancelled";
  tokens: number;
  durationMs: number;
  cost: string | null;
}

/**
 * Two runs side by side, by the names of their payloads.
 */
export interface Comparison {
  run: ComparedRun;
  other: ComparedRun;
  payloads: Array<ComparedPayload>;
}

/**
 * `ranking` is best first. `best_model_path` is set where the best was trained in this job: what follows exports
 * and registers that one.
 */
export interface ComparisonOutput {
  kind?: "ComparisonAgent";
  metric: "loss" | "perplexity" | "token_accuracy" | "exact_match" | "token_f1" | "rouge_l" | "accuracy" | "f1";
  task: "generation" | "classification";
  rows: number;
  generatedRows: number;
  ranking: Array<Contestant>;
  best: string;
  bestModelPath: string | null;
  bestModelId: string | null;
  reportPath: string;
}

/**
 * What an earlier response has to be like, without the space around it. `above` and `below` compare numbers.
 */
export interface Condition {
  payload: number | string;
  operator: "equals" | "not_equals" | "contains" | "not_contains" | "starts_with" | "ends_with" | "is_empty" | "is_not_empty" | "above" | "below";
  value?: string;
  ignoreCase?: boolean;
}

/**
 * Which provider and model answer when a request names none.
 */
export interface Config {
  providerType: "openai" | "vllm" | "ollama" | "llamacpp" | "koboldai" | "local" | "simulated";
  modelName: string;
  apiBase: string;
}

export interface ConfigUpdated {
  success?: boolean;
}

/**
 * How often an answer was each label: `counts[i][j]` rows of `labels[i]` were answered with `labels[j]`, and those
 * of the last column with none of them.
 */
export interface Confusion {
  labels: Array<string>;
  counts: Array<Array<number>>;
}

export interface Connected {
  connected?: boolean;
  modelInfo: ModelInfo | null;
  timestamp: string;
}

/**
 * Whether an instance answers, and what it says of itself.
 */
export type ConnectivityView = Connected | NotConnected;

/**
 * A compared model: the trained one at `model_path`, the registered `model_id`, or, with neither, a base model.
 *
 * `behind` is how much worse it is than the best on the same rows; where that interval holds zero, the two cannot be
 * told apart.
 */
export interface Contestant {
  name: string;
  baseModel: string;
  modelPath?: string | null;
  modelId?: string | null;
  score: Interval;
  behind?: Interval | null;
  metrics: Record<string, number>;
  confusion?: Confusion | null;
}

/**
 * The answer to making a key, and the only one that ever holds it.
 */
export interface CreatedApiKey {
  keyId: string;
  name: string;
  role: "admin" | "member" | "viewer";
  responseStyle: "envelope" | "plain";
  allowedModels: Array<string> | null;
  requestsPerMinute: number | null;
  budget: Budget | null;
  expiresAt: string | null;
  createdAt: string;
  revokedAt: string | null;
  key: string;
}

/**
 * The answer to making one, and the only one that ever holds `url` and `signing_secret`.
 */
export interface CreatedWebhook {
  id: number;
  workflowId: number;
  name: string;
  signed: boolean;
  enabled: boolean;
  owner: string;
  lastAt: string | null;
  lastRun: number | null;
  createdAt: string;
  updatedAt: string;
  url: string;
  signingSecret: string | null;
}

/**
 * A file that was uploaded: version `version` of its name. `size_bytes` and `sha256` are those of the file itself,
 * which may be compressed.
 */
export interface Dataset {
  datasetId: string;
  filename: string;
  version?: number;
  format: "csv" | "tsv" | "json" | "jsonl" | "parquet" | "txt";
  compression?: "gzip" | "zstd" | null;
  sizeBytes: number;
  sha256: string;
  s3Path: string;
  rows: number;
  columns: Array<string>;
  analysis: DatasetAnalysis;
  createdAt: string;
}

/**
 * What reading a data set through found out; `stats` and `length_histogram` are of the text column.
 */
export interface DatasetAnalysis {
  rows: number;
  columns: Array<string>;
  columnTypes: Record<string, string>;
  textColumn: string | null;
  stats: LengthStats | null;
  lengthHistogram?: Array<LengthBucket>;
  missing: Record<string, number>;
  duplicateRows: number;
}

/**
 * `freed_bytes` were taken from the object store.
 */
export interface DatasetDeleted {
  datasetId: string;
  deleted?: boolean;
  freedBytes: number;
}

/**
 * What was made of a data set: the newest jobs that read it, and the models. Besides, all versions of its name.
 */
export interface DatasetLineage {
  datasetId: string;
  filename: string;
  version: number;
  versions: Array<DatasetVersion>;
  runs: Array<JobOfDataset>;
  models: Array<ModelOfDataset>;
}

export interface DatasetOutput {
  kind?: "DatasetAgent";
  datasetId: string | null;
  s3Path: string;
  format: "csv" | "tsv" | "json" | "jsonl" | "parquet" | "txt";
  rows: number;
  columns: Array<string>;
  sizeBytes: number;
  sha256: string;
}

/**
 * Data sets, newest first.
 */
export interface DatasetPage {
  items: Array<Dataset>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
}

export interface DatasetPreview {
  datasetId: string;
  samples: Array<Record<string, unknown>>;
  totalRows: number;
}

export interface DatasetVersion {
  datasetId: string;
  version: number;
  createdAt: string;
}

/**
 * What a person has said of it. The run fails with a payload that is rejected.
 */
export interface Decision {
  runId: number;
  payloadId: number;
  payloadName: string;
  decision: "approved" | "rejected";
  reason?: string;
}

export interface Delta {
  role?: "assistant";
  content?: string | null;
  toolCalls?: Array<Record<string, unknown>>;
}

/**
 * `execution_time` in seconds. `model` is the one that answered, or was asked where none did.
 *
 * `simulated` says that no language model ran.
 */
export interface Diagnostics {
  tokensUsed: number;
  executionTime: number;
  model: string;
  promptVersion: number;
  simulated: boolean;
}

/**
 * A value of two models. Of a metric `change` is the second less the first, and `better` says which one is.
 */
export interface Difference {
  name: string;
  values: Array<unknown>;
  change?: number | null;
  better?: string | null;
}

/**
 * `to_agent` starts when `from_agent` has finished.
 */
export interface Edge {
  fromAgent: string;
  toAgent: string;
}

export interface Embedding {
  object: "embedding";
  index: number;
  embedding: Array<number> | string;
}

/**
 * The vectors. `system_fingerprint` names the engine that made them, and says if it was a simulated one.
 */
export interface EmbeddingList {
  object: "list";
  data: Array<Embedding>;
  model: string;
  usage: EmbeddingsUsage;
  systemFingerprint: string;
}

export interface EmbeddingsUsage {
  promptTokens: number;
  totalTokens: number;
}

export interface EndpointInfo {
  info: EndpointSummary;
}

export interface EndpointSummary {
  version: string | null;
  apiFormat: Array<"kobold" | "openai">;
}

/**
 * An LLM instance behind the router. Never carries its token; `has_token` says whether there is one.
 *
 * `source` says who has set it up: the environment declares it, `POST /api/v1/llm/config` describes it, or it was
 * registered at run time. What was said there is changed there; `enabled`, `timeout`, `weight` and `prices`, and the
 * token of a declared one, are changed here whoever set it up. `timeout` in seconds bounds one attempt up to its first
 * token, or its whole answer where it is not streamed. Of engines with room, those of the highest `priority` are
 * taken, and of those the one with the least to do for its `weight`. `prices` are by model, `*` for all others.
 */
export interface Engine {
  id: number;
  name: string;
  providerType: "openai" | "vllm" | "ollama" | "llamacpp" | "koboldai" | "local" | "simulated";
  apiBase: string;
  port: number | null;
  status: "available" | "unavailable" | "disabled";
  models: Array<string>;
  outstanding: number;
  lastUsed: string | null;
  hasToken: boolean;
  source: "environment" | "configuration" | "registered";
  enabled: boolean;
  concurrency: number;
  timeout: number | null;
  priority: number;
  weight: number;
  prices: Record<string, Prices>;
}

/**
 * Engines, oldest first.
 */
export interface EnginePage {
  items: Array<Engine>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
}

/**
 * What it was working on ends normally.
 */
export interface EngineRemoved {
  id: number;
  name: string;
}

/**
 * Loss in nats a token over the completions of the held-out rows; perplexity is its exponential.
 *
 * `metrics` has those that the task has, `base_metrics` the same of the base model. Every row's scores and answer lie
 * in JSON Lines at `report_path`.
 */
export interface EvaluationOutput {
  kind?: "EvaluationAgent";
  rows: number;
  tokens: number;
  loss: number;
  perplexity: number;
  tokenAccuracy: number;
  baseLoss: number;
  basePerplexity: number;
  baseTokenAccuracy: number;
  samples?: Array<Sample>;
  task?: "generation" | "classification";
  generatedRows?: number;
  metrics?: Record<string, number>;
  baseMetrics?: Record<string, number>;
  confusion?: Confusion | null;
  baseConfusion?: Confusion | null;
  modelPath?: string | null;
  reportPath?: string | null;
}

/**
 * `truncated`: the event holds only the beginning of the response, which is too long for one.
 */
export interface EventMetadata {
  tokens: number;
  promptTokens: number;
  completionTokens: number;
  durationMs: number;
  tokensPerSecond: number;
  model?: string | null;
  engine?: string | null;
  port?: number | null;
  cost?: string | null;
  simulated?: boolean;
  skipped?: boolean;
  kept?: boolean;
  items?: number | null;
  truncated?: boolean;
}

/**
 * The run is kept and will be worked on, whatever happens to those who asked.
 */
export interface ExecutionStarted {
  runId: number;
  message: string;
  status: "running" | "paused" | "completed" | "failed" | "cancelled";
}

/**
 * A section written out, with a snippet for each platform that was asked for.
 */
export interface Expansion {
  content: string;
  keywords: Array<string>;
  socialMediaSnippets: Record<string, string>;
}

/**
 * An export, loaded again and asked: `top1_agreement` is the share of positions where its most probable token is
 * that of the trained model. It is below 1 where weights were rounded; everything else that differs is refused.
 */
export interface ExportCheck {
  format: "adapter" | "merged" | "gguf";
  quantization?: "F32" | "F16" | "BF16" | "Q8_0" | "Q4_0" | "Q4_1" | "Q5_0" | "Q5_1" | "Q6_K" | "Q5_K_M" | "Q4_K_M" | null;
  positions: number;
  top1Agreement: number;
}

/**
 * `exports` are the S3 prefixes of what was written, checked and may be registered.
 */
export interface ExportOutput {
  kind?: "ExportAgent";
  exports: Record<string, string>;
  sizeBytes: number;
  files?: Array<ExportedFile>;
  checks?: Array<ExportCheck>;
}

export interface ExportedBlock {
  id: number;
  title: string;
  content: string;
  tags?: string;
  folderPath?: string;
}

/**
 * One file of an export: `name` below the export's prefix, `size` in bytes.
 */
export interface ExportedFile {
  format: "adapter" | "merged" | "gguf";
  name: string;
  size: number;
  sha256: string;
}

export interface ExportedPayload {
  model?: string | null;
  dependsOn?: Array<number | string> | null;
  retries?: number | null;
  timeout?: number | null;
  fallbackPort?: number | null;
  condition?: Condition | null;
  forEach?: number | string | null;
  itemsAtOnce?: number | null;
  approval?: boolean | null;
  whenSkipped?: "run" | "skip" | null;
  id: number;
  name: string;
  temperature: number;
  responseLength: number;
  llmPort: number;
  modelFormat: "chat" | "mistral" | "llama" | "llama3" | "chatml" | "alpaca" | "vicuna" | "gemma" | "phi" | "raw";
  blocks: Array<number>;
}

/**
 * Also of a run that was cancelled, or deleted while it went on.
 */
export interface Failure {
  runId: number;
  error: string;
}

/**
 * Document E's health; `services` lists the parts that this system has.
 */
export interface Health {
  status: "healthy" | "degraded" | "unhealthy";
  version: string;
  services: Record<string, "healthy" | "unhealthy">;
}

/**
 * A run in document B's words: the whole prompt that the model was given, and the text that it answered.
 */
export interface HistoryEntry {
  id: number;
  actionId: number;
  postId: number | null;
  inputText: string;
  outputText: string;
  status: "running" | "completed" | "failed";
  errorMessage: string | null;
  createdAt: string;
}

/**
 * An idea for a post: its headings are the `outline`.
 */
export interface Idea {
  title: string;
  outline: Array<string>;
  keywords: Array<string>;
}

export interface IncompleteDetails {
  reason: "max_output_tokens" | "content_filter";
}

export interface InputDetails {
  cachedTokens?: number;
  cacheWriteTokens?: number;
}

/**
 * All instances, by port.
 */
export type InstanceArray = Array<InstanceView>;

/**
 * What a completion that is asked of the instance by its port has where it says nothing else; tokens at most.
 */
export interface InstanceConfig {
  temperature?: number;
  maxLength?: number;
}

export interface InstanceInfoView {
  port: number;
  timestamp: string;
  connected: boolean;
  koboldApiAvailable: boolean;
  openAiApiAvailable: boolean;
  modelInfo: ModelInfo | null;
  apiDetails: ApiDetails;
  endpointInfo: EndpointInfo;
}

/**
 * `lastUsed` is null until it is.
 */
export interface InstanceView {
  port: number;
  name: string;
  status: "available" | "unavailable" | "disabled";
  lastUsed: string | null;
  config: InstanceConfig;
}

/**
 * `total` counts all that the filters let through, whatever the page.
 */
export interface InteractionPage {
  items: Array<KeptInteraction>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
  nextCursor: string | null;
}

/**
 * A value, and where it lies with the configured confidence if other rows had been held out.
 */
export interface Interval {
  value: number;
  low: number;
  high: number;
}

/**
 * Opens one `/ws` or one event stream as its caller, if used within `expires_in` seconds.
 */
export interface IssuedTicket {
  ticket: string;
  expiresIn: number;
}

/**
 * How it stands with the items of a payload's `for_each`. What is in none of the counts has yet to start.
 */
export interface ItemCounts {
  payloadId: number;
  payloadName: string;
  total: number;
  running: number;
  completed: number;
  failed: number;
}

/**
 * An item has failed for good. The others go on; the payload fails when all have ended.
 */
export interface ItemFailure {
  runId: number;
  payloadId: number;
  payloadName: string;
  item: number;
  items: number;
  error: string;
}

/**
 * As `Progress`, of one item of a payload's `for_each`, counted from 0.
 */
export interface ItemProgress {
  runId: number;
  payloadId: number;
  payloadName: string;
  status?: "running";
  progress: number;
  metadata: Pace;
  item: number;
}

/**
 * Of `items` items, the response to one, counted from 0.
 */
export interface ItemResponse {
  runId: number;
  payloadId: number;
  payloadName: string;
  content: string;
  metadata: EventMetadata;
  item: number;
  items: number;
}

/**
 * `owner` is the id of who submitted it, and may steer it. `retry_of` is the job that this one goes on from.
 */
export interface Job {
  jobId: string;
  runId: string;
  status: "pending" | "running" | "paused" | "completed" | "failed" | "cancelled";
  createdAt: string;
  startedAt: string | null;
  completedAt: string | null;
  progress: JobProgress;
  steps: Array<StepView>;
  modelId: string | null;
  result: Record<string, DatasetOutput | ValidationOutput | PreprocessingOutput | TrainingOutput | EvaluationOutput | ComparisonOutput | ExportOutput | RegistrationOutput> | null;
  error: JobError | null;
  owner?: string;
  retryOf?: string | null;
}

export interface JobAccepted {
  jobId: string;
  runId: string;
  status: "pending" | "running" | "paused" | "completed" | "failed" | "cancelled";
  createdAt: string;
}

export interface JobCancelled {
  jobId: string;
  status: "pending" | "running" | "paused" | "completed" | "failed" | "cancelled";
}

/**
 * A job that is gone for good. `freed_bytes` of the object store are free so far. With `pending` the rest follows:
 * within minutes, or once jobs that go on have read what they were told to read of it.
 */
export interface JobDeleted {
  jobId: string;
  status?: "deleted";
  freedBytes: number;
  pending: boolean;
}

/**
 * What a failed job failed of; `code` is one of document E's error codes.
 */
export interface JobError {
  agent: string | null;
  code: string;
  message: string;
  metadata?: Record<string, unknown>;
}

/**
 * A job that reads a data set. `goes_on`: it has not ended, and may need it still.
 */
export interface JobOfDataset {
  jobId: string;
  runId: string;
  goesOn: boolean;
}

/**
 * Jobs, newest first. `result` is left out of them: a page would carry all outputs of all jobs.
 */
export interface JobPage {
  items: Array<Job>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
}

/**
 * With parallel branches `current_agent` is the one that started first; `current_agents` lists all.
 *
 * `cached_agents` are those of the completed that were not done again, since nothing they depend on had changed.
 * `percent` counts each agent alike, one that trains as far as it ever came: it never falls.
 */
export interface JobProgress {
  completedAgents: Array<string>;
  currentAgent: string | null;
  currentAgents: Array<string>;
  totalAgents: number;
  cachedAgents?: Array<string>;
  percent?: number;
}

/**
 * A usual job. `required` and `optional` are fields of its submission; `configs` name its `agents`.
 */
export interface JobTemplate {
  template: "finetune" | "sweep" | "evaluate" | "export" | "prepare" | "validate";
  description: string;
  required: Array<string>;
  optional: Array<string>;
  agents: Array<TemplateAgent>;
  edges: Array<Edge>;
}

export interface JobTemplates {
  templates: Array<JobTemplate>;
}

/**
 * One completion of any route. Durations are seconds, `cost` is USD and null when no price is known.
 *
 * `key` is the id of the caller's key. `counted_by` says who counted the tokens: the engine, the model's tokenizer, or
 * nobody, so that they are known by the texts' length alone; null where none were used. In lists the texts are cut
 * after 2,000 characters, which `truncated` says.
 */
export interface KeptInteraction {
  interactionId: string;
  route: string;
  model: string;
  requestedModel: string | null;
  engine: string | null;
  inputText: string;
  outputText: string;
  truncated: boolean;
  parameters: Record<string, unknown>;
  status: "completed" | "failed" | "cancelled";
  errorMessage: string | null;
  errorType: string | null;
  promptTokens: number;
  completionTokens: number;
  totalTokens: number;
  countedBy: "engine" | "tokenizer" | "length" | null;
  cost: string | null;
  duration: number;
  timeToFirstToken: number | null;
  key: string | null;
  traceId: string | null;
  createdAt: string;
}

/**
 * What somebody set the peak learning rate to while the run went on: held from optimizer step `step` on.
 */
export interface LearningRateChange {
  step: number;
  previous: number;
  learningRate: number;
  by: string;
  at: string;
}

/**
 * How many texts are that long, in characters; each bucket is twice as wide as the one before.
 */
export interface LengthBucket {
  fromLength: number;
  toLength: number;
  rows: number;
}

/**
 * Lengths of the text column, in characters.
 */
export interface LengthStats {
  avgLength: number;
  minLength: number;
  maxLength: number;
}

/**
 * One link between a served model and the rows it was made of; `path` is where its artifact lies.
 */
export interface LineageStep {
  kind: "served" | "model" | "export" | "evaluation" | "training" | "preprocessing" | "dataset" | "file";
  name: string;
  path?: string | null;
  details?: Record<string, unknown>;
}

/**
 * A model as OpenAI's API lists it.
 */
export interface ListedModel {
  id: string;
  object: string;
  created: number;
  ownedBy: string;
}

/**
 * One body that satisfies documents A and B.
 */
export interface LlmError {
  status?: "error";
  message: string;
  errors: Array<LlmErrorEntry>;
  error: LlmErrorBody;
}

/**
 * Document B's error; `temporary` tells a failure that may pass from one that will not.
 */
export interface LlmErrorBody {
  type: string;
  message: string;
  details: Record<string, Array<string>>;
  troubleshooting: Array<string>;
  temporary: boolean;
}

export interface LlmErrorEntry {
  code: string;
  message: string;
  details?: string | null;
}

/**
 * Document E's history. `last_sequence` is what to ask `after` next, and what a stream can resume from.
 */
export interface LogHistory {
  runId: string;
  logs: Array<LogRecord>;
  total: number;
  lastSequence: number | null;
  hasMore: boolean;
}

/**
 * One line of a run's log. METRIC records carry the numbers that the caller plots; absent ones are left out.
 *
 * `agent` is the class of the agent as document E has it, `agent_name` its name in the job. `adjustment` is the number
 * of the one that has taken effect.
 */
export interface LogRecord {
  runId: string;
  timestamp: string;
  agent: string;
  agentName?: string | null;
  level: "INFO" | "WARN" | "ERROR" | "METRIC";
  message: string;
  step?: number | null;
  totalSteps?: number | null;
  epoch?: number | null;
  loss?: number | null;
  evalLoss?: number | null;
  learningRate?: number | null;
  gradNorm?: number | null;
  tokensPerSecond?: number | null;
  memoryBytes?: number | null;
  steering?: Steering | null;
  adjustment?: number | null;
}

/**
 * A session begun; its cookie comes with the answer. Requests that change something carry `X-CSRF-Token`.
 */
export interface LoggedIn {
  user: User;
  csrfToken: string;
  expiresAt: string;
}

/**
 * How many sessions ended.
 */
export interface LoggedOut {
  ended: number;
}

/**
 * Who calls. `csrf_token` is there for a session alone.
 */
export interface Me {
  id: string;
  name: string;
  role: "admin" | "member" | "viewer";
  kind: "admin_key" | "api_key" | "session";
  responseStyle: "envelope" | "plain";
  csrfToken: string | null;
}

/**
 * What one agent measured, by training step: every number of its records.
 */
export interface MetricSeries {
  agent: string;
  agentName: string | null;
  points: Array<Record<string, number>>;
}

/**
 * A trained model. `version` counts the models of its name from 1, and is never given twice.
 */
export interface Model {
  modelId: string;
  runId: string;
  modelName: string;
  description: string;
  baseModel: string;
  datasetId: string | null;
  trainingConfig: Record<string, unknown>;
  metrics: Record<string, number>;
  exports: Record<string, string>;
  chatTemplate: string | null;
  createdAt: string;
  version?: number;
  tags?: Array<string>;
  aliases?: Array<string>;
  deployment?: "automatic" | "requested" | "none";
  files?: Array<ExportedFile>;
  checks?: Array<ExportCheck>;
}

/**
 * What sets two models apart; what they share is left out, but metrics are all there.
 */
export interface ModelComparison {
  models: Array<unknown>;
  metrics: Array<Difference>;
  trainingConfig: Array<Difference>;
  other: Array<Difference>;
}

/**
 * `freed_bytes` of the object store are free. With `pending` the rest follows within minutes: once the store is
 * back, or once jobs that go on with rows or weights of the model's have ended.
 */
export interface ModelDeleted {
  modelId: string;
  freedBytes: number;
  pending: boolean;
}

/**
 * `names` are those that the model is asked by from now on.
 */
export interface ModelDeployment {
  modelId: string;
  modelName: string;
  version: number;
  status: "deployed" | "undeployed";
  names: Array<string>;
}

/**
 * What an instance says of itself, as far as it does.
 */
export interface ModelInfo {
  model: string | null;
  version: string | null;
}

/**
 * From what is asked for back to the rows, link by link.
 */
export interface ModelLineage {
  modelId: string;
  steps: Array<LineageStep>;
}

export interface ModelOfDataset {
  modelId: string;
  modelName: string;
  runId: string;
}

export interface ModelPage {
  models: Array<ModelSummary>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
}

/**
 * Of the model that is asked for by this name. `fallbacks` are asked in this order when it cannot answer.
 *
 * One that is not `enabled` is not asked, only its fallbacks are; under the id of a trained model that holds for its
 * name too. `prices` stand over what engines say of all their models and over the providers' lists, and an engine's
 * price for this very model over them. `context_size` in tokens and `capabilities` replace what the engines and the
 * price list say. Null leaves each to what is known.
 */
export interface ModelSettings {
  model: string;
  enabled?: boolean;
  prices?: Prices | null;
  fallbacks?: Array<string>;
  contextSize?: number | null;
  capabilities?: Array<string> | null;
}

export interface ModelSummary {
  modelId: string;
  runId: string;
  modelName: string;
  baseModel: string;
  createdAt: string;
  metrics: Record<string, number>;
  exports: Array<"adapter" | "merged" | "gguf">;
  version?: number;
  tags?: Array<string>;
  aliases?: Array<string>;
  deployment?: "automatic" | "requested" | "none";
}

export interface ModelsData {
  models: Array<ServedModel>;
}

/**
 * Document A's envelope around the models.
 */
export interface ModelsEnvelope {
  status?: "success";
  data: ModelsData;
}

export interface NotConnected {
  connected?: boolean;
  modelInfo?: null;
  timestamp: string;
  error: string;
}

export interface OpenAiDetails {
  data: Array<ListedModel>;
}

/**
 * OpenAI's error.
 */
export interface OpenAiError {
  error: OpenAiErrorBody;
}

export interface OpenAiErrorBody {
  message: string;
  type: string;
  param: string | null;
  code: string | null;
}

export interface OpenAiModel {
  id: string;
  object: "model";
  created: number;
  ownedBy: string;
}

export interface OpenAiModels {
  object: "list";
  data: Array<OpenAiModel>;
}

/**
 * A block in its place.
 */
export interface OrderedBlock {
  id: number;
  title: string;
  content: string;
  orderIndex: number;
}

/**
 * A payload in its place.
 */
export interface OrderedPayload {
  id: number;
  name: string;
  orderIndex: number;
}

/**
 * A call of one of the caller's functions; `arguments` is JSON, as the model wrote it.
 */
export interface OutputCall {
  type?: "function_call";
  id: string;
  status: "in_progress" | "completed" | "incomplete";
  callId: string;
  name: string;
  arguments: string;
}

export interface OutputDetails {
  reasoningTokens?: number;
}

/**
 * What the model said.
 */
export interface OutputMessage {
  type?: "message";
  id: string;
  status: "in_progress" | "completed" | "incomplete";
  role?: "assistant";
  content: Array<OutputText | OutputRefusal>;
}

/**
 * What the model thought first, where the engine tells.
 */
export interface OutputReasoning {
  type?: "reasoning";
  id: string;
  status: "in_progress" | "completed" | "incomplete";
  summary?: Array<Record<string, unknown>>;
  content: Array<ReasoningText>;
}

export interface OutputRefusal {
  type?: "refusal";
  refusal: string;
}

export interface OutputText {
  type?: "output_text";
  text: string;
  annotations?: Array<Record<string, unknown>>;
  logprobs?: Array<Record<string, unknown>>;
}

export interface Pace {
  tokensPerSecond: number;
}

/**
 * A prompt of `blocks` in order, and the instance that answers it, in its newest version.
 */
export interface Payload {
  model?: string | null;
  dependsOn?: Array<number | string> | null;
  retries?: number | null;
  timeout?: number | null;
  fallbackPort?: number | null;
  condition?: Condition | null;
  forEach?: number | string | null;
  itemsAtOnce?: number | null;
  approval?: boolean | null;
  whenSkipped?: "run" | "skip" | null;
  id: number;
  name: string;
  temperature: number;
  responseLength: number;
  llmPort: number;
  modelFormat: "chat" | "mistral" | "llama" | "llama3" | "chatml" | "alpaca" | "vicuna" | "gemma" | "phi" | "raw";
  createdAt: string;
  updatedAt: string;
  blocks: Array<OrderedBlock>;
}

/**
 * All payloads, by id. Options that are not given are left out.
 */
export type PayloadArray = Array<Payload>;

/**
 * `prompt` is the blocks with the inputs in their places; `text` is that as its instance would be asked with it.
 *
 * `used` names the inputs that stand in it, `missing` the names in braces that stand for nothing and stay as they are.
 */
export interface PayloadPreview {
  payloadId: number;
  prompt: string;
  text: string;
  used: Array<string>;
  missing: Array<string>;
  characters: number;
}

/**
 * A version, which never changes. `blocks` are ids.
 */
export interface PayloadVersion {
  version: number;
  createdAt: string;
  model?: string | null;
  dependsOn?: Array<number | string> | null;
  retries?: number | null;
  timeout?: number | null;
  fallbackPort?: number | null;
  condition?: Condition | null;
  forEach?: number | string | null;
  itemsAtOnce?: number | null;
  approval?: boolean | null;
  whenSkipped?: "run" | "skip" | null;
  name: string;
  temperature: number;
  responseLength: number;
  llmPort: number;
  modelFormat: "chat" | "mistral" | "llama" | "llama3" | "chatml" | "alpaca" | "vicuna" | "gemma" | "phi" | "raw";
  blocks: Array<number>;
}

/**
 * Versions, newest first.
 */
export interface PayloadVersionPage {
  items: Array<PayloadVersion>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
}

/**
 * A named system prompt, be it a profile or a role.
 */
export interface Persona {
  name: string;
  systemPrompt: string;
  description: string;
  createdAt: string;
  updatedAt: string;
}

/**
 * By name.
 */
export interface PersonaPage {
  items: Array<Persona>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
}

export interface Post {
  id: number;
  title: string;
  summary: string;
  createdAt: string;
  updatedAt: string;
}

/**
 * Posts, newest first.
 */
export interface PostPage {
  items: Array<Post>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
}

/**
 * `train_path` and `eval_path` are JSON Lines objects of `{"prompt", "completion"}` rows, already in the
 * template's form. Below `tokens_path` are their token ids; at `data_path` is the table that they were made of.
 */
export interface PreprocessingOutput {
  kind?: "PreprocessingAgent";
  baseModel: string;
  template: "alpaca" | "chatml" | "sharegpt" | "messages" | "llama" | "mistral" | "model" | "custom";
  chatTemplate: string | null;
  trainPath: string;
  evalPath: string;
  tokensPath?: string | null;
  dataPath?: string | null;
  trainRows: number;
  evalRows: number;
  droppedRows: number;
  contaminatedRows?: number;
  truncatedRows?: number;
  trainTokens: number;
  evalTokens: number;
  maxSeqLength: number;
}

/**
 * URLs that need no key until they expire, `expires_in` seconds from now. `url` is that of an only file.
 */
export interface PresignedDownload {
  url: string | null;
  expiresIn: number;
  files: Array<PresignedFile>;
}

/**
 * One file of an export, under its name there.
 */
export interface PresignedFile {
  name: string;
  url: string;
  size: number;
  sha256: string | null;
}

/**
 * USD for a million tokens.
 */
export interface Prices {
  input: string;
  output: string;
}

/**
 * `progress` is in percent of the tokens that the payload may have.
 */
export interface Progress {
  runId: number;
  payloadId: number;
  payloadName: string;
  status?: "running";
  progress: number;
  metadata: Pace;
}

/**
 * A prompt in its newest version. `variables` are those of its content, in order.
 */
export interface Prompt {
  id: number;
  name: string;
  content: string;
  variables: Array<string>;
  version: number;
  createdAt: string;
  updatedAt: string;
}

export interface PromptData {
  prompt: Prompt;
}

export interface PromptEnvelope {
  status?: "success";
  data: PromptData;
}

/**
 * A version, which never changes.
 */
export interface PromptVersion {
  version: number;
  content: string;
  variables: Array<string>;
  createdAt: string;
}

/**
 * Versions, newest first.
 */
export interface PromptVersionPage {
  items: Array<PromptVersion>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
}

export interface PromptsData {
  prompts: Array<Prompt>;
}

/**
 * Document A's list.
 */
export interface PromptsEnvelope {
  status?: "success";
  data: PromptsData;
}

/**
 * Whether this gateway can take requests: its connections, one by one.
 */
export interface Readiness {
  status: "ready" | "not ready";
  checks: Record<string, "ok" | "unavailable">;
}

export interface ReasoningText {
  type?: "reasoning_text";
  text: string;
}

export interface RegistrationOutput {
  kind?: "RegistrationAgent";
  modelId: string;
  modelName: string;
}

/**
 * Responses, in the order of their payloads.
 */
export type ResponseArray = Array<RunResponse>;

export interface ResponseError {
  code: string;
  message: string;
}

/**
 * One event of a streamed response; which of the fields it has depends on its type.
 */
export interface ResponseEvent {
  type: string;
  sequenceNumber: number;
  response?: ResponsesResponse | null;
  outputIndex?: number | null;
  item?: OutputMessage | OutputReasoning | OutputCall | null;
  itemId?: string | null;
  contentIndex?: number | null;
  part?: OutputText | OutputRefusal | ReasoningText | null;
  delta?: string | null;
  text?: string | null;
  refusal?: string | null;
  arguments?: string | null;
  logprobs?: Array<Record<string, unknown>> | null;
  code?: string | null;
  message?: string | null;
  param?: string | null;
  error?: Record<string, unknown> | null;
}

/**
 * `tokens_per_second` counts all tokens. A payload that was `skipped` has asked nobody.
 *
 * `port` and `engine` are those that answered, which may be the fallback's. `cost` is null when no price is known.
 * One that was `kept` is the response of the parent run, and was not asked for again.
 */
export interface ResponseMetadata {
  tokens: number;
  promptTokens: number;
  completionTokens: number;
  durationMs: number;
  tokensPerSecond: number;
  model?: string | null;
  engine?: string | null;
  port?: number | null;
  cost?: string | null;
  simulated?: boolean;
  skipped?: boolean;
  kept?: boolean;
  items?: number | null;
}

/**
 * Tokens. The details are 0: engines' own are not told over the platform.
 */
export interface ResponseUsage {
  inputTokens: number;
  inputTokensDetails?: InputDetails;
  outputTokens: number;
  outputTokensDetails?: OutputDetails;
  totalTokens: number;
}

/**
 * A response. `system_fingerprint` names the engine that made it, and says if it was a simulated one.
 */
export interface ResponsesResponse {
  id: string;
  object?: "response";
  createdAt: number;
  completedAt?: number | null;
  status: "in_progress" | "completed" | "incomplete" | "failed";
  error?: ResponseError | null;
  incompleteDetails?: IncompleteDetails | null;
  model: string;
  systemFingerprint?: string | null;
  output: Array<OutputMessage | OutputReasoning | OutputCall>;
  usage?: ResponseUsage | null;
  instructions: string | null;
  maxOutputTokens: number | null;
  maxToolCalls: number | null;
  metadata: Record<string, string>;
  parallelToolCalls: boolean;
  reasoning: Record<string, unknown>;
  temperature: number | null;
  text: Record<string, unknown>;
  toolChoice: string | Record<string, unknown>;
  tools: Array<Record<string, unknown>>;
  topLogprobs: number;
  topP: number | null;
  user: string | null;
  background?: boolean;
  previousResponseId?: null;
  store?: boolean;
  truncation?: "disabled";
}

/**
 * One broken rule: how many rows, and the first of them (0-based): some, and as many as are told at all.
 */
export interface RuleFinding {
  rule: string;
  severity: "error" | "warning";
  message: string;
  rows: number;
  examples?: Array<number>;
  rowNumbers?: Array<number>;
}

/**
 * Runs, newest first.
 */
export type RunArray = Array<WorkflowRun>;

export interface RunDeleted {
  message?: string;
}

/**
 * The last event of a run's stream. `status` is null for a run that was deleted.
 */
export interface RunEnd {
  runId: number;
  status: "running" | "paused" | "completed" | "failed" | "cancelled" | null;
}

/**
 * Why a run failed, in document B's words; `temporary` failures may pass by themselves.
 */
export interface RunError {
  code: string;
  type: string;
  message: string;
  temporary: boolean;
}

/**
 * A message in document C's form, with an id to go on from.
 */
export interface RunEvent {
  id: number;
  type: "execution_progress" | "payload_completed" | "item_progress" | "item_completed" | "item_failed" | "approval_requested" | "approval_decided" | "workflow_completed" | "workflow_failed";
  data: Progress | RunEventsResponse | ItemProgress | ItemResponse | ItemFailure | Approval | Decision | RunEventsCompletion | Failure;
}

export interface RunEventsCompletion {
  runId: number;
  status?: "completed";
}

export interface RunEventsResponse {
  runId: number;
  payloadId: number;
  payloadName: string;
  content: string;
  metadata: EventMetadata;
}

/**
 * What became of the item of number `item`, from 0, of a payload's `for_each`. `text` is the item itself.
 *
 * `content`, `prompt` and `metadata` are those of its response, null until it has one; `error` says why it failed.
 */
export interface RunItem {
  payloadId: number;
  payloadName: string;
  item: number;
  text: string;
  status: "pending" | "running" | "completed" | "failed" | "cancelled";
  attempts: number;
  content: string | null;
  prompt: string | null;
  metadata: ResponseMetadata | null;
  error: string | null;
  startedAt: string | null;
  completedAt: string | null;
}

/**
 * Items, in the order of their payloads and their lists.
 */
export interface RunItemPage {
  items: Array<RunItem>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
}

/**
 * `awaiting_approval` names the payloads whose turn has come and that wait for a person.
 */
export interface RunMetadata {
  workflowName: string;
  workflowVersion: number;
  totalPayloads: number;
  completedPayloads: number;
  awaitingApproval: Array<string>;
  startedAt: string;
  completedAt: string | null;
}

export interface RunMetrics {
  runId: string;
  series: Array<MetricSeries>;
}

/**
 * What a payload of a run answered. `prompt` is the exact text that the instance was asked with.
 *
 * Of one that was done for each item of a list both are those of all items, up to a million characters: the run's
 * items have the rest.
 */
export interface RunResponse {
  id: number;
  runId: number;
  payloadId: number;
  payloadName: string;
  content: string;
  prompt: string;
  metadata: ResponseMetadata;
  createdAt: string;
}

export interface RunWithResponses {
  id: number;
  workflowId: number;
  status: "running" | "paused" | "completed" | "failed" | "cancelled";
  startedAt: string;
  completedAt: string | null;
  error: string | null;
  parentRunId: number | null;
  trigger: "api" | "schedule" | "webhook" | "rerun" | "fork";
  triggerId: number | null;
  metadata: RunMetadata;
  inputs: Record<string, unknown>;
  items: Array<ItemCounts>;
  responses: Array<RunResponse>;
}

/**
 * One held-out question with the reference, the base model's answer and the trained model's.
 */
export interface Sample {
  prompt: string;
  reference: string;
  baseAnswer: string;
  answer: string;
}

/**
 * Document B's answer to who makes or changes an action.
 */
export interface SavedAction {
  status?: "success";
  action: Action;
}

/**
 * A payload without its blocks: the answer to who makes or changes one.
 */
export interface SavedPayload {
  model?: string | null;
  dependsOn?: Array<number | string> | null;
  retries?: number | null;
  timeout?: number | null;
  fallbackPort?: number | null;
  condition?: Condition | null;
  forEach?: number | string | null;
  itemsAtOnce?: number | null;
  approval?: boolean | null;
  whenSkipped?: "run" | "skip" | null;
  id: number;
  name: string;
  temperature: number;
  responseLength: number;
  llmPort: number;
  modelFormat: "chat" | "mistral" | "llama" | "llama3" | "chatml" | "alpaca" | "vicuna" | "gemma" | "phi" | "raw";
  createdAt: string;
  updatedAt: string;
}

export interface SavedTemplate {
  status?: "success";
  message?: string;
  data: TemplateSettings;
}

/**
 * A workflow without its payloads: the answer to who makes or changes one.
 */
export interface SavedWorkflow {
  id: number;
  name: string;
  inputs?: Record<string, unknown> | null;
  createdAt: string;
  updatedAt: string;
}

/**
 * `next_at` is null while it is not `enabled`. `last_at` is the moment that the last start was due, `last_run` the
 * run that it made, `error` why it made none.
 */
export interface Schedule {
  id: number;
  workflowId: number;
  cron: string;
  timeZone: string;
  inputs: Record<string, unknown>;
  overlap: "skip" | "queue";
  enabled: boolean;
  owner: string;
  nextAt: string | null;
  lastAt: string | null;
  lastRun: number | null;
  error: string | null;
  createdAt: string;
  updatedAt: string;
}

export interface ScheduleDeleted {
  message?: string;
}

/**
 * Schedules, by id.
 */
export interface SchedulePage {
  items: Array<Schedule>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
}

/**
 * A part of a post. Sections are ordered by `position`, those of the same position by age.
 */
export interface Section {
  id: number;
  postId: number;
  position: number;
  title: string;
  content: string;
  createdAt: string;
  updatedAt: string;
}

/**
 * The sections of a post, in order.
 */
export interface SectionPage {
  items: Array<Section>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
}

export interface SeoAnswer {
  suggestions: SeoSuggestions;
}

export interface SeoSuggestions {
  titleSuggestions: Array<string>;
  metaDescription: string;
  keywordSuggestions: Array<string>;
}

/**
 * A model that can be asked for by `name`.
 *
 * `parent` is the base of an adapter; `model_id` its id in the registry, `versioned` the name that always is its own.
 * `context_size` in tokens is None when nobody has said it; `max_tokens` is what to count on. `prices` is None when
 * none is known; what costs nothing says so. `fallbacks` are asked in this order when it cannot answer. A `disabled`
 * one is so in its settings.
 */
export interface ServedModel {
  id: number;
  name: string;
  provider: string;
  maxTokens: number;
  status: "active" | "unavailable" | "disabled";
  engine: string;
  parent?: string | null;
  modelId?: string | null;
  versioned?: string | null;
  contextSize?: number | null;
  prices?: Prices | null;
  capabilities?: Array<string>;
  fallbacks?: Array<string>;
  createdAt: string;
  updatedAt: string;
}

/**
 * Document D's metrics. The server is offline when no engine can be asked.
 *
 * `tokens_per_second`, `average_response_time` (seconds) and `success_rate` (percent of the tasks that ended) are of
 * the window and null when nothing happened in it. `total_requests` counts all completions of any route,
 * `api_costs` is what they cost in USD, null when no price is known. `active_tasks` are being worked on,
 * `queue_length` have not begun.
 */
export interface ServerMetrics {
  serverStatus: "online" | "offline";
  llmStatus: Record<string, string>;
  tokensPerSecond: number | null;
  averageResponseTime: number | null;
  totalRequests: number;
  activeTasks: number;
  queueLength: number;
  successRate: number | null;
  apiCosts: number | null;
}

/**
 * A post for each platform, by its name.
 */
export type SocialAnswer = Record<string, string>;

/**
 * What somebody did to a job, for all who watch it. `number` is also in the record that tells of its effect.
 */
export interface Steering {
  number: number;
  action: "pause" | "resume" | "cancel" | "adjust";
  by: string;
  learningRate?: number | null;
  agentName?: string | null;
}

/**
 * `cached`: its result is that of an earlier run. `sweep` are the values that this one of a sweep tries.
 *
 * `training_step` of `total_steps` is how far an agent is that trains, by its last record, and `seconds_left` how long
 * the rest takes at its present pace, without evaluation; null while that is not known.
 */
export interface StepView {
  agentName: string;
  agentClass: string;
  status: "waiting" | "ready" | "paused" | "running" | "completed" | "failed" | "cancelled" | "skipped";
  attempt: number;
  startedAt: string | null;
  finishedAt: string | null;
  cached?: boolean;
  sweep?: Record<string, unknown>;
  trainingStep?: number | null;
  totalSteps?: number | null;
  secondsLeft?: number | null;
}

/**
 * All that document B says of a deletion.
 */
export interface Succeeded {
  status?: "success";
}

/**
 * Document D's answer, and `details` besides.
 */
export interface Task {
  taskId: string;
  status: "Planned" | "Processing" | "Completed" | "Failed" | "Cancelled";
  result: string | null;
  error: string | null;
  details: TaskDetails;
}

/**
 * How it was decided whether one answer will do: a plan is made when `score` reaches `threshold`.
 */
export interface TaskAnalysis {
  decision: "direct" | "plan";
  score: number;
  threshold: number;
  signals: Array<TaskSignal>;
}

/**
 * What document D's four fields do not say. `plan` is empty where the prompt was answered directly.
 */
export interface TaskDetails {
  profile: string;
  role: string;
  analysis: TaskAnalysis;
  plan: Array<TaskStep>;
  createdAt: string;
  startedAt: string | null;
  finishedAt: string | null;
}

/**
 * Tasks, newest first.
 */
export interface TaskPage {
  items: Array<TaskSummary>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
}

/**
 * Something about the prompt that spoke for a plan (positive `weight`) or against one, and where it was seen.
 */
export interface TaskSignal {
  name: string;
  weight: number;
  evidence: Array<string>;
}

/**
 * A step of a task's plan. `needs` names the steps right before it; it sees the results of all that came before.
 */
export interface TaskStep {
  name: string;
  instruction: string;
  needs: Array<string>;
  status: "waiting" | "ready" | "paused" | "running" | "completed" | "failed" | "cancelled" | "skipped";
  attempt: number;
  result: string | null;
  error: string | null;
  startedAt: string | null;
  finishedAt: string | null;
}

/**
 * A task in a list: its results are left to `GET`, and its prompt is cut to its beginning.
 */
export interface TaskSummary {
  taskId: string;
  status: "Planned" | "Processing" | "Completed" | "Failed" | "Cancelled";
  error: string | null;
  prompt: string;
  profile: string;
  role: string;
  createdAt: string;
  finishedAt: string | null;
}

export interface TemplateAgent {
  agentName: string;
  agentClass: string;
}

/**
 * An action in the words of document B's template settings. `template_id` is the id of its prompt.
 */
export interface TemplateSettings {
  templateId: string;
  templateName: string;
  sourceField: string;
  template: string;
  llmModel: string;
  temperature: number;
  maxTokens: number;
}

/**
 * The templates of a source field, the one saved last first, and the names of the models that can be asked.
 */
export interface Templates {
  templates: Array<TemplateSettings>;
  models: Array<string>;
}

export interface TemplatesEnvelope {
  status?: "success";
  data: Templates;
}

/**
 * `duration` in seconds.
 */
export interface TestResult {
  result: string;
  model: string;
  duration: number;
}

export interface TextChoice {
  text: string;
  index: number;
  logprobs: Record<string, unknown> | null;
  finishReason: "stop" | "length" | "tool_calls" | "content_filter" | null;
}

/**
 * A finished completion, or a piece of a streamed one. The choices of a prompt follow those of the one before.
 */
export interface TextCompletion {
  id: string;
  object: "text_completion";
  created: number;
  model: string;
  choices: Array<TextChoice>;
  systemFingerprint: string | null;
  usage?: Usage | null;
}

/**
 * Tokens of one column. Of a large data set the first `rows_counted` rows are counted, and `tokens` is what all
 * have if they are like those.
 */
export interface TokenCounts {
  tokens: number;
  mean: number;
  p50: number;
  p90: number;
  p99: number;
  longest: number;
  datasetId: string;
  baseModel: string;
  column: string;
  rowsCounted: number;
  isEstimate: boolean;
}

export interface Told {
  message: string;
}

/**
 * One fine-tuning run. The names that PEFT, TRL, LLaMA-Factory and Axolotl have for these fields are taken too.
 *
 * `objective`: `sft` learns answers, `dpo` learns to prefer the chosen of two answers (rows with `chosen` and
 * `rejected`), against the base model without the adapter, with `dpo_beta` as its temperature.
 *
 * `max_steps` (optimizer steps) overrides `epochs`. `batch_size` counts rows, or with `packing` sequences of up to
 * `max_seq_length` tokens that are filled with whole rows, which never see each other. `max_seq_length` cuts the rows
 * shorter than they were prepared. The learning rate warms up over `warmup_steps`, or else over `warmup_ratio` of all
 * steps, and ends at `min_lr_ratio` of its peak.
 *
 * Every `eval_steps`, by default after each epoch, the loss is measured on held-out rows. `keep_best` keeps the
 * weights of the best measurement, and `early_stopping_patience` ends a run after that many that are not better by
 * `early_stopping_threshold`. `save_steps` is the checkpoint interval.
 *
 * `activation_checkpointing`, by default only where memory needs it, computes activations twice to save memory;
 * `torch_compile` compiles the model, which pays on long runs; `use_liger_kernel`, by default where they are
 * installed and there is a GPU, takes Liger's kernels.
 */
export interface TrainingConfig {
  baseModel?: string | null;
  method?: "lora" | "qlora" | "full";
  objective?: "sft" | "dpo";
  dpoBeta?: number;
  loraR?: number;
  loraAlpha?: number;
  loraDropout?: number;
  targetModules?: Array<string> | "all-linear";
  epochs?: number;
  maxSteps?: number | null;
  batchSize?: number;
  gradientAccumulationSteps?: number;
  packing?: boolean;
  maxSeqLength?: number | null;
  learningRate?: number;
  lrSchedulerType?: "linear" | "cosine" | "constant" | "inverse_sqrt";
  warmupRatio?: number;
  warmupSteps?: number | null;
  minLrRatio?: number;
  optimizer?: "adamw";
  adamBeta1?: number;
  adamBeta2?: number;
  adamEpsilon?: number;
  weightDecay?: number;
  maxGradNorm?: number;
  trainOnInputs?: boolean;
  precision?: "auto" | "bfloat16" | "float32";
  activationCheckpointing?: boolean | null;
  torchCompile?: boolean;
  useLigerKernel?: boolean | null;
  loggingSteps?: number;
  evalSteps?: number | null;
  earlyStoppingPatience?: number | null;
  earlyStoppingThreshold?: number;
  keepBest?: boolean;
  saveSteps?: number;
  seed?: number;
}

/**
 * What was expected before the first step: bytes of memory on the device, and seconds, as the first steps ran.
 */
export interface TrainingEstimate {
  memoryBytes: number;
  availableBytes: number;
  seconds?: number | null;
}

/**
 * `model_path` is the S3 prefix of the adapter (LoRA, QLoRA) or of the whole model (full); at `rows_path`
 * are the rows that it learnt.
 *
 * Losses are nats a token; `eval_loss` is that of the weights that were kept, of step `best_step`. `stopped_early`
 * says that the held-out loss had stopped falling. `config` is what was asked for, `learning_rate_changes` what people
 * made of it on the way to these weights.
 */
export interface TrainingOutput {
  kind?: "TrainingAgent";
  baseModel: string;
  method: "lora" | "qlora" | "full";
  config: TrainingConfig;
  modelPath: string;
  rowsPath?: string | null;
  steps: number;
  epochs: number;
  firstLoss: number;
  finalLoss: number;
  tokens: number;
  seconds: number;
  resumedFromStep: number;
  evalLoss?: number | null;
  bestStep?: number | null;
  stoppedEarly?: boolean;
  peakMemoryBytes?: number | null;
  estimate?: TrainingEstimate | null;
  learningRateChanges?: Array<LearningRateChange>;
}

/**
 * The event `delta`: more of the answer.
 */
export interface TrialDelta {
  content: string;
}

/**
 * The event `result`, which comes last: document B's answer, and what it took.
 *
 * `duration` and `time_to_first_token` in seconds; `cost` in USD, null when no price is known. `simulated` says that
 * no model made it.
 */
export interface TrialResult {
  result: string;
  model: string;
  duration: number;
  finishReason: "stop" | "length" | "tool_calls" | "content_filter" | null;
  usage: Usage;
  cost: string | null;
  timeToFirstToken: number | null;
  engine: string;
  simulated: boolean;
}

/**
 * An upload that can be resumed: send what is behind `offset`. `dataset_id` is there once it is a data set.
 */
export interface UploadState {
  uploadId: string;
  filename: string;
  length: number;
  offset: number;
  status: string;
  datasetId: string | null;
  error: string | null;
  expiresAt: string;
}

export interface Usage {
  promptTokens: number;
  completionTokens: number;
  totalTokens: number;
}

/**
 * Newest day first, then by model and key.
 */
export interface UsagePage {
  items: Array<UsageRow>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
}

/**
 * What was used of one model on one day by one key, or the sum over those that `group_by` does not name.
 *
 * These are null then; `key` is also null for callers without one. `mean_duration` in seconds; `errors` are failed
 * requests. `cost` in USD is the sum of what is known; `unpriced` requests are those whose price nobody knows.
 */
export interface UsageRow {
  day?: string | null;
  model?: string | null;
  key?: string | null;
  requests: number;
  errors: number;
  cancelled: number;
  promptTokens: number;
  completionTokens: number;
  totalTokens: number;
  cost: string;
  unpriced: number;
  meanDuration: number;
}

export interface User {
  userId: string;
  name: string;
  role: "admin" | "member" | "viewer";
  disabled: boolean;
  createdAt: string;
  updatedAt: string;
}

/**
 * Users, by name.
 */
export interface UserPage {
  items: Array<User>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
}

export interface ValidationOutput {
  kind?: "ValidationAgent";
  rows: number;
  findings: Array<RuleFinding>;
  reportPath: string;
}

/**
 * `signed` ones take only what is signed with their secret. `last_at` is when one last started a run.
 */
export interface Webhook {
  id: number;
  workflowId: number;
  name: string;
  signed: boolean;
  enabled: boolean;
  owner: string;
  lastAt: string | null;
  lastRun: number | null;
  createdAt: string;
  updatedAt: string;
}

export interface WebhookDeleted {
  message?: string;
}

/**
 * Webhooks, by id.
 */
export interface WebhookPage {
  items: Array<Webhook>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
}

/**
 * Payloads in order, in its newest version. `inputs` is null where it declares none.
 */
export interface Workflow {
  id: number;
  name: string;
  inputs?: Record<string, unknown> | null;
  createdAt: string;
  updatedAt: string;
  payloads: Array<OrderedPayload>;
}

/**
 * All workflows, by id.
 */
export type WorkflowArray = Array<Workflow>;

/**
 * A workflow with all that it needs, to be kept in a file and imported elsewhere.
 */
export interface WorkflowDocument {
  format?: "llm-platform/workflow";
  version?: number;
  name: string;
  inputs?: Record<string, unknown> | null;
  workflow: Array<number>;
  payloads: Array<ExportedPayload>;
  blocks: Array<ExportedBlock>;
}

/**
 * `error` says why it failed. `parent_run_id` is the run that it repeats a part of, or was forked from.
 * `trigger_id` is that of the schedule or the webhook that started it.
 */
export interface WorkflowRun {
  id: number;
  workflowId: number;
  status: "running" | "paused" | "completed" | "failed" | "cancelled";
  startedAt: string;
  completedAt: string | null;
  error: string | null;
  parentRunId: number | null;
  trigger: "api" | "schedule" | "webhook" | "rerun" | "fork";
  triggerId: number | null;
  metadata: RunMetadata;
}

/**
 * `items` are of payloads that are done for each item of a list, once that is known.
 */
export interface WorkflowRunWithInputs {
  id: number;
  workflowId: number;
  status: "running" | "paused" | "completed" | "failed" | "cancelled";
  startedAt: string;
  completedAt: string | null;
  error: string | null;
  parentRunId: number | null;
  trigger: "api" | "schedule" | "webhook" | "rerun" | "fork";
  triggerId: number | null;
  metadata: RunMetadata;
  inputs: Record<string, unknown>;
  items: Array<ItemCounts>;
}

/**
 * A version, which never changes. `payloads` are ids.
 */
export interface WorkflowVersion {
  version: number;
  createdAt: string;
  name: string;
  inputs?: Record<string, unknown> | null;
  payloads: Array<number>;
}

/**
 * Versions, newest first.
 */
export interface WorkflowVersionPage {
  items: Array<WorkflowVersion>;
  total: number;
  limit: number;
  offset: number;
  hasMore: boolean;
}
