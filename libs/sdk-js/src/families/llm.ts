/** Prompts, actions, content, configuration and completions (documents A and B, and OpenAI's API). */

import { answer } from "../following.js";
import { at, type Http } from "../http.js";
import type * as A from "../schemas/answers.js";
import type * as R from "../schemas/requests.js";

type Limit = { limit?: number };
const LLM = "/api/v1/llm";
const ACTIONS = `${LLM}/actions`;
const PROMPTS = `${LLM}/prompts`;
const POSTS = "/api/v1/posts";

export class Actions {
  constructor(readonly http: Http) {}

  async list(): Promise<A.Action[]> {
    const headers = { "X-Response-Style": "envelope" };
    return (await this.http.json<A.ActionsEnvelope>("GET", ACTIONS, "ActionsEnvelope", { headers })).data.actions;
  }

  async create(body: R.CreateAction): Promise<A.Action> {
    return (await this.http.post<A.SavedAction>(ACTIONS, "SavedAction", body, "CreateAction")).action;
  }

  get(actionId: number): Promise<A.Action> {
    return this.http.get(at(ACTIONS, actionId), "Action");
  }

  async update(actionId: number, body: R.UpdateAction): Promise<A.Action> {
    return (await this.http.put<A.SavedAction>(at(ACTIONS, actionId), "SavedAction", body, "UpdateAction")).action;
  }

  delete(actionId: number): Promise<A.Succeeded> {
    return this.http.delete(at(ACTIONS, actionId), "Succeeded");
  }

  /** Executes an action with its prompt's variables, and waits for its end. */
  async execute(actionId: number, inputData: Record<string, unknown>, options: { postId?: number } = {}): Promise<A.ActionRun> {
    const body = { inputData, ...options };
    const path = at(ACTIONS, actionId, "execute");
    return (await this.http.post<A.ActionRunEnvelope>(path, "ActionRunEnvelope", body, "ExecuteAction", true)).data.actionRun;
  }

  runs(actionId: number, query: Limit = {}): AsyncGenerator<A.ActionRun> {
    return this.http.pages(at(ACTIONS, actionId, "runs"), "ActionRunPage", query);
  }

  async run(actionId: number, runId: number): Promise<A.ActionRun> {
    return (await this.http.get<A.ActionRunEnvelope>(at(ACTIONS, actionId, "runs", runId), "ActionRunEnvelope")).data.actionRun;
  }

  history(actionId: number, query: Limit = {}): AsyncGenerator<A.HistoryEntry> {
    return this.http.pages(at(ACTIONS, actionId, "history"), "ActionHistory", query, "history");
  }

  async templates(sourceField: string): Promise<A.Templates> {
    return (await this.http.get<A.TemplatesEnvelope>(at(ACTIONS, sourceField), "TemplatesEnvelope")).data;
  }

  async saveTemplate(body: R.SaveTemplate): Promise<A.TemplateSettings> {
    return (await this.http.post<A.SavedTemplate>(`${ACTIONS}/`, "SavedTemplate", body, "SaveTemplate")).data;
  }
}

export class Prompts {
  constructor(readonly http: Http) {}

  async list(): Promise<A.Prompt[]> {
    return (await this.http.get<A.PromptsEnvelope>(PROMPTS, "PromptsEnvelope")).data.prompts;
  }

  async create(body: R.CreatePrompt): Promise<A.Prompt> {
    return (await this.http.post<A.PromptEnvelope>(PROMPTS, "PromptEnvelope", body, "CreatePrompt")).data.prompt;
  }

  async get(promptId: number): Promise<A.Prompt> {
    return (await this.http.get<A.PromptEnvelope>(at(PROMPTS, promptId), "PromptEnvelope")).data.prompt;
  }

  async update(promptId: number, body: R.UpdatePrompt): Promise<A.Prompt> {
    return (await this.http.put<A.PromptEnvelope>(at(PROMPTS, promptId), "PromptEnvelope", body, "UpdatePrompt")).data.prompt;
  }

  delete(promptId: number): Promise<A.Succeeded> {
    return this.http.delete(at(PROMPTS, promptId), "Succeeded");
  }

