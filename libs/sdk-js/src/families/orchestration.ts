/** Blocks, payloads, workflows, their runs and instances (document C), and tasks (document D). */

import { follow } from "../following.js";
import { at, type Http } from "../http.js";
import { fromWire } from "../naming.js";
import type * as A from "../schemas/answers.js";
import type * as R from "../schemas/requests.js";
import { watch } from "../socket.js";
import { waitFor, type Patience } from "../waiting.js";

type Limit = { limit?: number };

export class Blocks {
  constructor(readonly http: Http) {}

  list(query: R.BlocksQuery = {}): Promise<A.Block[]> {
    return this.http.get("/api/blocks", "Block", query);
  }

  create(body: R.CreateBlock): Promise<A.Block> {
    return this.http.post("/api/blocks", "Block", body, "CreateBlock");
  }

  get(blockId: number): Promise<A.Block> {
    return this.http.get(at("/api/blocks", blockId), "Block");
  }

  update(blockId: number, body: R.UpdateBlock): Promise<A.Block> {
    return this.http.put(at("/api/blocks", blockId), "Block", body, "UpdateBlock");
  }

  delete(blockId: number, query: R.DeleteBlocksQuery = {}): Promise<A.Told> {
    return this.http.delete(at("/api/blocks", blockId), "Told", query);
  }

  versions(blockId: number, query: Limit = {}): AsyncGenerator<A.BlockVersion> {
    return this.http.pages(at("/api/blocks", blockId, "versions"), "BlockVersionPage", query);
  }

  restore(blockId: number, version: number): Promise<A.Block> {
    return this.http.post(at("/api/blocks", blockId, "versions", version, "restore"), "Block");
  }
}

export class Payloads {
  constructor(readonly http: Http) {}

  list(query: R.PayloadsQuery = {}): Promise<A.Payload[]> {
    return this.http.get("/api/payloads", "Payload", query);
  }

  create(body: R.CreatePayload): Promise<A.SavedPayload> {
    return this.http.post("/api/payloads", "SavedPayload", body, "CreatePayload");
  }

  get(payloadId: number): Promise<A.Payload> {
    return this.http.get(at("/api/payloads", payloadId), "Payload");
  }

  update(payloadId: number, body: R.UpdatePayload): Promise<A.SavedPayload> {
    return this.http.put(at("/api/payloads", payloadId), "SavedPayload", body, "UpdatePayload");
  }

  delete(payloadId: number, query: R.DeletePayloadsQuery = {}): Promise<A.Told> {
    return this.http.delete(at("/api/payloads", payloadId), "Told", query);
  }

  versions(payloadId: number, query: Limit = {}): AsyncGenerator<A.PayloadVersion> {
    return this.http.pages(at("/api/payloads", payloadId, "versions"), "PayloadVersionPage", query);
  }

  restore(payloadId: number, version: number): Promise<A.SavedPayload> {
    return this.http.post(at("/api/payloads", payloadId, "versions", version, "restore"), "SavedPayload");
  }

  preview(payloadId: number, body: R.PreviewPayload = {}): Promise<A.PayloadPreview> {
    return this.http.post(at("/api/payloads", payloadId, "preview"), "PayloadPreview", body, "PreviewPayload");
  }
}

const WORKFLOWS = "/api/workflows";

export class Workflows {
  constructor(readonly http: Http) {}

  list(query: R.WorkflowsQuery = {}): Promise<A.Workflow[]> {
    return this.http.get(WORKFLOWS, "Workflow", query);
  }

  create(body: R.CreateWorkflow): Promise<A.SavedWorkflow> {
    return this.http.post(WORKFLOWS, "SavedWorkflow", body, "CreateWorkflow");
  }

  get(workflowId: number): Promise<A.Workflow> {
    return this.http.get(at(WORKFLOWS, workflowId), "Workflow");
  }

  update(workflowId: number, body: R.UpdateWorkflow): Promise<A.SavedWorkflow> {
    return this.http.put(at(WORKFLOWS, workflowId), "SavedWorkflow", body, "UpdateWorkflow");
  }

  delete(workflowId: number): Promise<A.Told> {
    return this.http.delete(at(WORKFLOWS, workflowId), "Told");
  }

  versions(workflowId: number, query: Limit = {}): AsyncGenerator<A.WorkflowVersion> {
    return this.http.pages(at(WORKFLOWS, workflowId, "versions"), "WorkflowVersionPage", query);
  }

  restore(workflowId: number, version: number): Promise<A.SavedWorkflow> {
    return this.http.post(at(WORKFLOWS, workflowId, "versions", version, "restore"), "SavedWorkflow");
  }

  export(workflowId: number): Promise<A.WorkflowDocument> {
    return this.http.get(at(WORKFLOWS, workflowId, "export"), "WorkflowDocument");
  }

  importDocument(document: A.WorkflowDocument | R.WorkflowDocument): Promise<A.SavedWorkflow> {
    return this.http.post(`${WORKFLOWS}/import`, "SavedWorkflow", document, "WorkflowDocument");
  }

