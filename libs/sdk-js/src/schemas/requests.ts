// What the platform may be asked. Made by `make sdk` from the API's description: do not edit.

/**
 * Changes the learning rate of the agents that train, or of the one named, from their next step on.
 *
 * The schedule keeps its shape: `learning_rate` stands for the one in the agent's configuration.
 */
export interface AdjustJob {
  learningRate: number;
  agentName?: string | null;
}

/**
 * Without `payload`, the first that waits.
 */
export interface AnswerApproval {
  payload?: number | string | null;
}

export interface BlocksQuery {
  folder?: string | null;
  tag?: string | null;
  search?: string | null;
}

/**
 * The most that may be spent in a period, in US dollars, in tokens, or in both.
 */
export interface Budget {
  usd?: number | null;
  tokens?: number | null;
  period?: "day" | "month" | "total";
}

/**
 * Changes the given fields of a key; null takes a limit away.
 */
export interface ChangedApiKey {
  name?: string;
  role?: "admin" | "member" | "viewer";
  responseStyle?: "envelope" | "plain";
  allowedModels?: Array<string> | null;
  requestsPerMinute?: number | null;
  budget?: Budget | null;
  expiresAt?: string | null;
}

/**
 * Gives the caller another password, which ends all other sessions.
 */
export interface ChangedPassword {
  password: string;
  newPassword: string;
}

/**
 * Changes the given fields. A new password, another role or `disabled` ends all sessions of the user.
 */
export interface ChangedUser {
  name?: string | null;
  password?: string | null;
  role?: "admin" | "member" | "viewer" | null;
  disabled?: boolean | null;
}

/**
 * One turn. `content` is text, or OpenAI's list of parts, which is passed through.
 */
export interface ChatMessage {
  role: "system" | "developer" | "user" | "assistant" | "tool";
  content?: string | Array<Record<string, unknown>> | null;
  name?: string | null;
  toolCalls?: Array<Record<string, unknown>> | null;
  toolCallId?: string | null;
}

/**
 * A chat completion as OpenAI's clients ask for it. Parameters that are not named here go to the engine as is.
 */
export interface ChatRequest {
  model: string;
  stream?: boolean | null;
  streamOptions?: StreamOptions | null;
  n?: number | null;
  temperature?: number | null;
  topP?: number | null;
  maxTokens?: number | null;
  stop?: Array<string> | string | null;
  seed?: number | null;
  frequencyPenalty?: number | null;
  presencePenalty?: number | null;
  logitBias?: Record<string, number> | null;
  user?: string | null;
  messages: Array<ChatMessage>;
  maxCompletionTokens?: number | null;
  responseFormat?: Record<string, unknown> | null;
  logprobs?: boolean | null;
  topLogprobs?: number | null;
  tools?: Array<Record<string, unknown>> | null;
  toolChoice?: string | Record<string, unknown> | null;
  parallelToolCalls?: boolean | null;
}

/**
 * A text completion as OpenAI's clients ask for it: each prompt, a text or the ids of its tokens, is continued.
 */
