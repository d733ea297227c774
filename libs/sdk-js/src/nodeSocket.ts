/** A WebSocket for Node 20, which has none of its own: what is needed to listen, and for a short word (RFC 6455). */

import { ConnectionFailed, refusal } from "./errors.js";
import { Line } from "./socket.js";

const TEXT = 0x1;
const CLOSE = 0x8;
const PING = 0x9;
const PONG = 0xa;
const LONGEST = 64 * 1024 * 1024;
/** Milliseconds; the platform pings far sooner. */
const SILENCE = 90_000;

/** What of `node:http` is used; the SDK is built without Node's types, which browsers have no use for. */
interface Stream {
  on(event: string, listener: (...data: never[]) => void): void;
  write(data: Uint8Array): void;
  destroy(error?: Error): void;
  setTimeout(milliseconds: number, listener: () => void): void;
}
interface Answered extends Stream {
  statusCode: number;
  headers: Record<string, string>;
}
interface Requests {
  get(url: string, options: object): Stream & { end(): void };
}

/**
 * Opens one with these headers. Throws `ApiError` where it is refused, `ConnectionFailed` where nobody answers, or the
 * signal ends it.
 */
export async function dialInNode(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<Line> {
  const name = url.startsWith("https") ? "node:https" : "node:http";
  const { get } = (await import(/* @vite-ignore */ name)) as Requests;
  const key = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))));
  const handshake = { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key };
  return new Promise((resolve, reject) => {
    const request = get(url, { headers: { ...headers, ...handshake }, signal });
    request.on("upgrade", (_: unknown, stream: Stream, head: Uint8Array) => resolve(listen(stream, head)));
    request.on("response", (answered: Answered) => void refused(answered).then(reject));
    request.on("error", (error: Error) => reject(new ConnectionFailed(`The WebSocket cannot be opened: ${error.message}`)));
  });
}

async function refused(answered: Answered): Promise<Error> {
  const text: string[] = [];
  await new Promise<void>((resolve) => {
    answered.on("data", (data: Uint8Array) => text.push(new TextDecoder().decode(data)));
    answered.on("end", () => resolve());
    answered.on("error", () => resolve());
  });
  const headers = Object.entries(answered.headers).filter(([name]) => ["retry-after", "x-request-id"].includes(name));
  return refusal(new Response(text.join(""), { status: answered.statusCode, headers }));
}

function listen(stream: Stream, head: Uint8Array): Line {
  let pieces: Uint8Array[] = [head];
  let missing = 0;
  let parts: Uint8Array[] = [];
  let isClosed = false;
  const close = () => {
    if (!isClosed) stream.write(frame(CLOSE, new Uint8Array([0x03, 0xe8])));
    isClosed = true;
    stream.destroy();
  };
  const line = new Line(close, (text) => stream.write(frame(TEXT, new TextEncoder().encode(text))));
  const end = (code: number, reason: string) => {
    if (isClosed) return;
    isClosed = true;
    line.end({ code, reason });
    stream.destroy();
  };
  const take = ({ opcode, isFinal, payload }: Frame) => {
    if (opcode === PING) stream.write(frame(PONG, payload));
    else if (opcode === CLOSE) {
      const code = payload.length >= 2 ? (payload[0]! << 8) | payload[1]! : 1005;
      end(code, new TextDecoder().decode(payload.subarray(2)));
    } else if (opcode <= TEXT) {
      parts.push(payload);
      if (!isFinal) return;
      line.put(new TextDecoder().decode(joined(parts)));
      parts = [];
    }
  };
  const read = (data: Uint8Array) => {
    pieces.push(data);
    missing -= data.length;
    if (missing > 0) return;
    let rest = joined(pieces);
    let found = cut(rest);
    for (; typeof found !== "number" && !isClosed; found = cut(rest)) {
      rest = rest.subarray(found.size);
      take(found);
    }
    pieces = [rest];
    missing = Number(found) - rest.length;
    if (missing > LONGEST) end(1009, "A message is too long");
  };
  stream.on("data", read);
  stream.on("close", () => end(1006, "The connection was lost"));
  stream.on("error", () => end(1006, "The connection was lost"));
  stream.setTimeout(SILENCE, () => end(1006, "Nothing was heard for too long"));
  read(new Uint8Array());
  return line;
}

interface Frame {
  opcode: number;
  isFinal: boolean;
  payload: Uint8Array;
  size: number;
}

/** The first frame, or how many bytes it takes where it is not all there. A server's frames are not masked. */
function cut(bytes: Uint8Array): Frame | number {
  if (bytes.length < 2) return 2;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let length = bytes[1]! & 0x7f;
  let start = 2;
  if (length === 126) {
    if (bytes.length < 4) return 4;
    [length, start] = [view.getUint16(2), 4];
  } else if (length === 127) {
    if (bytes.length < 10) return 10;
    [length, start] = [Number(view.getBigUint64(2)), 10];
  }
  const size = start + length;
  if (bytes.length < size) return size;
  return { opcode: bytes[0]! & 0x0f, isFinal: (bytes[0]! & 0x80) !== 0, payload: bytes.slice(start, size), size };
}

/** A client's frame, masked as it must be; of less than 64 KiB. */
function frame(opcode: number, payload: Uint8Array): Uint8Array {
  const size = payload.length;
  const length = size < 126 ? [0x80 | size] : [0x80 | 126, size >> 8, size & 0xff];
  const mask = crypto.getRandomValues(new Uint8Array(4));
  const masked = payload.map((byte, index) => byte ^ mask[index % 4]!);
  return joined([new Uint8Array([0x80 | opcode, ...length]), mask, masked]);
}

function joined(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.length;
  }
  return whole;
}
