/** The calls of a worker, each of them made again until the service has answered. */

import { Conflict, type Problem } from "../errors.js";
import { expected, type Http, type Request } from "../http.js";
import { problemOf, read, Retries } from "../retrying.js";
import type { Json } from "../types.js";

/** What a worker asks for; the same `claim` again gives the same attempts. */
export interface Claim {
  readonly claim: string;
  readonly worker: string;
  readonly types: readonly string[];
  readonly options: { readonly [type: string]: { readonly maxRetries?: number; readonly timeoutSeconds?: number } };
  readonly limit: number;
  readonly leaseSeconds: number;
  readonly wait: number;
}

/**
 * A step's name, with its `result` where it is not made again; `kept` is false where it is not made
 * again and its result could not be kept. `forgotten` is how often redrives have forgotten it.
 */
export interface GivenStep {
  readonly name: string;
  readonly result?: Json;
  readonly kept?: boolean;
  readonly forgotten?: number;
}

/** An attempt that the worker is to make. */
export interface Given {
  readonly token: string;
  readonly taskId: string;
  readonly type: string;
  readonly payload: { readonly [name: string]: Json };
  readonly number: number;
  readonly attempt: number;
  readonly maxRetries: number;
  readonly redriveCount: number;
  readonly submittedAt: string;
  readonly timeoutSeconds: number;
  readonly key?: string;
  readonly alone: boolean;
  readonly effectKey: string;
  readonly steps: readonly GivenStep[];
}

/** An attempt that runs no more; `state` is its task's. */
export interface Gone {
  readonly token: string;
  readonly state: string;
}

/** What became of one settlement. */
export interface Settled {
  readonly token: string;
  readonly status: number;
  readonly state?: string;
  readonly detail?: string;
}

export interface Settlements {
  readonly results: readonly Settled[];
}

/** Throws Refused where the service would never do it; a signal ends the tries. */
export class Calls {
  readonly #http: Http;
  readonly #retries = new Retries(Infinity);

  constructor(http: Http) {
    this.#http = http;
  }

  /** Attempts for free slots. Throws Conflict where the worker's lease is over. */
  async claim(claim: Claim, signal?: AbortSignal): Promise<readonly Given[]> {
    const request = { ...post("/attempts/claim", JSON.stringify(claim)), waits: claim.wait };
    return (await this.#answer<{ attempts: Given[] }>(request, signal)).attempts;
  }

  /** Extend a worker's lease; which of these run no more. Throws Conflict where it is over. */
  async extend(
    worker: string,
    leaseSeconds: number,
    tokens: readonly string[],
    signal?: AbortSignal,
  ): Promise<readonly Gone[]> {
    const body = JSON.stringify({ leaseSeconds, tokens });
    const request = { ...post(`/workers/${encodeURIComponent(worker)}/extend`, body), within: leaseSeconds / 3 };
    return (await this.#answer<{ gone: Gone[] }>(request, signal)).gone;
  }

  /** Record a step, `result` as JSON; whether it is kept. Throws Conflict where it is not ours. */
  async record(token: string, name: string, result: string, signal?: AbortSignal): Promise<boolean> {
    const body = `{"token":${JSON.stringify(token)},"name":"${name}","result":${result}}`;
    return (await this.#answer<{ kept: boolean }>(post("/attempts/steps", body), signal)).kept;
  }

  /** Settle attempts; what became of each, or why they cannot be settled by one call as they are. */
  async settle(items: readonly string[], signal?: AbortSignal): Promise<Settlements | Problem> {
    const request = post("/attempts/settle", `{"attempts":[${items.join()}]}`);
    const [answer] = await this.#http.insisted(request, this.#retries, signal ? { signal } : {});
    if (isWrong(answer.status)) return problemOf(answer);
    return read<Settlements>(expected(answer, [200]));
  }

  async #answer<T>(request: Request, signal?: AbortSignal): Promise<T> {
    const [answer] = await this.#http.insisted(request, this.#retries, signal ? { signal } : {});
    return read<T>(expected(answer, [200]));
  }
}

/** Whether an error says that the worker, or its attempt, is not what it was. */
export function isOver(error: unknown): boolean {
  return error instanceof Conflict;
}

/** Whether it is what was sent that is refused, and not who sends it. */
function isWrong(status: number): boolean {
  return status >= 400 && status < 500 && status !== 401 && status !== 403;
}

function post(path: string, body: string): Request {
  return { method: "POST", path, body };
}
