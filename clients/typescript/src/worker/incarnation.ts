/** A worker under one name: it claims, runs and beats until it is told to stop, or its lease is over. */

import { randomUUID } from "node:crypto";
import { hostname } from "node:os";

import { pause } from "../http.js";
import { backoff } from "../retrying.js";
import { isOver, type Calls, type Claim, type Given } from "./calls.js";
import { AttemptOver, type Why } from "./exceptions.js";
import type { Handler, Served } from "./handlers.js";
import { Lease, type Held } from "./lease.js";
import { released, returned, thrown } from "./outcome.js";
import type { Settler } from "./settling.js";
import type { Slots } from "./slots.js";
import { TaskAttempt } from "./task.js";

/** Seconds that a claim waits for tasks. */
const WAIT = 20;

/** Seconds that records of steps have to reach the service once their attempt was told to end. */
const RECORD_PATIENCE = 5;

/** Seconds that handlers have to end once they were told that the worker stops. */
const LAST_PATIENCE = 1;

/** Seconds that a worker that stops asks what it was given. */
const LAST_CLAIM = 10;

/** Milliseconds that a timer can take. */
const LONGEST_TIMER = 2 ** 31 - 1;

export interface Surroundings {
  readonly calls: Calls;
  readonly served: Served;
  readonly leaseSeconds: number;
  readonly slots: Slots;
  readonly settler: Settler;
  /** Nothing more is claimed. */
  readonly stop: AbortSignal;
  /** The worker has ended. */
  readonly end: AbortSignal;
  /** Seconds that handlers have to end, once it is to stop. */
  grace(): number;
  /** Return once what has ended is settled; throws Unavailable where that takes too long. */
  settled(): Promise<void>;
}

export class Incarnation implements Held {
  readonly #around: Surroundings;
  readonly #name = `${hostname().replace(/[^A-Za-z0-9._-]/g, "-").slice(0, 40)}-${process.pid}-${randomUUID()}`;
  readonly #running = new Map<string, TaskAttempt>();
  readonly #lost = new AbortController(); // the lease is over
  readonly #over = new AbortController(); // nothing beats any more
  readonly #told: AbortSignal;
  readonly #lease: Lease;
  #alone = ""; // the token of the last attempt that is to have nothing beside it
  #recording = 0;
  #givingBack: Promise<void> | undefined;

