/** Server-sent events, from bytes as they come. */

export interface ServerSent {
  event: string;
  data: string;
  id: string | null;
}

/** Cuts a stream into its events. What has no end yet is kept for later. */
export class EventReader {
  #decoder = new TextDecoder();
  #rest = "";
  #event = "";
  #data: string[] = [];
  #id: string | null = null;

  *feed(bytes: Uint8Array): Generator<ServerSent> {
    const text = this.#rest + this.#decoder.decode(bytes, { stream: true });
    const lines = text.split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line !== "") this.#take(line);
      else {
        if (this.#data.length) yield { event: this.#event || "message", data: this.#data.join("\n"), id: this.#id };
        [this.#event, this.#data] = ["", []];
      }
    }
  }

  #take(line: string): void {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#event = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id") this.#id = value;
  }
}