  /** Starts a run, and answers at once: `client.runs` has what becomes of it. */
  execute(workflowId: number, inputs: Record<string, unknown> = {}): Promise<A.ExecutionStarted> {
    return this.http.post(at("/api/execute/workflow", workflowId), "ExecutionStarted", { inputs }, "ExecuteWorkflow", true);
  }

  schedules(workflowId: number, query: Limit = {}): AsyncGenerator<A.Schedule> {
    return this.http.pages(at(WORKFLOWS, workflowId, "schedules"), "SchedulePage", query);
  }

  createSchedule(workflowId: number, body: R.CreateSchedule): Promise<A.Schedule> {
    return this.http.post(at(WORKFLOWS, workflowId, "schedules"), "Schedule", body, "CreateSchedule");
  }

  getSchedule(workflowId: number, scheduleId: number): Promise<A.Schedule> {
    return this.http.get(at(WORKFLOWS, workflowId, "schedules", scheduleId), "Schedule");
  }

  updateSchedule(workflowId: number, scheduleId: number, body: R.UpdateSchedule): Promise<A.Schedule> {
    return this.http.put(at(WORKFLOWS, workflowId, "schedules", scheduleId), "Schedule", body, "UpdateSchedule");
  }

  deleteSchedule(workflowId: number, scheduleId: number): Promise<A.ScheduleDeleted> {
    return this.http.delete(at(WORKFLOWS, workflowId, "schedules", scheduleId), "ScheduleDeleted");
  }

  webhooks(workflowId: number, query: Limit = {}): AsyncGenerator<A.Webhook> {
    return this.http.pages(at(WORKFLOWS, workflowId, "webhooks"), "WebhookPage", query);
  }

  createWebhook(workflowId: number, body: R.CreateWebhook): Promise<A.CreatedWebhook> {
    return this.http.post(at(WORKFLOWS, workflowId, "webhooks"), "CreatedWebhook", body, "CreateWebhook");
  }

  getWebhook(workflowId: number, webhookId: number): Promise<A.Webhook> {
    return this.http.get(at(WORKFLOWS, workflowId, "webhooks", webhookId), "Webhook");
  }

  updateWebhook(workflowId: number, webhookId: number, body: R.UpdateWebhook): Promise<A.Webhook> {
    return this.http.put(at(WORKFLOWS, workflowId, "webhooks", webhookId), "Webhook", body, "UpdateWebhook");
  }

  deleteWebhook(workflowId: number, webhookId: number): Promise<A.WebhookDeleted> {
    return this.http.delete(at(WORKFLOWS, workflowId, "webhooks", webhookId), "WebhookDeleted");
  }
}

export class Runs {
  constructor(readonly http: Http) {}

  list(query: R.RunsQuery & Limit = {}): Promise<A.WorkflowRun[]> {
    return this.http.get("/api/runs", "WorkflowRun", query);
  }

  get(runId: number): Promise<A.WorkflowRunWithInputs> {
    return this.http.get(at("/api/runs", runId), "WorkflowRunWithInputs");
  }

  /** A run with its responses. */
  status(runId: number): Promise<A.RunWithResponses> {
    return this.http.get(at("/api/execute/run", runId), "RunWithResponses");
  }

  responses(runId: number): Promise<A.RunResponse[]> {
    return this.http.get(at("/api/runs", runId, "responses"), "RunResponse");
  }

  items(runId: number, query: R.RunsItemsQuery & Limit = {}): AsyncGenerator<A.RunItem> {
    return this.http.pages(at("/api/runs", runId, "items"), "RunItemPage", query);
  }

  /** The run once it has ended, however it did. Throws `TimedOut` after `timeout` seconds, 600 if not given. */
  wait(runId: number, patience: Patience = {}): Promise<A.RunWithResponses> {
    const asked = { every: 0.5, timeout: 600, ...patience };
    return waitFor(this.http, () => this.status(runId), ({ status }) => !/^(running|paused)$/.test(status), asked);
  }

  /** What a run tells, to its end, over any number of connections. */
  async *follow(runId: number, options: { after?: number; signal?: AbortSignal } = {}): AsyncGenerator<A.RunEvent> {
    for await (const event of follow(this.http, at("/api/runs", runId, "events"), options)) {
      yield fromWire<A.RunEvent>(JSON.parse(event.data), "RunEvent");
    }
  }

  delete(runId: number): Promise<A.RunDeleted> {
    return this.http.delete(at("/api/runs", runId), "RunDeleted");
  }

  cancel(runId: number): Promise<A.WorkflowRun> {
    return this.http.post(at("/api/runs", runId, "cancel"), "WorkflowRun");
  }

  pause(runId: number): Promise<A.WorkflowRun> {
    return this.http.post(at("/api/runs", runId, "pause"), "WorkflowRun");
  }

