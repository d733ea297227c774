/** Uploads that go on where they broke off, by tus 1.0 (https://tus.io/protocols/resumable-upload). */

import { ApiError, Conflict, InvalidRequest } from "./errors.js";
import { passes, patience } from "./following.js";
import { at, pause, type Http } from "./http.js";

const BASE = "/api/v1/datasets/uploads";
const VERSION = { "Tus-Resumable": "1.0.0" };
const MEDIA = "application/offset+octet-stream";

interface State {
  uploadId: string;
  offset: number;
  datasetId: string | null;
  error: string | null;
}

/** The id of the data set that the file became; null where the platform takes no such uploads. */
export async function sendLarge(http: Http, blob: Blob, name: string, format?: string): Promise<string | null> {
  const path = await begun(http, blob, { filename: name, ...(format ? { format } : {}) });
  if (path === null) return null;
  for (let offset = 0, lost = 0; ; ) {
    try {
      const headers = { ...VERSION, "Content-Type": MEDIA, "Upload-Offset": String(offset) };
      const sent = await http.send("PATCH", path, { headers, body: blob.slice(offset) });
      return sent.headers.get("location")?.split("/").pop() ?? null;
    } catch (error) {
      // A conflict: there is more, or less, than was thought.
      if (!(passes(error) || error instanceof Conflict) || lost >= patience(http)) throw error;
    }
    await pause(lost, null);
    const state = await http.get<State>(path, "");
    if (state.datasetId) return state.datasetId;
    if (state.error) throw new InvalidRequest(400, "DATASET_ERROR", state.error);
    lost = state.offset > offset ? 0 : lost + 1;
    offset = state.offset;
  }
}

async function begun(http: Http, blob: Blob, told: Record<string, string>): Promise<string | null> {
  const pairs = Object.entries(told).map(([name, value]) => `${name} ${btoa(String.fromCharCode(...new TextEncoder().encode(value)))}`);
  const headers = { ...VERSION, "Upload-Length": String(blob.size), "Upload-Metadata": pairs.join(",") };
  try {
    return at(BASE, (await http.json<State>("POST", BASE, "", { headers, once: true })).uploadId);
  } catch (error) {
    if (error instanceof ApiError && (error.status === 404 || error.status === 405)) return null;
    throw error;
  }
}
