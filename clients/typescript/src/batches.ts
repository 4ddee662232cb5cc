/** From tasks to batches, and what becomes of each. */

import { randomUUID } from "node:crypto";

import { UnlostError } from "./errors.js";
import { expected, json, pause, type Http } from "./http.js";
import { askedWait, isPassing, problemOf, read, type Retries } from "./retrying.js";
import type { NewTask, SubmitResult } from "./types.js";

/** Tasks and bytes of one batch: as many as every home takes. */
export const MOST = 1_000;
export const HEAVIEST = 4_000_000;

/** Seconds after which a batch is sent though it is not full, once the next task is there. */
export const LONGEST = 0.5;

/** A task for the wire; `refused` is what became of one that cannot be sent. */
export interface Item {
  readonly taskId: string;
  readonly line: string;
  readonly refused?: SubmitResult;
}

/** A task for the wire. Throws TypeError for what is no object. */
export function item(task: NewTask): Item {
  if (typeof task !== "object" || task === null) {
    throw new TypeError("a task is an object with a payload");
  }
  const taskId = task.taskId ?? randomUUID();
  try {
    return { taskId, line: json({ ...task, taskId }) };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return { taskId, line: "", refused: { taskId, status: 422, detail } };
  }
}

/** Gathers tasks to batches. */
export class Batcher {
  #batch: Item[] = [];
  #bytes = 0;
  #began = 0;
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Add a task; the batch that is to be sent now, or nothing. */
  add(one: Item): readonly Item[] {
    const size = Buffer.byteLength(one.line) + 1;
    const full = this.#batch.length > 0 && this.#bytes + size > HEAVIEST ? this.rest() : [];
    if (this.#batch.length === 0) this.#began = this.#now();
    this.#batch.push(one);
    this.#bytes += size;
    const due = this.#batch.length >= MOST || this.#now() > this.#began + LONGEST;
    return full.length === 0 && due ? this.rest() : full;
  }

  /** What has been gathered since the last batch. */
  rest(): readonly Item[] {
    const batch = this.#batch;
    this.#batch = [];
    this.#bytes = 0;
    return batch;
  }
}

/**
 * What becomes of each of these tasks, in order. Those that the service could not take just now
 * are submitted again, for `retryFor` seconds after it took the last one.
 */
export async function deliver(
  http: Http,
  retries: Retries,
  items: readonly Item[],
  signal: AbortSignal,
): Promise<readonly SubmitResult[]> {
  const results: (SubmitResult | undefined)[] = items.map((one) => one.refused);
  let left = items.map((_, place) => place).filter((place) => results[place] === undefined);
  let since = retries.now();
  let tries = 0;
  while (left.length > 0) {
    const [found, wait] = await submitted(http, retries, left.map((place) => items[place]!), signal);
    const again = left.filter((_, turn) => isPassing(found[turn]!.status));
    left.forEach((place, turn) => (results[place] = found[turn]!));
    if (again.length === 0) break;
    if (again.length < left.length) {
      since = retries.now();
      tries = 0;
    }
    tries += 1;
    const last = results[again[0]!]!;
    await pause(retries.pause(tries, since, { why: `${last.detail} (${last.status})`, wait }), signal);
    left = again;
  }
  return results as SubmitResult[];
}

/**
 * What the service says of each, and for how many seconds those that it could not take just now are
 * not to be submitted again. A batch that is too large for what lies between goes in halves.
 */
async function submitted(
  http: Http,
  retries: Retries,
  items: readonly Item[],
  signal: AbortSignal,
): Promise<readonly [readonly SubmitResult[], number]> {
  const body = items.map((one) => one.line).join("\n");
  const request = { method: "POST", path: "/tasks/batch", body, contentType: "application/x-ndjson" };
  const [answer] = await http.insisted(request, retries, { signal });
  if (answer.status === 413) {
    if (items.length === 1) {
      return [[{ taskId: items[0]!.taskId, status: 413, detail: problemOf(answer).detail }], 0];
    }
    const half = Math.floor(items.length / 2);
    const [first, one] = await submitted(http, retries, items.slice(0, half), signal);
    const [second, other] = await submitted(http, retries, items.slice(half), signal);
    return [[...first, ...second], Math.max(one, other)];
  }
  const { results } = read<{ results: SubmitResult[] }>(expected(answer, [200]));
  if (results?.length !== items.length) {
    throw new UnlostError(`the service answered ${results?.length} of ${items.length} tasks`);
  }
  return [results, askedWait(answer)];
}
