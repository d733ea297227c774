/** Data sets, jobs, models and logs (document E). */

import { ConnectionFailed, JobFailed } from "../errors.js";
import { follow, passes, patience } from "../following.js";
import { at, bytesOf, pause, type Http } from "../http.js";
import { LogStream } from "../logStream.js";
import { fromWire, snakeCase } from "../naming.js";
import type * as A from "../schemas/answers.js";
import type * as R from "../schemas/requests.js";
import { watch } from "../socket.js";
import { sendLarge } from "../uploads.js";

const LARGE = 8 * 1024 * 1024;

type Limited<Q> = Q & { limit?: number };

/** A file: a `File` or `Blob`, or in Node the path of one. */
export type Uploadable = Blob | string;

export class Datasets {
  constructor(readonly http: Http) {}

  /** Uploads a file, and has it checked and summed up. The same content under the same name is one data set. */
  async upload(file: Uploadable, options: { format?: string; filename?: string } = {}): Promise<A.Dataset> {
    const blob = typeof file === "string" ? await openedInNode(file) : file;
    const given = typeof file === "string" ? file.split(/[\\/]/).pop() : (file as Partial<File>).name;
    const name = (options.filename ?? given ?? "upload").replace(/"/g, "%22").replace(/[\r\n]/g, " ");
    const dataset = (blob.size >= LARGE ? await this.#sendLarge(blob, name, options.format) : null) ?? (await this.#send(blob, name, options.format));
    if (dataset.sizeBytes !== blob.size) throw new ConnectionFailed(`${name} arrived as something else`);
    return dataset;
  }

  async #sendLarge(blob: Blob, name: string, format?: string): Promise<A.Dataset | null> {
    const datasetId = await sendLarge(this.http, blob, name, format);
    return datasetId === null ? null : this.get(datasetId);
  }

  /** In one go, and again where that breaks. */
  async #send(blob: Blob, name: string, chosen?: string): Promise<A.Dataset> {
    const boundary = crypto.randomUUID();
    const format = chosen
      ? `--${boundary}\r\nContent-Disposition: form-data; name="format"\r\n\r\n${chosen}\r\n`
      : "";
    const head = `${format}--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\nContent-Type: application/octet-stream\r\n\r\n`;
    const body = new Blob([head, blob, `\r\n--${boundary}--\r\n`]);
    const headers = { "Content-Type": `multipart/form-data; boundary=${boundary}` };
    return this.http.json<A.Dataset>("POST", "/api/v1/datasets/upload", "Dataset", { body, headers, once: true });
  }

  list(query: Limited<R.DatasetsQuery> = {}): AsyncGenerator<A.Dataset> {
    return this.http.pages("/api/v1/datasets", "DatasetPage", query);
  }

  get(datasetId: string): Promise<A.Dataset> {
    return this.http.get(at("/api/v1/datasets", datasetId), "Dataset");
  }

  delete(datasetId: string, query: R.DeleteDatasetsQuery = {}): Promise<A.DatasetDeleted> {
    return this.http.delete(at("/api/v1/datasets", datasetId), "DatasetDeleted", query);
  }

  lineage(datasetId: string): Promise<A.DatasetLineage> {
    return this.http.get(at("/api/v1/datasets", datasetId, "lineage"), "DatasetLineage");
  }

  preview(datasetId: string, query: { limit?: number; offset?: number } = {}): Promise<A.DatasetPreview> {
    return this.http.get(at("/api/v1/datasets", datasetId, "preview"), "DatasetPreview", query);
  }

  tokens(datasetId: string, query: R.DatasetsTokensQuery): Promise<A.TokenCounts> {
    return this.http.get(at("/api/v1/datasets", datasetId, "tokens"), "TokenCounts", query);
  }
}

export class Jobs {
  constructor(readonly http: Http) {}

  /** Submits a pipeline. Options of agents may be spelt either way, too. */
  create(job: R.SubmitJob): Promise<A.JobAccepted> {
    return this.http.post("/api/v1/jobs", "JobAccepted", spelt(job), "SubmitJob", true);
  }

  list(query: Limited<R.JobsQuery> = {}): AsyncGenerator<A.Job> {
    return this.http.pages("/api/v1/jobs", "JobPage", query);
  }

  async templates(): Promise<A.JobTemplate[]> {
    return (await this.http.get<A.JobTemplates>("/api/v1/job-templates", "JobTemplates")).templates;
  }

  get(jobId: string): Promise<A.Job> {
    return this.http.get(at("/api/v1/jobs", jobId), "Job");
  }

  cancel(jobId: string): Promise<A.JobCancelled> {
    return this.http.delete(at("/api/v1/jobs", jobId), "JobCancelled");
  }

  pause(jobId: string): Promise<A.Job> {
    return this.http.post(at("/api/v1/jobs", jobId, "pause"), "Job");
  }

  resume(jobId: string): Promise<A.Job> {
    return this.http.post(at("/api/v1/jobs", jobId, "resume"), "Job");
  }

  adjust(jobId: string, body: R.AdjustJob): Promise<A.AdjustmentAccepted> {
    return this.http.post(at("/api/v1/jobs", jobId, "adjust"), "AdjustmentAccepted", body, "AdjustJob");
  }

  retry(jobId: string, body: R.RetryJob = {}): Promise<A.JobAccepted> {
    return this.http.post(at("/api/v1/jobs", jobId, "retry"), "JobAccepted", body, "RetryJob", true);
  }

  artifacts(jobId: string, query: { limit?: number } = {}): AsyncGenerator<A.Artifact> {
    return this.http.pages(at("/api/v1/jobs", jobId, "artifacts"), "ArtifactPage", query);
  }