  resume(runId: number): Promise<A.WorkflowRun> {
    return this.http.post(at("/api/runs", runId, "resume"), "WorkflowRun");
  }

  approve(runId: number, body: R.AnswerApproval = {}): Promise<A.WorkflowRun> {
    return this.http.post(at("/api/runs", runId, "approve"), "WorkflowRun", body, "AnswerApproval");
  }

  reject(runId: number, body: R.RejectPayload = {}): Promise<A.WorkflowRun> {
    return this.http.post(at("/api/runs", runId, "reject"), "WorkflowRun", body, "RejectPayload");
  }

  rerun(runId: number, body: R.RerunWorkflow = {}): Promise<A.ExecutionStarted> {
    return this.http.post(at("/api/runs", runId, "rerun"), "ExecutionStarted", body, "RerunWorkflow", true);
  }

  fork(runId: number, body: R.ForkWorkflow = {}): Promise<A.ExecutionStarted> {
    return this.http.post(at("/api/runs", runId, "fork"), "ExecutionStarted", body, "ForkWorkflow", true);
  }

  compare(runId: number, otherId: number): Promise<A.Comparison> {
    return this.http.get(at("/api/runs", runId, "compare", otherId), "Comparison");
  }
}

export class Events {
  constructor(readonly http: Http) {}

  /**
   * What the caller's runs tell over the WebSocket, or one run, each message once, over any number of connections.
   * Without `after` (an id, 0 for none) messages are those from now on. It has no end: `break`, or abort the signal.
   */
  async *watch({ runId, after, signal }: { runId?: number; after?: number; signal?: AbortSignal } = {}): AsyncGenerator<A.RunEvent> {
    const query: Record<string, string> = runId === undefined ? {} : { run_id: String(runId) };
    for await (const told of watch(this.http, "/ws", { query, after, signal })) yield fromWire<A.RunEvent>(told, "RunEvent");
  }

  /** Opens one stream, for a page that can send no key. */
  ticket(): Promise<A.IssuedTicket> {
    return this.http.post("/api/v1/tickets", "IssuedTicket");
  }
}

export class Instances {
  constructor(readonly http: Http) {}

  list(): Promise<A.InstanceView[]> {
    return this.http.get("/api/llm/instances", "InstanceView");
  }

  create(body: R.CreateInstance): Promise<A.InstanceView> {
    return this.http.post("/api/llm/instances", "InstanceView", body, "CreateInstance");
  }

  get(port: number): Promise<A.InstanceView> {
    return this.http.get(at("/api/llm/instances", port), "InstanceView");
  }

  update(port: number, body: R.UpdateInstance): Promise<A.InstanceView> {
    return this.http.put(at("/api/llm/instances", port), "InstanceView", body, "UpdateInstance");
  }

  delete(port: number): Promise<A.Told> {
    return this.http.delete(at("/api/llm/instances", port), "Told");
  }

  test(port: number): Promise<A.ConnectivityView> {
    return this.http.get(at("/api/llm/test", port), "Connected|NotConnected");
  }

  info(port: number): Promise<A.InstanceInfoView> {
    return this.http.get(at("/api/llm/info", port), "InstanceInfoView");
  }
}

export class Tasks {
  constructor(readonly http: Http) {}

  create(body: R.CreateTask): Promise<A.Task> {
    return this.http.post("/api/v1/tasks", "Task", body, "CreateTask", true);
  }

  list(query: R.TasksQuery & Limit = {}): AsyncGenerator<A.TaskSummary> {
    return this.http.pages("/api/v1/tasks", "TaskPage", query);
  }

  get(taskId: string): Promise<A.Task> {
    return this.http.get(at("/api/v1/tasks", taskId), "Task");
  }

  cancel(taskId: string): Promise<A.Task> {
    return this.http.delete(at("/api/v1/tasks", taskId), "Task");
  }

  /** The task once it has ended, however it did. Throws `TimedOut` after `timeout` seconds, 600 if not given. */
  wait(taskId: string, patience: Patience = {}): Promise<A.Task> {
    const asked = { every: 0.5, timeout: 600, ...patience };
    return waitFor(this.http, () => this.get(taskId), ({ status }) => !/^(Planned|Processing)$/.test(status), asked);
  }
}

/** `client.profiles` says how tasks are done, `client.roles` who does them: system prompts by their names. */
export class Personas {
  constructor(
    readonly http: Http,
    readonly base: string,
  ) {}

  list(query: Limit = {}): AsyncGenerator<A.Persona> {
    return this.http.pages(this.base, "PersonaPage", query);
  }

  get(name: string): Promise<A.Persona> {
    return this.http.get(at(this.base, name), "Persona");
  }

  put(name: string, body: R.PutPersona): Promise<A.Persona> {
    return this.http.put(at(this.base, name), "Persona", body, "PutPersona");
  }

  delete(name: string): Promise<A.Persona> {
    return this.http.delete(at(this.base, name), "Persona");
  }
}
