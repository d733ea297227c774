/** Downloads that are taken up again where they broke off, and the sums that say whether what came is what was sent. */

import { ChecksumMismatch, StreamBroken } from "./errors.js";
import { passes, patience } from "./following.js";
import { pause, type Http, type Query } from "./http.js";
import { Sha256 } from "./sha256.js";

/** Told the bytes that are through, and how many there are in all, null if nobody knows. */
export type Progress = (done: number, total: number | null) => void;

export interface Transfer {
  onProgress?: Progress | undefined;
  signal?: AbortSignal | undefined;
}

/** Where something is, and the SHA-256 of the files that it holds if it is an archive, by their names. */
export interface Place {
  path: string;
  query?: Query;
  sums?: Readonly<Record<string, string>>;
}

const PIECE = 1024 * 1024;
const NOTHING_THERE = 416;

/**
 * A file as it comes: `for await` has its bytes, `blob()` all of them. Node writes it by
 * `await writeFile(path, download)`. Read to its end it is known to be what was sent, or it throws `ChecksumMismatch`.
 */
export class Download implements AsyncIterable<Uint8Array<ArrayBuffer>> {
  constructor(
    private readonly http: Http,
    private readonly place: () => Promise<Place>,
    private readonly transfer: Transfer,
  ) {}

  async blob(): Promise<Blob> {
    const parts: Uint8Array<ArrayBuffer>[] = [];
    for await (const bytes of this) parts.push(bytes);
    return new Blob(parts);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const { path, query, sums = {} } = await this.place();
    const { signal, onProgress } = this.transfer;
    const [whole, files] = [new Sha256(), new TarSums(sums)];
    let [size, total, tag, digest, isTar] = [0, null as number | null, "", "", false];
    for (let lost = 0; ; lost++) {
      try {
        const headers: Record<string, string> = { Accept: "*/*", ...(size && { Range: `bytes=${size}-`, "If-Range": tag }) };
        const response = await this.http.send("GET", path, { query, headers, signal, also: size && NOTHING_THERE });
        if (size && response.headers.get("content-range") === `bytes */${size}`) {
          // All had come, and only its end was not seen.
          await response.body?.cancel();
          break;
        }
        if (size && response.status !== 206) throw new StreamBroken("What is sent has changed meanwhile: begin anew");
        if (!size) total = length(response);
        tag = response.headers.get("etag") ?? "";
        digest = response.headers.get("repr-digest") ?? "";
        isTar = response.headers.get("content-type") === "application/x-tar";
        for await (const bytes of this.http.bytes(response, { signal })) {
          size += bytes.length;
          lost = 0;
          if (digest) whole.update(bytes);
          if (isTar) files.update(bytes);
          yield bytes;
          onProgress?.(size, total);
        }
        break;
      } catch (error) {
        if (!passes(error)) throw error;
        if (size === total) break;
        if (lost >= patience(this.http) || (size && !tag)) throw error;
      }
      await pause(lost, null, this.http.ending(signal));
    }
    if (total !== null && size !== total) throw new ChecksumMismatch(`${size} bytes have come of ${total}`);
    if (digest && digest !== `sha-256=:${btoa(String.fromCharCode(...whole.digest()))}:`) throw mismatch(path);
    if (isTar) files.end();
  }
}

/** The SHA-256 of a file, read piece by piece. */
export async function sumOf(blob: Blob, signal: AbortSignal): Promise<string> {
  const sum = new Sha256();
  for (let place = 0; place < blob.size && !signal.aborted; place += PIECE) {
    sum.update(new Uint8Array(await blob.slice(place, place + PIECE).arrayBuffer()));
  }
  return sum.hex();
}

const BLOCK = 512;
const PAX = "x";

/** Follows a tar as it comes, and compares the files in it with what is known of them. */
export class TarSums {
  readonly #header = new Uint8Array(BLOCK);
  #filled = 0;
  /** Bytes of the file that are still to come, and of what fills its last block. */
  #left = 0;
  #padding = 0;
  #name = "";
  #type = "";
  #told = "";
  #sum = new Sha256();
  readonly #decoder = new TextDecoder();
  readonly #missing: Set<string>;

  /** `sums` are by the names that files have below the one folder that they all are in. */
  constructor(readonly sums: Readonly<Record<string, string>>) {
    this.#missing = new Set(Object.keys(sums));
  }

  update(bytes: Uint8Array): void {
    for (let place = 0; place < bytes.length; ) {
      const wanted = this.#left || this.#padding || BLOCK - this.#filled;
      const part = bytes.subarray(place, place + wanted);
      place += part.length;
      if (this.#left) this.#take(part);
      else if (this.#padding) this.#padding -= part.length;
      else this.#begin(part);
    }
  }

  /** Throws `ChecksumMismatch` where a file that is known of has not come. */
  end(): void {
    for (const name of this.#missing) throw mismatch(name);
  }

  #begin(part: Uint8Array): void {
    this.#header.set(part, this.#filled);
    this.#filled = (this.#filled + part.length) % BLOCK;
    if (this.#filled || !this.#header[0]) return;
    const size = this.#said("size") ?? Number.parseInt(this.#field(124, 12), 8);
    this.#type = this.#field(156, 1);
    this.#name = this.#said("path") ?? [this.#field(345, 155), this.#field(0, 100)].filter(Boolean).join("/");
    [this.#left, this.#padding, this.#told, this.#sum] = [Number(size), -size & (BLOCK - 1), "", new Sha256()];
    if (!this.#left) this.#finish();
  }

  #take(part: Uint8Array): void {
    this.#left -= part.length;
    if (this.#type === PAX) this.#told += this.#decoder.decode(part, { stream: true });
    else this.#sum.update(part);
    if (!this.#left) this.#finish();
  }

  #finish(): void {
    if (this.#type === PAX) return;
    const name = this.#name.slice(this.#name.indexOf("/") + 1);
    const known = this.sums[name];
    if (known && known !== this.#sum.hex()) throw mismatch(name);
    this.#missing.delete(name);
  }

  #field(start: number, size: number): string {
    return new TextDecoder().decode(this.#header.subarray(start, start + size)).replace(/\0.*/s, "");
  }

  /** What the extended header before this one said, as `27 path=…`. */
  #said(key: "path" | "size"): string | undefined {
    return new RegExp(`^\\d+ ${key}=(.*)$`, "m").exec(this.#told)?.[1];
  }
}

function length(response: Response): number | null {
  const text = response.headers.get("content-length");
  return text === null ? null : Number(text);
}

function mismatch(name: string): ChecksumMismatch {
  return new ChecksumMismatch(`${name} has arrived as something else`);
}
