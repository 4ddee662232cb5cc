/** A worker's lease: extended while it runs, and asked whether attempts still do. */

import { setTimeout as sleep } from "node:timers/promises";

import { isOver, type Calls, type Gone } from "./calls.js";
import { AttemptOver, type Why } from "./exceptions.js";

/** Seconds between two beats: a cancel is told as promised. */
const EVERY = 5;

/** The attempts that a lease is for. */
export interface Held {
  tokens(): readonly string[];
  has(token: string): boolean;
  /** The attempt runs no more. */
  drop(token: string, why: Why): void;
}

export class Lease {
  readonly #calls: Calls;
  readonly #worker: string;
  readonly #seconds: number;
  readonly #held: Held;
  readonly #signal: AbortSignal;
  #looked: { tokens: Set<string>; answer: Promise<void> } | undefined;
  #asking: Promise<unknown> = Promise.resolve();

  constructor(calls: Calls, worker: string, seconds: number, held: Held, signal: AbortSignal) {
    this.#calls = calls;
    this.#worker = worker;
    this.#seconds = seconds;
    this.#held = held;
    this.#signal = signal;
  }

  /** Extend it until it is over; throws the signal's reason, or Refused. */
  async beat(): Promise<void> {
    for (;;) {
      await sleep(Math.min(EVERY, this.#seconds / 3) * 1000, undefined, { signal: this.#signal });
      if (!(await this.#extend(this.#held.tokens()))) return;
    }
  }

  /** Ask whether an attempt still runs. Throws AttemptOver where it does not. */
  async look(token: string): Promise<void> {
    // What is asked while a call is on its way goes together with the next.
    this.#looked ??= this.#next();
    const { tokens, answer } = this.#looked;
    tokens.add(token);
    await answer;
    if (!this.#held.has(token)) throw new AttemptOver("lost");
  }

  #next(): { tokens: Set<string>; answer: Promise<void> } {
    const tokens = new Set<string>();
    const ask = async () => {
      this.#looked = undefined;
      await this.#extend([...tokens]);
    };
    const answer = this.#asking.then(ask);
    this.#asking = answer.catch(() => undefined);
    return { tokens, answer };
  }

  /** Extend it, and drop what runs no more; whether it still holds. */
  async #extend(tokens: readonly string[]): Promise<boolean> {
    let gone: readonly Gone[];
    try {
      gone = await this.#calls.extend(this.#worker, this.#seconds, tokens, this.#signal);
    } catch (error) {
      if (!isOver(error)) throw error;
      for (const token of this.#held.tokens()) this.#held.drop(token, "lost");
      return false;
    }
    for (const { token, state } of gone) this.#held.drop(token, state === "cancelled" ? "cancelled" : "lost");
    return true;
  }
}
