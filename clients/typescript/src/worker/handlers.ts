/** Handlers and the types that they serve. */

import type { Claim } from "./calls.js";
import type { RunningTask } from "./task.js";

/** Does a task's work; what it returns (JSON, 64 KiB at most, or nothing) is the task's result. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a payload is as the handler knows it
export type Handler = (task: RunningTask<any>) => unknown;

/** A handler with limits of its own: they hold where a submit sets none. */
export interface LimitedHandler {
  readonly handler: Handler;
  readonly maxRetries?: number;
  readonly timeoutSeconds?: number;
}

/** Handlers by the type of task that they are for. */
export interface Handlers {
  readonly [type: string]: Handler | LimitedHandler;
}

/** What a worker serves. */
export interface Served {
  readonly types: readonly string[];
  readonly options: Claim["options"];
  handler(type: string): Handler;
}

/** What these handlers serve. Throws TypeError. */
export function named(handlers: Handlers | Handler, types?: readonly string[]): Served {
  const all = typeof handlers === "function" ? {} : handlers;
  const names = [...new Set(types ?? Object.keys(all))];
  if (names.length === 0 || names.length > 100) {
    throw new TypeError(`a worker serves 1 to 100 types, not ${names.length}`);
  }
  const found = new Map<string, LimitedHandler>();
  for (const type of names) {
    const given = typeof handlers === "function" ? handlers : Object.hasOwn(all, type) ? all[type] : undefined;
    const one = typeof given === "function" ? { handler: given } : given;
    if (typeof one?.handler !== "function") throw new TypeError(`there is no handler for "${type}"`);
    found.set(type, one);
  }
  return {
    types: names,
    options: Object.fromEntries([...found].flatMap(([type, one]) => limits(type, one))),
    handler: (type) => found.get(type)!.handler,
  };
}

function limits(type: string, one: LimitedHandler): [string, Claim["options"][string]][] {
  const { maxRetries, timeoutSeconds } = one;
  if (maxRetries === undefined && timeoutSeconds === undefined) return [];
  const set = {
    ...(maxRetries === undefined ? {} : { maxRetries }),
    ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
  };
  return [[type, set]];
}
