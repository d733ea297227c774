/** A job as it is watched, and steered over the same connection. */

import { at, type Http } from "./http.js";
import { fromWire, toWire } from "./naming.js";
import type * as A from "./schemas/answers.js";
import type * as R from "./schemas/requests.js";
import { watch, type Line } from "./socket.js";

/** Those with an `id` can be gone on from. */
export type JobMessage =
  | { type: "log" | "metric" | "steering"; id: number; data: A.LogRecord }
  | { type: "progress"; id?: undefined; data: Pick<A.Job, "jobId" | "status" | "progress"> }
  | { type: "end"; id?: undefined; data: Pick<A.Job, "runId" | "status"> };

export type Steered = Pick<A.Job, "jobId" | "status">;

/** What else can be done to a job, where no connection is open. */
interface Steering {
  pause(jobId: string): Promise<Steered>;
  resume(jobId: string): Promise<Steered>;
  cancel(jobId: string): Promise<Steered>;
  adjust(jobId: string, body: R.AdjustJob): Promise<A.AdjustmentAccepted>;
}

/**
 * What is told of a job: its log, its progress, and who steers it; `for await` has each message once, to the job's end.
 * Meanwhile it can be steered: that it is paused is told to all who watch.
 */
export class JobWatch implements AsyncIterable<JobMessage> {
  #line: Line | null = null;

  constructor(
    private readonly http: Http,
    private readonly jobs: Steering,
    readonly jobId: string,
    private readonly options: { after?: number; signal?: AbortSignal },
  ) {}

  async *[Symbol.asyncIterator](): AsyncGenerator<JobMessage> {
    const onLine = (line: Line | null) => void (this.#line = line);
    for await (const message of watch<JobMessage>(this.http, at("/ws/jobs", this.jobId), { ...this.options, onLine })) {
      const kind = message.type === "progress" ? "Job" : "LogRecord";
      yield { ...message, data: fromWire(message.data, kind) } as JobMessage;
    }
  }

  /** What trains keeps a checkpoint and stops. */
  pause(): Promise<Steered> {
    return this.#say({ action: "pause" }) ?? this.jobs.pause(this.jobId);
  }

  resume(): Promise<Steered> {
    return this.#say({ action: "resume" }) ?? this.jobs.resume(this.jobId);
  }

  cancel(): Promise<Steered> {
    return this.#say({ action: "cancel" }) ?? this.jobs.cancel(this.jobId);
  }

  /** Changes the learning rate; the record of the log with this number as its `adjustment` says when it takes effect. */
  adjust(body: R.AdjustJob): Promise<A.AdjustmentAccepted> {
    return this.#say<A.AdjustmentAccepted>({ action: "adjust", ...body }) ?? this.jobs.adjust(this.jobId, body);
  }

  /** Null where no connection is open. */
  #say<T = Steered>(command: object): Promise<T> | null {
    return this.#line && this.#line.ask(toWire(command, "") as object).then((data) => fromWire<T>(data, ""));
  }
}
