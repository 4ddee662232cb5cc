/** The steps of one attempt, as its handler makes them. */

import type { Json } from "../types.js";
import { isOver, type Given, type GivenStep } from "./calls.js";
import { AttemptOver, StepNotKept } from "./exceptions.js";
import { asJson } from "./json.js";
import { checkName, idempotencyKey } from "./keys.js";

/** Bytes of JSON that are kept of one step. */
const MOST = 65_536;

/** What no step keeps: so it is told that a step was made whose value cannot be kept. */
const TOO_LARGE = JSON.stringify(" ".repeat(MOST));

/** How an attempt's steps reach the service. */
export interface Ways {
  /** Ask whether the attempt still runs; throws AttemptOver. */
  look(): Promise<void>;
  /** Record a step, until the service has answered; whether it is kept. */
  record(name: string, result: string): Promise<boolean>;
  /** Throws AttemptOver where the attempt is to end. */
  check(): void;
}

export class Steps {
  readonly #given: Given;
  readonly #ways: Ways;
  readonly #names = new Set<string>(); // under way, or recorded by this attempt

  constructor(given: Given, ways: Ways) {
    this.#given = given;
    this.#ways = ways;
  }

  /** By which others know this step. Throws RangeError. */
  key(name: string): string {
    checkName(name);
    const known = this.#given.steps.find((one) => one.name === name);
    return idempotencyKey(this.#given.effectKey, known?.forgotten ?? 0, name);
  }

  /** Make a step: its value, as read from JSON. */
  async once(name: string, fn: () => unknown): Promise<unknown> {
    checkName(name);
    this.#ways.check();
    if (this.#names.has(name)) {
      throw new RangeError(`this attempt makes step "${name}" already, or has made it`);
    }
    this.#names.add(name);
    let recorded = false;
    try {
      await this.#ways.look();
      const known = this.#given.steps.find((one) => one.name === name && stands(one));
      if (known !== undefined) return value(name, known.result);
      this.#ways.check();
      const text = asText(await fn());
      const kept = await this.#record(name, text ?? TOO_LARGE);
      recorded = true;
      return value(name, kept && text !== undefined ? (JSON.parse(text) as Json) : undefined);
    } finally {
      if (!recorded) this.#names.delete(name);
    }
  }

  async #record(name: string, text: string): Promise<boolean> {
    try {
      return await this.#ways.record(name, text);
    } catch (error) {
      throw isOver(error) ? new AttemptOver("lost") : error;
    }
  }
}

/** Whether a step is not made again: a redrive may have forgotten it. */
function stands(step: GivenStep): boolean {
  return step.result !== undefined || step.kept === false;
}

/** A recorded value. Throws StepNotKept where there is none. */
function value(name: string, result: Json | undefined): Json {
  if (result === undefined) throw new StepNotKept(name);
  return result;
}

/** What a step returned, as JSON; undefined where that cannot be kept. */
function asText(value: unknown): string | undefined {
  try {
    const text = asJson(value) ?? "null";
    return Buffer.byteLength(text) <= MOST ? text : undefined;
  } catch {
    return undefined;
  }
}
