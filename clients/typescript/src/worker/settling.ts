/** Settlements on their way to the service. */

import type { Calls, Settled } from "./calls.js";
import { unsettled } from "./outcome.js";
import { Wake } from "./wake.js";

/** Attempts and bytes of one call. */
const MOST = 1_000;
const HEAVIEST = 4_000_000;

/** The statuses of a settlement that is never taken as it is: it is wrong, or the key may not what follows. */
const WRONG = 422;
const FORBIDDEN = 403;

interface Item {
  readonly token: string;
  readonly text: string;
  /** Whether this is how a settlement ends that was refused. */
  readonly last?: true;
}

/**
 * Settles attempts in batches, the oldest first, each again and again until the service has
 * answered. Only what it refuses for itself is dropped: an attempt that another has settled. A call
 * that is refused goes in halves, so that one attempt does not keep others from being settled.
 */
export class Settler {
  readonly #calls: Calls;
  readonly #told: () => void;
  #waiting: Item[] = [];
  #bytes = 0;
  #some = new Wake();
  #none = new Wake();
  #most = MOST;

  /** `told` is called whenever some were settled. */
  constructor(calls: Calls, told: () => void) {
    this.#calls = calls;
    this.#told = told;
  }

  /** Have an attempt settled. */
  add(token: string, text: string): void {
    this.#push({ token, text });
  }

  /** Whether a whole batch is not settled yet: no further attempts should start. */
  get full(): boolean {
    return this.#waiting.length >= MOST || this.#bytes >= HEAVIEST;
  }

  /** Return once nothing waits. */
  async allSettled(): Promise<void> {
    while (this.#waiting.length > 0) await this.#none.wait();
  }

  /** Settle what is added, until the signal. Throws Refused where the service will never do it. */
  async run(signal: AbortSignal): Promise<never> {
    for (;;) {
      if (this.#waiting.length === 0) {
        this.#none.set();
        await this.#some.wait();
        // Those that end in the same turn go along.
        await new Promise(setImmediate);
      }
      await this.#bring(this.#next(), signal);
    }
  }

  #push(item: Item): void {
    this.#waiting.push(item);
    this.#bytes += item.text.length;
    this.#some.set();
  }

  #next(): readonly Item[] {
    let count = 0;
    for (let bytes = 0; count < Math.min(this.#waiting.length, this.#most); count += 1) {
      bytes += Buffer.byteLength(this.#waiting[count]!.text);
      if (count > 0 && bytes > HEAVIEST) break;
    }
    return this.#waiting.slice(0, count);
  }

  async #bring(batch: readonly Item[], signal: AbortSignal): Promise<void> {
    const answer = await this.#calls.settle(batch.map((one) => one.text), signal);
    if (!("results" in answer) && batch.length > 1) {
      this.#most = Math.ceil(batch.length / 2);
      return;
    }
    const results = "results" in answer ? answer.results : [{ status: WRONG, detail: answer.detail }];
    this.#most = Math.min(this.#most * 2, MOST);
    this.#waiting.splice(0, batch.length);
    for (const one of batch) this.#bytes -= one.text.length;
    batch.forEach((one, place) => this.#conclude(one, results[place]!));
    this.#told();
  }

  /** Of what was refused as it is, have the attempt fail instead, so that the task does not stay. */
  #conclude(item: Item, { status, state, detail = "" }: Omit<Settled, "token">): void {
    if (status === 200 || status === 409) return;
    const ended = state !== undefined && state !== "running";
    if ((status === WRONG || status === FORBIDDEN) && !ended && !item.last) {
      return this.#push({ token: item.token, text: unsettled(item.token, item.text, detail), last: true });
    }
    if (!ended) process.emitWarning(`an attempt could not be settled: ${detail || status}`, "UnlostWarning");
  }
}
