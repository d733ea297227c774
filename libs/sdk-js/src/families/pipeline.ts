/** Data sets, jobs, models and logs (document E). */

import { ChecksumMismatch, JobFailed } from "../errors.js";
import { follow } from "../following.js";
import { at, unique, type Http } from "../http.js";
import { JobWatch } from "../jobWatch.js";
import { LogStream } from "../logStream.js";
import { fromWire, snakeCase } from "../naming.js";
import type * as A from "../schemas/answers.js";
import type * as R from "../schemas/requests.js";
import { Download, sumOf, type Transfer } from "../transfers.js";
import { sendLarge } from "../uploads.js";
import { waitFor, type Patience } from "../waiting.js";

/** Bytes from which on an upload goes in pieces: where somebody wants to know how far it is, and else. */
const WATCHED = 1024 * 1024;
const LARGE = 8 * WATCHED;

type Limited<Q> = Q & { limit?: number };

/** A file: a `File` or `Blob`, or in Node the path of one. */
export type Uploadable = Blob | string;

interface Described {
  filename: string;
  format?: string;
}

export type UploadOptions = Partial<Described> & Transfer;

export class Datasets {
  constructor(readonly http: Http) {}

  /**
   * Uploads a file, and has it checked and summed up; the same content under the same name is one data set. Throws
   * `ChecksumMismatch` where what arrived has another SHA-256.
   */
  async upload(file: Uploadable, options: UploadOptions = {}): Promise<A.Dataset> {
    const blob = typeof file === "string" ? await openedInNode(file) : file;
    const given = typeof file === "string" ? file.split(/[\\/]/).pop() : (file as Partial<File>).name;
    const { filename = given ?? "upload", format, ...transfer } = options;
    const told = { filename, ...(format ? { format } : {}) };
    const stop = new AbortController();
    try {
      const [dataset, sum] = await Promise.all([this.#sent(blob, told, transfer), sumOf(blob, stop.signal)]);
      if (dataset.sha256 === sum) return dataset;
      throw new ChecksumMismatch(`${filename} arrived as something else: ${dataset.datasetId} must not be used`);
    } finally {
      stop.abort();
    }
  }

  /** A small file in one go, again where that breaks; a large one piece by piece. */
  async #sent(blob: Blob, told: Described, transfer: Transfer): Promise<A.Dataset> {
    if (blob.size >= (transfer.onProgress ? WATCHED : LARGE)) {
      const datasetId = await sendLarge(this.http, blob, { ...told }, transfer);
      if (datasetId) return this.get(datasetId);
    }
    const boundary = unique();
    const name = told.filename.replace(/"/g, "%22").replace(/[\r\n]/g, " ");
    const format = told.format
      ? `--${boundary}\r\nContent-Disposition: form-data; name="format"\r\n\r\n${told.format}\r\n`
      : "";
    const head = `${format}--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\nContent-Type: application/octet-stream\r\n\r\n`;
    const body = new Blob([head, blob, `\r\n--${boundary}--\r\n`]);
    const headers = { "Content-Type": `multipart/form-data; boundary=${boundary}` };
    const asked = { body, headers, once: true, signal: transfer.signal };
    const dataset = await this.http.json<A.Dataset>("POST", "/api/v1/datasets/upload", "Dataset", asked);
    transfer.onProgress?.(blob.size, blob.size);
    return dataset;
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

  /** Deletes a job that has ended, with its log and all that only it needs; models and other jobs keep theirs. */
  delete(jobId: string): Promise<A.JobDeleted> {
    return this.http.delete(at("/api/v1/jobs", jobId), "JobDeleted", { purge: true });
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

  /** Downloads one of them. */
  downloadArtifact(jobId: string, name: string, transfer: Transfer = {}): Download {
    const path = at("/api/v1/jobs", jobId, "artifacts", ...name.split("/"));
    return new Download(this.http, async () => ({ path }), transfer);
  }

  /** What is told of a job over the WebSocket, to its end; its `pause`, `resume`, `cancel` and `adjust` go the same way. */
  watch(jobId: string, options: { after?: number; signal?: AbortSignal } = {}): JobWatch {
    return new JobWatch(this.http, this, jobId, options);
  }

  /** The job once it has completed. Throws `JobFailed` if it ends otherwise, `TimedOut` in the end. */
  async wait(jobId: string, patience: Patience = {}): Promise<A.Job> {
    const job = await waitFor(this.http, () => this.get(jobId), ({ status }) => !GOES_ON.has(status), patience);
    if (job.status === "completed") return job;
    throw new JobFailed(`${jobId} is ${job.status}${job.error ? `: ${job.error.message}` : ""}`);
  }
}

const GOES_ON = new Set(["pending", "running", "paused"]);
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

  /** How its loss went in training, drawn as SVG. */
  lossCurve(modelId: string): Promise<string> {
    return this.http.text(at(MODELS, modelId, "loss.svg"), "image/svg+xml");
  }

  /** Downloads an export (`adapter`, `merged` or `gguf`). A connection that breaks is taken up where it was. */
  download(modelId: string, { onProgress, signal, ...query }: DownloadQuery & Transfer = {}): Download {
    const place = async () => {
      // By its id from here on: a name may be another model's meanwhile.
      const model = await this.get(modelId);
      const files = (model.files ?? []).filter(({ format }) => format === (query.format ?? "adapter"));
      const sums = Object.fromEntries(files.map(({ name, sha256 }) => [name, sha256]));
      return { path: at(MODELS, model.modelId, "download"), query, sums };
    };
    return new Download(this.http, place, { onProgress, signal });
  }
}

type DownloadQuery = Omit<R.ModelsDownloadQuery, "presigned">;

type HistoryQuery = Limited<R.LogsHistoryQuery> & { after?: number };

export class Logs {
  constructor(readonly http: Http) {}

  /** Every line once, to the run's end: with handlers as an `EventSource` has them, or by `for await`. */
  stream(runId: string, { after, ...query }: R.LogsStreamQuery & { after?: number } = {}): LogStream<A.LogRecord> {
    return new LogStream(
      (signal) => follow(this.http, at("/api/v1/logs/stream", runId), { query, after, signal }),
      (data) => fromWire<A.LogRecord>(JSON.parse(data), "LogRecord"),
    );
  }

  /** What is kept, oldest first, or newest first with `order: "desc"`; at most `limit` lines. */
  async *history(runId: string, { limit = Infinity, ...given }: HistoryQuery = {}): AsyncGenerator<A.LogRecord> {
    const query: HistoryQuery = { after: 0, ...given };
    for (let seen = 0; seen < limit; ) {
      const size = Math.min(1000, limit - seen);
      const path = at("/api/v1/logs/history", runId);
      const page: A.LogHistory = await this.http.get(path, "LogHistory", { ...query, limit: size });
      yield* page.logs;
      seen += page.logs.length;
      if (!page.hasMore || page.lastSequence === null) return;
      query[query.order === "desc" ? "before" : "after"] = page.lastSequence;
    }
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
