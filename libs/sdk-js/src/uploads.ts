/** Uploads that go on where they broke off, by tus 1.0 (https://tus.io/protocols/resumable-upload). */

import { ApiError, Conflict, InvalidRequest } from "./errors.js";
import { passes, patience } from "./following.js";
import { at, pause, type Http } from "./http.js";
import type { Transfer } from "./transfers.js";
import { waitFor } from "./waiting.js";

const BASE = "/api/v1/datasets/uploads";
const VERSION = { "Tus-Resumable": "1.0.0" };
const MEDIA = "application/offset+octet-stream";

const LEAST = 1024 * 1024;
const MOST = 64 * LEAST;
/** Seconds; a platform takes up what its dead left within four minutes, and again four minutes later. */
const ENTERED_IN = 600;

interface State {
  uploadId: string;
  offset: number;
  status: string;
  datasetId: string | null;
  error: string | null;
}

/**
 * The id of the data set that the file became; null where the platform takes no such uploads. It goes in pieces of
 * about a second each, as `fetch` does not tell how far a body is.
 */
export async function sendLarge(
  http: Http,
  blob: Blob,
  told: Record<string, string>,
  { onProgress, signal }: Transfer,
): Promise<string | null> {
  const path = await begun(http, blob, told, signal);
  if (path === null) return null;
  const retries = patience(http);
  let size = LEAST;
  for (let offset = 0, lost = 0; ; ) {
    const started = performance.now();
    const piece = blob.slice(offset, offset + size);
    try {
      const headers = { ...VERSION, "Content-Type": MEDIA, "Upload-Offset": String(offset) };
      const sent = await http.send("PATCH", path, { headers, body: piece, signal, retries });
      const became = sent.headers.get("location")?.split("/").pop();
      offset += piece.size;
      onProgress?.(offset, blob.size);
      if (became) return became;
      lost = 0;
      size = paced(size, performance.now() - started);
      continue;
    } catch (error) {
      // A conflict: there is more, or less, than was thought.
      if (!(passes(error) || error instanceof Conflict) || lost >= retries) throw error;
    }
    await pause(lost, null, http.ending(signal));
    const look = () => http.json<State>("GET", path, "", { signal, retries });
    // One that is whole nobody can add to: the platform goes on with it.
    const state = await waitFor(http, look, ({ status }) => status !== "stored", { timeout: ENTERED_IN, signal });
    if (state.datasetId) return state.datasetId;
    if (state.error) throw new InvalidRequest(400, "DATASET_ERROR", state.error);
    lost = state.offset > offset ? 0 : lost + 1;
    offset = state.offset;
  }
}

function paced(size: number, milliseconds: number): number {
  if (milliseconds < 1000) return Math.min(2 * size, MOST);
  return milliseconds > 4000 ? Math.max(size / 2, LEAST) : size;
}

async function begun(http: Http, blob: Blob, told: Record<string, string>, signal?: AbortSignal): Promise<string | null> {
  const pairs = Object.entries(told).map(([name, value]) => `${name} ${btoa(String.fromCharCode(...new TextEncoder().encode(value)))}`);
  const headers = { ...VERSION, "Upload-Length": String(blob.size), "Upload-Metadata": pairs.join(",") };
  try {
    return at(BASE, (await http.json<State>("POST", BASE, "", { headers, signal, once: true })).uploadId);
  } catch (error) {
    if (error instanceof ApiError && (error.status === 404 || error.status === 405)) return null;
    throw error;
  }
}
