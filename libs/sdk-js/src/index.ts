/** The client of the LLM Platform. */

export { LLMPlatformClient } from "./client.js";
export * from "./errors.js";
export type { Options } from "./http.js";
export type { JobMessage, JobWatch, Steered } from "./jobWatch.js";
export { LogStream, type StreamMessage } from "./logStream.js";
export type { Uploadable, UploadOptions } from "./families/pipeline.js";
export type { Download, Progress, Transfer } from "./transfers.js";
export type { Patience } from "./waiting.js";
export type * as Answers from "./schemas/answers.js";
export type * as Requests from "./schemas/requests.js";
