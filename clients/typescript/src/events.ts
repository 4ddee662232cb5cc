/** A stream of server-sent events, however its bytes are cut. */

import { strange } from "./retrying.js";
import type { Lagged, TaskEvent } from "./types.js";

/** Bytes to events (HTML Standard, 9.2), of which others than the service's are passed over. */
export class Parser {
  readonly #decoder = new TextDecoder();
  #rest = "";
  #name = "";
  #data = "";

  /** The events that are complete by now. */
  *fed(bytes: Uint8Array): Generator<TaskEvent | Lagged, void, undefined> {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split(/\r\n|\n|\r(?!\n|$)/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") yield* this.#event();
      else if (line.startsWith("event:")) this.#name = value(line);
      else if (line.startsWith("data:")) this.#data += value(line) + "\n";
    }
  }

  *#event(): Generator<TaskEvent | Lagged, void, undefined> {
    const name = this.#name;
    const data = this.#data;
    this.#name = this.#data = "";
    if (data === "" || (name !== "task" && name !== "lagged")) return;
    try {
      yield { event: name, ...(JSON.parse(data) as object) } as TaskEvent | Lagged;
    } catch {
      throw strange("no JSON in an event");
    }
  }
}

function value(line: string): string {
  return line.slice(line.indexOf(":") + 1).replace(/^ /, "");
}