  versions(promptId: number, query: Limit = {}): AsyncGenerator<A.PromptVersion> {
    return this.http.pages(at(PROMPTS, promptId, "versions"), "PromptVersionPage", query);
  }

  /** Tries a prompt on an input, without keeping either. */
  test(body: R.TestPrompt): Promise<A.TestResult> {
    return this.http.post(`${LLM}/test`, "TestResult", body, "TestPrompt", true);
  }

  /** As `test`, told as it is written: pieces, and the whole at last. */
  testStream(body: R.TestPrompt): AsyncGenerator<A.TrialDelta | A.TrialResult> {
    return answer(this.http, `${LLM}/test`, body, "TestPrompt", "TrialDelta|TrialResult", (told) => "result" in told);
  }
}

export class Content {
  constructor(readonly http: Http) {}

  generateIdea(body: R.GenerateIdea): Promise<A.Idea> {
    return this.http.post(`${LLM}/generate-idea`, "Idea", body, "GenerateIdea", true);
  }

  expandSection(sectionId: number, body: R.ExpandSection = {}): Promise<A.Expansion> {
    return this.http.post(at(`${LLM}/expand-section`, sectionId), "Expansion", body, "ExpandSection", true);
  }

  async optimizeSeo(postId: number, body: R.OptimizeSeo): Promise<A.SeoSuggestions> {
    const path = at(`${LLM}/optimize-seo`, postId);
    return (await this.http.post<A.SeoAnswer>(path, "SeoAnswer", body, "OptimizeSeo", true)).suggestions;
  }

  generateSocial(sectionId: number, body: R.GenerateSocial = {}): Promise<A.SocialAnswer> {
    return this.http.post(at(`${LLM}/generate-social`, sectionId), "!", body, "GenerateSocial", true);
  }
}

export class Posts {
  constructor(readonly http: Http) {}

  list(query: Limit = {}): AsyncGenerator<A.Post> {
    return this.http.pages(POSTS, "PostPage", query);
  }

  create(body: R.CreatePost): Promise<A.Post> {
    return this.http.post(POSTS, "Post", body, "CreatePost");
  }

  get(postId: number): Promise<A.Post> {
    return this.http.get(at(POSTS, postId), "Post");
  }

  update(postId: number, body: R.UpdatePost): Promise<A.Post> {
    return this.http.put(at(POSTS, postId), "Post", body, "UpdatePost");
  }

  delete(postId: number): Promise<A.Post> {
    return this.http.delete(at(POSTS, postId), "Post");
  }

  sections(postId: number, query: Limit = {}): AsyncGenerator<A.Section> {
    return this.http.pages(at(POSTS, postId, "sections"), "SectionPage", query);
  }

  createSection(postId: number, body: R.CreateSection): Promise<A.Section> {
    return this.http.post(at(POSTS, postId, "sections"), "Section", body, "CreateSection");
  }

  getSection(postId: number, sectionId: number): Promise<A.Section> {
    return this.http.get(at(POSTS, postId, "sections", sectionId), "Section");
  }

  updateSection(postId: number, sectionId: number, body: R.UpdateSection): Promise<A.Section> {
    return this.http.put(at(POSTS, postId, "sections", sectionId), "Section", body, "UpdateSection");
  }

  deleteSection(postId: number, sectionId: number): Promise<A.Section> {
    return this.http.delete(at(POSTS, postId, "sections", sectionId), "Section");
  }
}

export class Config {
  constructor(readonly http: Http) {}

  get(): Promise<A.Config> {
    return this.http.get(`${LLM}/config`, "Config");
  }

  update(body: R.UpdateConfig): Promise<A.ConfigUpdated> {
    return this.http.post(`${LLM}/config`, "ConfigUpdated", body, "UpdateConfig");
  }

  async models(): Promise<A.ServedModel[]> {
    return (await this.http.get<A.ModelsEnvelope>(`${LLM}/models`, "ModelsEnvelope")).data.models;
  }

  model(name: string): Promise<A.ModelSettings> {
    return this.http.get(`${at(`${LLM}/models`, ...name.split("/"))}/settings`, "ModelSettings");
  }