  /** What is told of a job over the WebSocket, to its end. */
  watch(jobId: string, options: { after?: number; signal?: AbortSignal } = {}): AsyncGenerator<JobMessage> {
    return watch(this.http, at("/ws/jobs", jobId), {}, options.after, options.signal);
  }

  /** The job once it has completed. Throws `JobFailed` if it ends otherwise. */
  async wait(jobId: string, { every = 2 }: { every?: number } = {}): Promise<A.Job> {
    for (;;) {
      const job = await this.get(jobId);
      if (job.status === "completed") return job;
      if (job.status === "failed" || job.status === "cancelled") {
        throw new JobFailed(`${jobId} is ${job.status}${job.error ? `: ${job.error.message}` : ""}`);
      }
      await new Promise((resolve) => setTimeout(resolve, every * 1000));
    }
  }
}

/** `log`, `metric` and `steering` have an `id` to go on from; `progress` and `end` have none. */
export interface JobMessage {
  type: string;
  data: Record<string, unknown>;
  id?: number;
}

const MODELS = "/api/v1/models";

export class Models {
  constructor(readonly http: Http) {}

  list(query: Limited<R.ModelsQuery> = {}): AsyncGenerator<A.ModelSummary> {
    return this.http.pages(MODELS, "ModelPage", query, "models");
  }

  get(modelId: string): Promise<A.Model> {
    return this.http.get(at(MODELS, modelId), "Model");
  }

  update(modelId: string, body: R.UpdateModel): Promise<A.Model> {
    return this.http.json("PATCH", at(MODELS, modelId), "Model", { body, kind: "UpdateModel" });
  }

  delete(modelId: string, query: R.DeleteModelsQuery = {}): Promise<A.ModelDeleted> {
    return this.http.delete(at(MODELS, modelId), "ModelDeleted", query);
  }

  card(modelId: string): Promise<string> {
    return this.http.text(at(MODELS, modelId, "card"), "text/markdown");
  }

  lineage(modelId: string): Promise<A.ModelLineage> {
    return this.http.get(at(MODELS, modelId, "lineage"), "ModelLineage");
  }

  compare(modelId: string, otherId: string): Promise<A.ModelComparison> {
    return this.http.get(at(MODELS, modelId, "compare", otherId), "ModelComparison");
  }

  deploy(modelId: string): Promise<A.ModelDeployment> {
    return this.http.post(at(MODELS, modelId, "deploy"), "ModelDeployment");
  }

  undeploy(modelId: string, body: R.UndeployModel = {}): Promise<A.ModelDeployment> {
    return this.http.post(at(MODELS, modelId, "undeploy"), "ModelDeployment", body, "UndeployModel");
  }

  setAlias(modelId: string, alias: string): Promise<A.Alias> {
    return this.http.put(at(MODELS, modelId, "aliases", alias), "Alias", {}, "");
  }

  removeAlias(modelId: string, alias: string): Promise<A.Alias> {
    return this.http.delete(at(MODELS, modelId, "aliases", alias), "Alias");
  }

  /** The bytes of an export, as they come; a connection that breaks is taken up where it was. */
  async *download(modelId: string, query: R.ModelsDownloadQuery = {}): AsyncGenerator<Uint8Array> {
    let size = 0;
    let tag = "";
    for (let lost = 0; ; lost++) {
      try {
        const headers: Record<string, string> = { Accept: "*/*", ...(size && { Range: `bytes=${size}-`, "If-Range": tag }) };
        const response = await this.http.send("GET", at(MODELS, modelId, "download"), { query, headers });
        if (size && response.status !== 206) throw new TypeError("The export has changed meanwhile: begin anew");
        tag = response.headers.get("etag") ?? "";
        for await (const bytes of bytesOf(response)) {
          size += bytes.length;
          lost = 0;
          yield bytes;
        }
        return;
      } catch (error) {
        if (!passes(error) || lost >= patience(this.http) || (size && !tag)) throw error;
      }
      await pause(lost, null);
    }
  }
}

export class Logs {
  constructor(readonly http: Http) {}

  /** Every line once, to the run's end: with handlers as an `EventSource` has them, or by `for await`. */
  stream(runId: string, { after, ...query }: R.LogsStreamQuery & { after?: number } = {}): LogStream<A.LogRecord> {
    return new LogStream(
      (signal) => follow(this.http, at("/api/v1/logs/stream", runId), { query, after, signal }),
      (data) => fromWire<A.LogRecord>(JSON.parse(data), "LogRecord"),
    );
  }

  history(runId: string, query: Limited<R.LogsHistoryQuery> & { after?: number } = {}): Promise<A.LogHistory> {
    return this.http.get(at("/api/v1/logs/history", runId), "LogHistory", query);
  }

  metrics(runId: string, query: R.LogsMetricsQuery = {}): Promise<A.RunMetrics> {
    return this.http.get(at("/api/v1/logs/metrics", runId), "RunMetrics", query);
  }
}

/** Options of agents, which the API's description does not name, in the platform's spelling. */
function spelt(job: R.SubmitJob): R.SubmitJob {
  const pipeline = job.pipelineConfig ?? (job as { pipeline_config?: R.PipelineConfig }).pipeline_config;
  if (!pipeline) return job;
  const nodes = pipeline.nodes.map((node) => (node.config ? { ...node, config: shallow(node.config) } : node));
  return { ...job, pipelineConfig: { ...pipeline, nodes } };
}

function shallow(options: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [snakeCase(name), value]));
}

async function openedInNode(path: string): Promise<Blob> {
  const name = "node:fs";
  const { openAsBlob } = (await import(/* @vite-ignore */ name)) as { openAsBlob(path: string): Promise<Blob> };
  return openAsBlob(path);
}
