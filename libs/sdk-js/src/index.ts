/** The client of the LLM Platform. */

export { LLMPlatformClient } from "./client.js";
export * from "./errors.js";
export type { Options } from "./http.js";
export { LogStream, type StreamMessage } from "./logStream.js";
export type { JobMessage, Uploadable } from "./families/pipeline.js";
export type * as Answers from "./schemas/answers.js";
export type * as Requests from "./schemas/requests.js";