  updateModel(name: string, body: R.ModelSettings): Promise<A.ModelSettings> {
    return this.http.put(`${at(`${LLM}/models`, ...name.split("/"))}/settings`, "ModelSettings", body, "ModelSettings");
  }
}

export class Engines {
  constructor(readonly http: Http) {}

  list(query: Limit = {}): AsyncGenerator<A.Engine> {
    return this.http.pages(`${LLM}/engines`, "EnginePage", query);
  }

  create(body: R.CreateEngine): Promise<A.Engine> {
    return this.http.post(`${LLM}/engines`, "Engine", body, "CreateEngine");
  }

  get(engineId: number): Promise<A.Engine> {
    return this.http.get(at(`${LLM}/engines`, engineId), "Engine");
  }

  update(engineId: number, body: R.UpdateEngine): Promise<A.Engine> {
    return this.http.put(at(`${LLM}/engines`, engineId), "Engine", body, "UpdateEngine");
  }

  delete(engineId: number): Promise<A.EngineRemoved> {
    return this.http.delete(at(`${LLM}/engines`, engineId), "EngineRemoved");
  }
}

export class Usage {
  constructor(readonly http: Http) {}

  rows(query: R.UsageQuery & Limit = {}): AsyncGenerator<A.UsageRow> {
    return this.http.pages(`${LLM}/usage`, "UsagePage", query);
  }

  /** Every completion with its input and output, newest first. */
  async *interactions({ limit = Infinity, ...filters }: R.InteractionsQuery & Limit = {}): AsyncGenerator<A.KeptInteraction> {
    let cursor: string | null = null;
    for (let seen = 0; seen < limit; ) {
      const query: object = { ...filters, limit: Math.min(100, limit - seen), cursor };
      const page: A.InteractionPage = await this.http.get(`${LLM}/interactions`, "InteractionPage", query);
      yield* page.items;
      seen += page.items.length;
      cursor = page.nextCursor;
      if (!cursor || !page.items.length) return;
    }
  }

  interaction(interactionId: string): Promise<A.KeptInteraction> {
    return this.http.get(at(`${LLM}/interactions`, interactionId), "KeptInteraction");
  }
}

export class Chat {
  constructor(readonly http: Http) {}

  create(body: R.ChatRequest): Promise<A.ChatCompletion> {
    return this.http.post("/v1/chat/completions", "ChatCompletion", body, "ChatRequest", true);
  }

  /** Completes a chat, piece by piece. Throws `StreamBroken` if it breaks off: it cannot be taken up again. */
  stream(body: R.ChatRequest): AsyncGenerator<A.ChatCompletionChunk> {
    return answer(this.http, "/v1/chat/completions", { ...body, stream: true }, "ChatRequest", "ChatCompletionChunk");
  }

  complete(body: R.CompletionRequest): Promise<A.TextCompletion> {
    return this.http.post("/v1/completions", "TextCompletion", body, "CompletionRequest", true);
  }

  completeStream(body: R.CompletionRequest): AsyncGenerator<A.TextCompletion> {
    return answer(this.http, "/v1/completions", { ...body, stream: true }, "CompletionRequest", "TextCompletion");
  }

  respond(body: R.ResponsesRequest): Promise<A.ResponsesResponse> {
    return this.http.post("/v1/responses", "ResponsesResponse", body, "ResponsesRequest", true);
  }

  respondStream(body: R.ResponsesRequest): AsyncGenerator<A.ResponseEvent> {
    const isLast = ({ type }: A.ResponseEvent) => /^response\.(completed|incomplete|failed)$/.test(type);
    return answer(this.http, "/v1/responses", { ...body, stream: true }, "ResponsesRequest", "ResponseEvent", isLast);
  }

  embed(body: R.EmbeddingsRequest): Promise<A.EmbeddingList> {
    return this.http.post("/v1/embeddings", "EmbeddingList", body, "EmbeddingsRequest");
  }

  async models(): Promise<A.OpenAiModel[]> {
    return (await this.http.get<A.OpenAiModels>("/v1/models", "OpenAiModels")).data;
  }

  model(name: string): Promise<A.OpenAiModel> {
    return this.http.get(at("/v1/models", ...name.split("/")), "OpenAiModel");
  }
}
