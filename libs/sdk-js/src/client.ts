/** The client: every family of calls, over one address. */

import { Keys, Platform, Users } from "./families/administration.js";
import { Actions, Chat, Config, Content, Engines, Posts, Prompts, Usage } from "./families/llm.js";
import { Blocks, Events, Instances, Payloads, Personas, Runs, Tasks, Workflows } from "./families/orchestration.js";
import { Datasets, Jobs, Logs, Models } from "./families/pipeline.js";
import { Http, type Options } from "./http.js";

export class LLMPlatformClient {
  readonly actions: Actions;
  readonly prompts: Prompts;
  readonly content: Content;
  readonly posts: Posts;
  readonly config: Config;
  readonly engines: Engines;
  readonly blocks: Blocks;
  readonly payloads: Payloads;
  readonly workflows: Workflows;
  readonly runs: Runs;
  readonly instances: Instances;
  readonly events: Events;
  readonly tasks: Tasks;
  readonly profiles: Personas;
  readonly roles: Personas;
  readonly jobs: Jobs;
  readonly datasets: Datasets;
  readonly models: Models;
  readonly logs: Logs;
  readonly chat: Chat;
  readonly usage: Usage;
  readonly keys: Keys;
  readonly users: Users;
  readonly platform: Platform;

  readonly #options: Options;

  constructor(options: Options = {}) {
    this.#options = options;
    const http = new Http(options);
    this.actions = new Actions(http);
    this.prompts = new Prompts(http);
    this.content = new Content(http);
    this.posts = new Posts(http);
    this.config = new Config(http);
    this.engines = new Engines(http);
    this.blocks = new Blocks(http);
    this.payloads = new Payloads(http);
    this.workflows = new Workflows(http);
    this.runs = new Runs(http);
    this.instances = new Instances(http);
    this.events = new Events(http);
    this.tasks = new Tasks(http);
    this.profiles = new Personas(http, "/api/v1/profiles");
    this.roles = new Personas(http, "/api/v1/roles");
    this.jobs = new Jobs(http);
    this.datasets = new Datasets(http);
    this.models = new Models(http);
    this.logs = new Logs(http);
    this.chat = new Chat(http);
    this.usage = new Usage(http);
    this.keys = new Keys(http);
    this.users = new Users(http);
    this.platform = new Platform(http);
  }

  /** The same client with some options changed: `client.withOptions({ signal })` has calls that can be aborted. */
  withOptions(options: Options): LLMPlatformClient {
    return new LLMPlatformClient({ ...this.#options, ...options });
  }
}