  constructor(around: Surroundings) {
    this.#around = around;
    const { calls, leaseSeconds, stop, end } = around;
    this.#told = AbortSignal.any([stop, end, this.#lost.signal]);
    const over = AbortSignal.any([end, this.#over.signal]);
    this.#lease = new Lease(calls, this.#name, leaseSeconds, this, over);
  }

  /** Throws Refused where the service will not have this worker. */
  async run(): Promise<void> {
    try {
      const found = await this.#claim(this.#around.slots.free, 0); // which makes the worker known
      const beating = this.#lease.beat().then(() => this.#lose());
      await Promise.race([this.#work(found), beating]);
      if (!this.#lost.signal.aborted) await Promise.race([this.#drain(), beating]);
    } finally {
      this.#over.abort();
      for (const token of this.tokens()) this.drop(token, "lost");
    }
  }

  tokens(): readonly string[] {
    return [...this.#running.keys()];
  }

  has(token: string): boolean {
    return this.#running.has(token);
  }

  drop(token: string, why: Why): void {
    const attempt = this.#running.get(token);
    if (attempt === undefined) return;
    this.#running.delete(token);
    attempt.tell(why);
    this.#around.slots.freed.set();
  }

  #lose(): void {
    this.#lost.abort();
    for (const token of this.tokens()) this.drop(token, "lost");
  }

  /** Keep the slots full until there is to be no more. */
  async #work(found: readonly Given[]): Promise<void> {
    const { slots } = this.#around;
    for (const one of found) this.#start(one);
    for (let early = 0; !this.#told.aborted; ) {
      const room = this.#room();
      if (room === 0) {
        await slots.freed.wait();
        continue;
      }
      const began = performance.now();
      const given = await this.#claim(room, WAIT);
      // What is alone comes to a worker that holds nothing: whatever runs here has ended.
      if (given.some((one) => one.alone)) for (const token of this.tokens()) this.drop(token, "lost");
      for (const one of given) this.#start(one);
      // A service that is busy does not wait.
      const waited = given.length > 0 || performance.now() - began > WAIT * 500;
      early = waited ? 0 : early + 1;
      if (early > 0) await Promise.race([pause(Math.min(backoff(early, Math.random()), 1)), slots.freed.wait()]);
    }
  }

  #room(): number {
    return this.has(this.#alone) || this.#around.settler.full ? 0 : Math.max(this.#around.slots.free, 0);
  }

  /** Attempts for free slots: none once the worker is to stop, or its lease is over. */
  async #claim(limit: number, wait: number): Promise<readonly Given[]> {
    const { calls, served, leaseSeconds, stop } = this.#around;
    const { types, options } = served;
    const claim = randomUUID();
    const asked = { claim, worker: this.#name, types, options, limit: Math.max(limit, 1), leaseSeconds, wait };
    try {
      return await calls.claim(asked, this.#told);
    } catch (error) {
      if (isOver(error)) this.#lose();
      else if (!this.#told.aborted) throw error;
      // Beside the handlers, which are to hear of the stop in time.
      if (stop.aborted && !this.#lost.signal.aborted) this.#givingBack = this.#giveBack({ ...asked, limit: 1, wait: 0 });
      return [];
    }
  }

  /** Give back what a claim was given of which nobody has heard. */
  async #giveBack(asked: Claim): Promise<void> {
    const { calls, settler } = this.#around;
    const given = await calls.claim(asked, AbortSignal.timeout(LAST_CLAIM * 1000)).catch(() => []);
    for (const { token } of given) settler.add(token, released(token));
  }

  #start(given: Given): void {
    const { slots, served } = this.#around;
    const attempt: TaskAttempt = new TaskAttempt(given, {
      look: () => this.#look(given.token, attempt),
      record: (name, result) => this.#record(given.token, attempt, name, result),
    });
    this.#running.set(given.token, attempt);
    if (given.alone) this.#alone = given.token;
    const longest = Math.min(given.timeoutSeconds * 1000, LONGEST_TIMER);
    const timer = setTimeout(() => this.drop(given.token, "timed out"), longest).unref();
    const work = this.#run(served.handler(given.type), attempt, given.token).finally(() => clearTimeout(timer));
    void slots.during(work);
  }

  async #run(handler: Handler, attempt: TaskAttempt, token: string): Promise<void> {
    let end: string;
    try {
      const value = await handler(attempt);
      end = returned(token, value, attempt.close());
    } catch (error) {
      attempt.close();
      end = thrown(token, error, attempt.why === "stopping");
    }
    // Of one that was dropped the service knows the end.
    if (this.#running.delete(token)) this.#around.settler.add(token, end);
  }

  async #look(token: string, attempt: TaskAttempt): Promise<void> {
    try {
      await this.#lease.look(token);
    } catch (error) {
      throw this.#told.aborted && attempt.why ? new AttemptOver(attempt.why) : error;
    }
  }

  /** A record outlasts its attempt by a while: else the step would run again. */
  async #record(token: string, attempt: TaskAttempt, name: string, result: string): Promise<boolean> {
    const late = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const told = () => (timer = setTimeout(() => late.abort(), RECORD_PATIENCE * 1000));
    if (attempt.signal.aborted) told();
    else attempt.signal.addEventListener("abort", told, { once: true });
    this.#recording += 1;
    try {
      return await this.#around.calls.record(token, name, result, late.signal);
    } catch (error) {
      throw late.signal.aborted ? new AttemptOver(attempt.why ?? "lost") : error;
    } finally {
      attempt.signal.removeEventListener("abort", told);
      clearTimeout(timer);
      this.#recording -= 1;
      this.#around.slots.freed.set();
    }
  }

  /** Let handlers end, then tell them to, then give back what they have not ended. */
  async #drain(): Promise<void> {
    const { grace, settler, settled } = this.#around;
    await this.#ended(grace);
    for (const attempt of this.#running.values()) attempt.tell("stopping");
    await this.#ended(() => (this.#recording > 0 ? RECORD_PATIENCE : LAST_PATIENCE));
    for (const token of this.tokens()) {
      this.drop(token, "stopping");
      settler.add(token, released(token));
    }
    await this.#givingBack;
    await settled();
  }

  /** Return once no handler runs, or after so many seconds. */
  async #ended(seconds: () => number): Promise<void> {
    const began = performance.now();
    while (this.#running.size > 0) {
      const left = began + seconds() * 1000 - performance.now();
      if (left <= 0) return;
      const { freed } = this.#around.slots;
      const timer = setTimeout(() => freed.set(), Math.min(left, LONGEST_TIMER));
      await freed.wait();
      clearTimeout(timer);
    }
  }
}
