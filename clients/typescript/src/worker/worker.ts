/** A worker: handlers in this process, for the tasks of a service. */

import type { Client } from "../client.js";
import { Unavailable } from "../errors.js";
import { pause } from "../http.js";
import { backoff } from "../retrying.js";
import { Calls } from "./calls.js";
import { named, type Handler, type Handlers, type Served } from "./handlers.js";
import { Incarnation } from "./incarnation.js";
import { Settler } from "./settling.js";
import { Slots } from "./slots.js";

/** Attempts that run at once. */
const CONCURRENCY = 10;
const MOST_CONCURRENCY = 1_000;

export interface WorkerOptions {
  /** Attempts that run at once: 10; at most 1,000. */
  readonly concurrency?: number;
  /** The types to serve, at most 100: those that have a handler. One handler alone serves these. */
  readonly types?: readonly string[];
  /**
   * Seconds after which the service takes for lost what runs here, where nothing is heard of this
   * process: 60. More where handlers hold the event loop for long. 5 to 43,200.
   */
  readonly leaseSeconds?: number;
}

export interface StopOptions {
  /** Seconds that handlers have to end: 30. Then their signals abort, and they have one more. */
  readonly grace?: number;
}

/**
 * Runs handlers for the tasks of a service. What they return or throw is settled again and again
 * until the service has answered; the worker beats by itself, and what is cancelled, times out or was
 * taken for lost is told by the task's signal and not settled.
 */
export class Worker {
  readonly #client: Client;
  readonly #calls: Calls;
  readonly #served: Served;
  readonly #leaseSeconds: number;
  readonly #slots: Slots;
  readonly #settler: Settler;
  readonly #stop = new AbortController(); // claims no more
  readonly #end = new AbortController(); // nothing goes on
  #grace = 30;
  #ran: Promise<void> | undefined;

  /** Throws TypeError for what can be no handler, RangeError for a number that is out of bounds. */
  constructor(client: Client, handlers: Handlers | Handler, options: WorkerOptions = {}) {
    const { concurrency = CONCURRENCY, leaseSeconds = 60 } = options;
    check("concurrency", concurrency, 1, MOST_CONCURRENCY);
    check("leaseSeconds", leaseSeconds, 5, 43_200);
    this.#client = client;
    this.#calls = new Calls(client.http);
    this.#served = named(handlers, options.types);
    this.#leaseSeconds = leaseSeconds;
    this.#slots = new Slots(concurrency);
    this.#settler = new Settler(this.#calls, () => this.#slots.freed.set());
  }

  /**
   * Work until `stop`. Throws Refused where the service will not have this worker (its key, say),
   * and Unavailable where, after a stop, what has ended could not be settled for the client's
   * `retryFor` seconds.
   */
  run(): Promise<void> {
    this.#ran ??= this.#run();
    return this.#ran;
  }

  /**
   * Claim no more, let handlers end, give back what is left, uncounted, and settle all of it. Returns
   * once `run` has ended, whatever with.
   */
  async stop(options: StopOptions = {}): Promise<void> {
    this.#grace = options.grace ?? 30;
    this.#stop.abort();
    this.#slots.freed.set();
    await this.#ran?.catch(() => undefined);
  }

  async #run(): Promise<void> {
    const settling = this.#settler.run(this.#end.signal);
    settling.catch(() => undefined); // who races it hears of it
    try {
      await Promise.race([settling, this.#work()]);
    } finally {
      this.#end.abort();
    }
  }

  /** Live again and again, each time under another name, which is over with its lease. */
  async #work(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const life = new Incarnation({
        calls: this.#calls,
        served: this.#served,
        leaseSeconds: this.#leaseSeconds,
        slots: this.#slots,
        settler: this.#settler,
        stop: this.#stop.signal,
        end: this.#end.signal,
        grace: () => this.#grace,
        settled: () => within(this.#client.retries.retryFor, this.#settler.allSettled(), this.#end.signal),
      });
      await life.run();
      if (!this.#stop.signal.aborted) await pause(backoff(1, Math.random()));
    }
  }
}

async function within(seconds: number, done: Promise<void>, end: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const why = `what has ended could not be settled for ${seconds} s`;
    timer = setTimeout(() => reject(new Unavailable(why)), Math.max(seconds, 1) * 1000);
    end.addEventListener("abort", () => clearTimeout(timer), { once: true });
  });
  try {
    await Promise.race([done, late]);
  } finally {
    clearTimeout(timer);
  }
}

function check(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`${name} is a whole number from ${least} to ${most}, not ${value}`);
  }
}