export interface CompletionRequest {
  model: string;
  stream?: boolean | null;
  streamOptions?: StreamOptions | null;
  n?: number | null;
  temperature?: number | null;
  topP?: number | null;
  maxTokens?: number | null;
  stop?: Array<string> | string | null;
  seed?: number | null;
  frequencyPenalty?: number | null;
  presencePenalty?: number | null;
  logitBias?: Record<string, number> | null;
  user?: string | null;
  prompt: string | Array<string> | Array<number> | Array<Array<number>>;
  logprobs?: number | null;
  echo?: boolean | null;
  bestOf?: number | null;
  suffix?: string | null;
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
 * An action to make, in the words of either document: `field_name` or `output_field`, `llm_model` or `model`.
 *
 * Without `prompt_version` it follows its prompt. Without `name` it has that of its prompt; without `input_field` its
 * input is the prompt's first variable.
 */
export interface CreateAction {
  fieldName?: string | null;
  promptTemplateId: number;
  llmModel?: string | null;
  temperature?: number;
  maxTokens?: number;
  name?: string | null;
  description?: string;
  inputField?: string | null;
  outputField?: string | null;
  model?: string | null;
  status?: "active" | "inactive";
  promptVersion?: number | null;
}

export interface CreateBlock {
  title: string;
  content: string;
  tags?: string;
  folderPath?: string;
}

/**
 * Registers an engine. `models` are served whether or not the engine lists them.
 *
 * Without `api_base` a hosted provider's own is taken; without `concurrency` what suits the type.
 */
export interface CreateEngine {
  name: string;
  providerType: "openai" | "vllm" | "ollama" | "llamacpp" | "koboldai" | "local" | "simulated";
  apiBase?: string | null;
  port?: number | null;
  authToken?: string | null;
  concurrency?: number | null;
  timeout?: number | null;
  enabled?: boolean;
  priority?: number;
  weight?: number;
  models?: Array<string>;
  prices?: Record<string, Prices>;
}

/**
 * Registers the engine on a port of this machine, of `host`, or where `api_base` says.
 *
 * Without `provider_type` it is asked which API it speaks; one that does not answer is taken for OpenAI's.
 */
export interface CreateInstance {
  port: number;
  name: string;
  providerType?: "openai" | "vllm" | "ollama" | "llamacpp" | "koboldai" | "local" | "simulated" | null;
  host?: string | null;
  apiBase?: string | null;
  authToken?: string | null;
  config?: InstanceConfig;
}

export interface CreatePayload {
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
  temperature?: number;
  responseLength?: number;
  llmPort: number;
  modelFormat?: "chat" | "mistral" | "llama" | "llama3" | "chatml" | "alpaca" | "vicuna" | "gemma" | "phi" | "raw";
  blocks?: Array<number>;
}

export interface CreatePost {
  title: string;
  summary?: string;
}

export interface CreatePrompt {
  name: string;
  content: string;
}

export interface CreateSchedule {
  cron: string;
  timeZone?: string;
  inputs?: Record<string, unknown>;
  overlap?: "skip" | "queue";
  enabled?: boolean;
}

/**
 * Without a `position` it comes last.
 */
export interface CreateSection {
  title: string;
  content?: string;
  position?: number | null;
}

/**
 * What is to be done, and under which system prompts: the role says who answers, the profile how.
 */
export interface CreateTask {
  prompt: string;
  profile?: string;
  role?: string;
}

export interface CreateWebhook {
  name?: string;
  signed?: boolean;
  enabled?: boolean;
}

export interface CreateWorkflow {
  name: string;
  payloads?: Array<number>;
  inputs?: Record<string, unknown> | null;
}

/**
 * A name and a password, as the login page sends them.
 */
export interface Credentials {
  name: string;
  password: string;
}

/**
 * The parts of an upload. Without `format` it follows from the file's name and content.
 */
export interface DatasetUpload {
  file: Blob;
  format?: "csv" | "tsv" | "json" | "jsonl" | "parquet" | "txt" | null;
}

export interface DatasetsQuery {
  filename?: string | null;
  search?: string | null;
  format?: "csv" | "tsv" | "json" | "jsonl" | "parquet" | "txt" | null;
  sha256?: string | null;
}

export interface DatasetsTokensQuery {
  baseModel: string;
  column?: string | null;
}

export interface DeleteBlocksQuery {
  force?: boolean;
}

export interface DeleteDatasetsQuery {
  force?: boolean;
}

export interface DeleteJobsQuery {
  purge?: boolean;
}

export interface DeleteModelsQuery {
  force?: boolean;
}

export interface DeletePayloadsQuery {
  force?: boolean;
}

/**
 * `to_agent` starts when `from_agent` has finished.
 */
export interface Edge {
  fromAgent: string;
  toAgent: string;
}

/**
 * Texts, or the ids of their tokens. Parameters that are not named here go to the engine as they are.
 */
export interface EmbeddingsRequest {
  model: string;
  input: string | Array<string> | Array<number> | Array<Array<number>>;
  encodingFormat?: "float" | "base64";
  dimensions?: number | null;
}

/**
 * `input_data` holds the prompt's variables. `post_id` names the post that it is done for, if any.
 *
 * A prompt without variables is followed by the value of the action's input field.
 */
export interface ExecuteAction {
  inputData: Record<string, unknown>;
  postId?: number | null;
}

export interface ExecuteWorkflow {
  inputs?: Record<string, unknown>;
}

export interface ExpandSection {
  tone?: string;
  platforms?: Array<string>;
}

export interface ExportedBlock {
  id: number;
  title: string;
  content: string;
  tags?: string;
  folderPath?: string;
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
 * As `RerunWorkflow`, with these inputs in the place of those of the same name. Without `from_payload` nothing is
 * kept, since any response may have come from an input.
 */
export interface ForkWorkflow {
  fromPayload?: number | string | null;
  inputs?: Record<string, unknown>;
}

export interface GenerateIdea {
  topic: string;
  style?: string;
  audience?: string;
}

export interface GenerateSocial {
  platforms?: Array<string>;
}

/**
 * What holds for every agent of a job. `base_model` and `dataset_id` are defaults for agents that name none.
 *
 * Without `use_cache` every agent does its work, also where nothing has changed since an earlier run.
 */
export interface GlobalConfig {
  maxRetries?: number;
  baseModel?: string | null;
  datasetId?: string | null;
  stepTimeoutSeconds?: number;
  useCache?: boolean;
}

/**
 * What a completion that is asked of the instance by its port has where it says nothing else; tokens at most.
 */
export interface InstanceConfig {
  temperature?: number;
  maxLength?: number;
}

export interface InteractionsQuery {
  model?: string | null;
  status?: "completed" | "failed" | "cancelled" | null;
  engine?: string | null;
  route?: string | null;
  key?: string | null;
  traceId?: string | null;
  since?: string | null;
  until?: string | null;
}

export interface JobsQuery {
  status?: "pending" | "running" | "paused" | "completed" | "failed" | "cancelled" | null;
  owner?: string | null;
  createdAfter?: string | null;
  createdBefore?: string | null;
}

export interface KeysQuery {
  includeRevoked?: boolean;
}

export interface LogsHistoryQuery {
  before?: number | null;
  order?: "asc" | "desc";
  level?: "INFO" | "WARN" | "ERROR" | "METRIC" | null;
  agent?: string | null;
}

export interface LogsMetricsQuery {
  agent?: string | null;
  points?: number;
}

export interface LogsStreamQuery {
  level?: "INFO" | "WARN" | "ERROR" | "METRIC" | null;
  agent?: string | null;
}

export interface MetricsQuery {
  window?: number;
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
  enabled?: boolean;
  prices?: Prices | null;
  fallbacks?: Array<string>;
  contextSize?: number | null;
  capabilities?: Array<string> | null;
}

export interface ModelsDownloadQuery {
  format?: "adapter" | "merged" | "gguf";
  quantization?: "F32" | "F16" | "BF16" | "Q8_0" | "Q4_0" | "Q4_1" | "Q5_0" | "Q5_1" | "Q6_K" | "Q5_K_M" | "Q4_K_M" | null;
  presigned?: boolean;
}

export interface ModelsQuery {
  baseModel?: string | null;
  modelName?: string | null;
  tag?: string | null;
  alias?: string | null;
  datasetId?: string | null;
  runId?: string | null;
  format?: "adapter" | "merged" | "gguf" | null;
  deployed?: boolean | null;
}

/**
 * A key to make. A viewer only reads, a member reads and writes, an admin also manages keys and configuration.
 *
 * `allowed_models` are those it may ask, null for all. `requests_per_minute` takes the place of the limit that every
 * user has. From `expires_at` on it is refused.
 */
export interface NewApiKey {
  name: string;
  role?: "admin" | "member" | "viewer";
  responseStyle?: "envelope" | "plain";
  allowedModels?: Array<string> | null;
  requestsPerMinute?: number | null;
  budget?: Budget | null;
  expiresAt?: string | null;
}

/**
 * A person to let in. Names are told apart without regard to case.
 */
export interface NewUser {
  name: string;
  password: string;
  role?: "admin" | "member" | "viewer";
}

/**
 * One agent of a job as a caller writes it; `config` is checked against `AGENT_CONFIGS[agent_class]`.
 *
 * With `sweep`, values to try for fields of its configuration, it becomes one agent for each combination of them, as
 * `<agent_name>-1` and so on, and so does all that follows it, until a ComparisonAgent brings them together.
 */
export interface Node {
  agentName: string;
  agentClass: string;
  config?: Record<string, unknown>;
  sweep?: Record<string, Array<unknown>>;
}

export interface OptimizeSeo {
  keywords: Array<string>;
}

export interface PayloadsQuery {
  search?: string | null;
  blockId?: number | null;
}

/**
 * The DAG of a job, as document E writes it.
 */
export interface PipelineConfig {
  runId?: string | null;
  nodes: Array<Node>;
  edges?: Array<Edge>;
  globalConfig?: GlobalConfig;
}

/**
 * `inputs` are what its prompt may name: inputs of a run, responses of earlier payloads, `item`.
 */
export interface PreviewPayload {
  inputs?: Record<string, unknown>;
}

/**
 * USD for a million tokens.
 */
export interface Prices {
  input: number | string;
  output: number | string;
}

/**
 * Makes or replaces one. A task that has started keeps the prompt that it started with.
 */
export interface PutPersona {
  systemPrompt: string;
  description?: string;
}

/**
 * `effort` goes to the engine. Summaries are not made, so a wish for one changes nothing.
 */
export interface ReasoningOptions {
  effort?: string | null;
}

export interface RejectPayload {
  payload?: number | string | null;
  reason?: string;
}

/**
 * A key as it shall be from now on, but for its secret: what is left out gets its default.
 */
export interface ReplacedApiKey {
  name: string;
  role?: "admin" | "member" | "viewer";
  responseStyle?: "envelope" | "plain";
  allowedModels?: Array<string> | null;
  requestsPerMinute?: number | null;
  budget?: Budget | null;
  expiresAt?: string | null;
}

/**
 * Starts a new run of what `run_id` pinned. It keeps the responses of all payloads that neither are nor follow the
 * one at `from_payload` (its id or name); without one, of all payloads and items that had completed when the run ended
 * badly.
 */
export interface RerunWorkflow {
  fromPayload?: number | string | null;
}

/**
 * A response as OpenAI's clients ask for one. Parameters that are not named here go to the engine as they are.
 *
 * `store` is false whether or not it is given: nothing is kept.
 */
export interface ResponsesRequest {
  model: string;
  input: string | Array<Record<string, unknown>>;
  instructions?: string | null;
  stream?: boolean | null;
  streamOptions?: Record<string, unknown> | null;
  maxOutputTokens?: number | null;
  temperature?: number | null;
  topP?: number | null;
  topLogprobs?: number | null;
  text?: TextOptions | null;
  tools?: Array<Record<string, unknown>> | null;
  toolChoice?: string | Record<string, unknown> | null;
  parallelToolCalls?: boolean | null;
  maxToolCalls?: number | null;
  reasoning?: ReasoningOptions | null;
  include?: Array<string> | null;
  metadata?: Record<string, string> | null;
  user?: string | null;
  safetyIdentifier?: string | null;
  promptCacheKey?: string | null;
  serviceTier?: string | null;
  store?: boolean | null;
  background?: boolean | null;
  previousResponseId?: string | null;
  conversation?: string | Record<string, unknown> | null;
  prompt?: Record<string, unknown> | null;
  truncation?: string | null;
  contextManagement?: Array<Record<string, unknown>> | null;
  moderation?: Record<string, unknown> | null;
}

/**
 * Goes on from a job that has ended: what had completed is taken over, the rest is done.
 *
 * `configs` stand over fields of agents' configurations, by name; those agents and what follows them are done again.
 * So are `from_agent` and what follows it. A job that had completed is done again whole, where neither is given.
 */
export interface RetryJob {
  runId?: string | null;
  fromAgent?: string | null;
  configs?: Record<string, unknown>;
}

export interface RunsItemsQuery {
  payload?: number | string | null;
  status?: "pending" | "running" | "completed" | "failed" | "cancelled" | null;
}

export interface RunsQuery {
  status?: "running" | "paused" | "completed" | "failed" | "cancelled" | null;
  workflowId?: number | null;
  trigger?: "api" | "schedule" | "webhook" | "rerun" | "fork" | null;
  triggerId?: number | null;
  before?: number | null;
}

/**
 * Settings to keep for a source field. With a `template_name` that the field has not, they become a new template;
 * without one they change the template that was saved last, or become the first.
 */
export interface SaveTemplate {
  sourceField: string;
  template: string;
  llmModel: string;
  temperature: number;
  maxTokens: number;
  templateName?: string | null;
}

/**
 * How to stream; options that are not known here change nothing that the platform sends.
 */
export interface StreamOptions {
  includeUsage?: boolean;
}

/**
 * A job, written out in `pipeline_config`, or of one of the usual forms, named by `template`.
 *
 * What else is given belongs to the template. `configs` are fields of its agents' configurations, by their names.
 */
export interface SubmitJob {
  pipelineConfig?: PipelineConfig | null;
  template?: "finetune" | "sweep" | "evaluate" | "export" | "prepare" | "validate" | null;
  runId?: string | null;
  datasetId?: string | null;
  filePath?: string | null;
  baseModel?: string | null;
  modelName?: string | null;
  models?: Array<string>;
  configs?: Record<string, unknown>;
  sweep?: Record<string, unknown>;
  globalConfig?: GlobalConfig | null;
}

export interface TasksQuery {
  status?: "Planned" | "Processing" | "Completed" | "Failed" | "Cancelled" | null;
}

/**
 * Document B's test: the prompt, then the input. Without `model_name` the configured model answers.
 */
export interface TestPrompt {
  prompt: string;
  modelName?: string | null;
  temperature?: number;
  maxTokens?: number;
  input?: string;
}

/**
 * What form the answer shall have; `name`, `schema`, `strict` and `description` belong to a `json_schema`.
 */
export interface TextFormat {
  type?: "text" | "json_object" | "json_schema";
  name?: string | null;
  schema?: Record<string, unknown> | null;
  strict?: boolean | null;
  description?: string | null;
}

export interface TextOptions {
  format?: TextFormat | null;
  verbosity?: "low" | "medium" | "high" | null;
}

/**
 * `force` also ends serving a model that has aliases, and removes them.
 */
export interface UndeployModel {
  force?: boolean;
}

/**
 * Changes the given fields. `prompt_version` 0 follows the prompt again.
 */
export interface UpdateAction {
  fieldName?: string | null;
  promptTemplateId?: number | null;
  llmModel?: string | null;
  temperature?: number | null;
  maxTokens?: number | null;
  name?: string | null;
  description?: string | null;
  inputField?: string | null;
  outputField?: string | null;
  model?: string | null;
  status?: "active" | "inactive" | null;
  promptVersion?: number | null;
}

/**
 * Changes the given fields; what is another than before becomes the next version.
 */
export interface UpdateBlock {
  title?: string | null;
  content?: string | null;
  tags?: string | null;
  folderPath?: string | null;
}

/**
 * Changes the given fields. `auth_token` is encrypted at rest and never returned.
 */
export interface UpdateConfig {
  providerType?: "openai" | "vllm" | "ollama" | "llamacpp" | "koboldai" | "local" | "simulated" | null;
  modelName?: string | null;
  apiBase?: string | null;
  authToken?: string | null;
}

/**
 * Changes the given fields. An empty `auth_token` takes the token away, a `port` or `timeout` of 0 that one.
 *
 * A token that was stored for one host is never sent to another: with a new host it has to be given again.
 */
export interface UpdateEngine {
  name?: string | null;
  providerType?: "openai" | "vllm" | "ollama" | "llamacpp" | "koboldai" | "local" | "simulated" | null;
  apiBase?: string | null;
  port?: number | null;
  authToken?: string | null;
  concurrency?: number | null;
  timeout?: number | null;
  enabled?: boolean | null;
  priority?: number | null;
  weight?: number | null;
  models?: Array<string> | null;
  prices?: Record<string, Prices> | null;
}

/**
 * Changes the given fields. An empty `auth_token` takes the token away; a port is for good.
 */
export interface UpdateInstance {
  name?: string | null;
  providerType?: "openai" | "vllm" | "ollama" | "llamacpp" | "koboldai" | "local" | "simulated" | null;
  host?: string | null;
  apiBase?: string | null;
  authToken?: string | null;
  enabled?: boolean | null;
  config?: InstanceConfig | null;
}

/**
 * Changes what is said of a model; what is not given stays.
 */
export interface UpdateModel {
  description?: string | null;
  tags?: Array<string> | null;
}

/**
 * Changes the given fields; null takes an option away. What is another than before becomes the next version.
 */
export interface UpdatePayload {
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
  name?: string | null;
  temperature?: number | null;
  responseLength?: number | null;
  llmPort?: number | null;
  modelFormat?: "chat" | "mistral" | "llama" | "llama3" | "chatml" | "alpaca" | "vicuna" | "gemma" | "phi" | "raw" | null;
  blocks?: Array<number> | null;
}

/**
 * Changes the given fields.
 */
export interface UpdatePost {
  title?: string | null;
  summary?: string | null;
}

/**
 * Changes the given fields. Another content becomes the next version.
 */
export interface UpdatePrompt {
  name?: string | null;
  content?: string | null;
}

/**
 * Changes the given fields.
 */
export interface UpdateSchedule {
  cron?: string;
  timeZone?: string;
  inputs?: Record<string, unknown>;
  overlap?: "skip" | "queue";
  enabled?: boolean;
}

/**
 * Changes the given fields.
 */
export interface UpdateSection {
  title?: string | null;
  content?: string | null;
  position?: number | null;
}

/**
 * Changes the given fields.
 */
export interface UpdateWebhook {
  name?: string;
  enabled?: boolean;
}

/**
 * Changes the given fields; what is another than before becomes the next version.
 */
export interface UpdateWorkflow {
  name?: string | null;
  payloads?: Array<number> | null;
  inputs?: Record<string, unknown> | null;
}

export interface UsageQuery {
  groupBy?: "day" | "model" | "key" | "day,model" | "day,key" | "model,key" | "day,model,key";
  model?: string | null;
  key?: string | null;
  since?: string | null;
  until?: string | null;
}

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

export interface WorkflowsQuery {
  search?: string | null;
  payloadId?: number | null;
}

export interface WsQuery {
  runId?: number | null;
}
