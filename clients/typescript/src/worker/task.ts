/** What a handler is given: one attempt of a task. */

import type { Json, Payload, SubmitOptions } from "../types.js";
import type { Given } from "./calls.js";
import { AttemptOver, type Why } from "./exceptions.js";
import { FollowUps } from "./follow_ups.js";
import { Steps, type Ways } from "./steps.js";

/**
 * One attempt of a task; `attempt` counts from 1 within this submit or redrive, without those that were
 * excused, and `number` all that the task ever had.
 */
export interface RunningTask<P = { readonly [name: string]: Json }> {
  readonly id: string;
  readonly type: string;
  readonly payload: P;
  readonly attempt: number;
  readonly number: number;
  readonly maxRetries: number;
  readonly redriveCount: number;
  readonly submittedAt: string;
  readonly timeoutSeconds: number;
  readonly key?: string;

  /**
   * Aborted, with an AttemptOver as its reason, when the attempt is to end: it was cancelled, has
   * timed out, was taken for lost, or the worker stops.
   */
  readonly signal: AbortSignal;

  /**
   * Have `fn()` done once for this task: what it returned is recorded, and a later attempt gets
   * that instead, as read from JSON. Where an attempt ends in between, it runs again, with the same
   * `idempotencyKey`. Throws AttemptOver where this attempt runs no more, StepNotKept where the
   * value is no JSON or too large (64 KiB a step, 1 MiB and 1,000 steps a task), RangeError for a
   * name that is none (1 to 100 of `A–Z a–z 0–9 . _ - :`) or that this attempt makes or has made,
   * and whatever `fn` throws, of which nothing is recorded.
   */
  once<T>(name: string, fn: () => T | Promise<T>): Promise<T>;

  /** A key under which others can know this step: 40 hex digits, the same in every attempt. */
  idempotencyKey(name: string): string;

  /**
   * Submit a task with this attempt's success, in the very transaction that makes it `succeeded`, or
   * not at all; its id. Throws TypeError for what is no JSON object, RangeError for more than 40
   * tasks or 1 MiB of payloads, AttemptOver once the attempt has ended. What else the service
   * refuses fails the attempt.
   */
  submit(payload: Payload, options?: SubmitOptions): string;
}

/** An attempt, with what its worker does to it. */
export class TaskAttempt implements RunningTask {
  readonly id: string;
  readonly type: string;
  readonly payload: { readonly [name: string]: Json };
  readonly attempt: number;
  readonly number: number;
  readonly maxRetries: number;
  readonly redriveCount: number;
  readonly submittedAt: string;
  readonly timeoutSeconds: number;
  declare readonly key?: string;
  readonly #token: string;
  readonly #steps: Steps;
  #followUps: FollowUps | undefined;
  #told: AttemptOver | undefined;
  #ended = false;
  #abort: AbortController | undefined;

  constructor(given: Given, ways: Omit<Ways, "check">) {
    this.id = given.taskId;
    this.type = given.type;
    this.payload = given.payload;
    this.attempt = given.attempt;
    this.number = given.number;
    this.maxRetries = given.maxRetries;
    this.redriveCount = given.redriveCount;
    this.submittedAt = given.submittedAt;
    this.timeoutSeconds = given.timeoutSeconds;
    if (given.key !== undefined) this.key = given.key;
    this.#token = given.token;
    this.#steps = new Steps(given, { ...ways, check: () => this.#check() });
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#told) this.#abort.abort(this.#told);
    }
    return this.#abort.signal;
  }

  async once<T>(name: string, fn: () => T | Promise<T>): Promise<T> {
    return (await this.#steps.once(name, fn)) as T;
  }

  idempotencyKey(name: string): string {
    return this.#steps.key(name);
  }

  submit(payload: Payload, options: SubmitOptions = {}): string {
    if (this.#ended) throw new AttemptOver("lost");
    this.#followUps ??= new FollowUps(this.id, this.#token);
    return this.#followUps.add(payload, options);
  }

  /** @internal Tell the handler that the attempt is to end; the first reason stays. */
  tell(why: Why): void {
    if (this.#told !== undefined) return;
    this.#told = new AttemptOver(why);
    this.#abort?.abort(this.#told);
  }

  /** @internal Why the attempt is to end, if it is. */
  get why(): Why | undefined {
    return this.#told?.why;
  }

  /** @internal The handler has ended; the tasks that follow. */
  close(): readonly string[] {
    this.#ended = true;
    return this.#followUps?.tasks ?? [];
  }

  #check(): void {
    if (this.#told) throw this.#told;
    if (this.#ended) throw new AttemptOver("lost");
  }
}
