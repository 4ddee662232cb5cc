/** Where a client meets the network and the clock. */

import { setTimeout as sleep } from "node:timers/promises";

import { refusal, Retries, stays, type Answer, type NoAnswer, type Reply } from "./retrying.js";

/** A request. Its answer may take `waits` seconds longer than any other's, or `within` in all. */
export interface Request {
  readonly method: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: string;
  readonly contentType?: string;
  readonly waits?: number;
  readonly within?: number;
}

const DEFAULT_URL = "http://127.0.0.1:8080";

/** One service, and the key for it, which nothing shows. */
export class Http {
  readonly url: string;
  readonly #key: string;
  readonly #timeout: number;

  constructor(url: string, key: string, timeout: number) {
    this.url = checked(url || DEFAULT_URL);
    if (!/^[!-~]*$/.test(key)) throw new TypeError("a key is printable ASCII without spaces");
    this.#key = key;
    this.#timeout = timeout;
  }

  /** The reply to a request. */
  async reply(request: Request, signal?: AbortSignal): Promise<Reply> {
    const seconds = request.within ?? this.#timeout + (request.waits ?? 0);
    const limit = AbortSignal.timeout(Math.ceil(seconds * 1000));
    try {
      return await answered(await this.#fetch(request, signal ? AbortSignal.any([signal, limit]) : limit));
    } catch (error) {
      signal?.throwIfAborted();
      return this.#why(error);
    }
  }

  /**
   * The answer that stays, and at which try: the request is made again as long as `retries` say.
   * `first` is the reply of a try that was made. Throws Unavailable.
   */
  async insisted(
    request: Request,
    retries: Retries,
    about: { taskId?: string; signal?: AbortSignal; first?: Reply } = {},
  ): Promise<[Answer, number]> {
    const since = retries.now();
    let reply = about.first ?? (await this.reply(request, about.signal));
    let tries = 1;
    while (!stays(reply)) {
      await pause(retries.pause(tries, since, reply, about.taskId), about.signal);
      reply = await this.reply(request, about.signal);
      tries += 1;
    }
    return [reply, tries];
  }

  /** A stream's pieces; the last is the reply that there is in place of more. */
  async *stream(request: Request): AsyncGenerator<Uint8Array | Reply, void, undefined> {
    const quiet = new AbortController();
    const limit = (this.#timeout + (request.waits ?? 0)) * 1000;
    let timer = setTimeout(() => quiet.abort(), limit);
    try {
      const response = await this.#fetch(request, quiet.signal);
      if (response.status !== 200 || response.body === null) {
        yield await answered(response);
        return;
      }
      for await (const piece of response.body) {
        clearTimeout(timer);
        timer = setTimeout(() => quiet.abort(), limit);
        yield piece as Uint8Array;
      }
      yield { why: "the stream has ended" };
    } catch (error) {
      yield this.#why(error);
    } finally {
      clearTimeout(timer);
      quiet.abort();
    }
  }

  #fetch(request: Request, signal: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = { accept: "application/json", "user-agent": "unlost-node" };
    if (this.#key) headers["authorization"] = `Bearer ${this.#key}`;
    if (request.body !== undefined) headers["content-type"] = request.contentType ?? "application/json";
    return fetch(this.url + request.path + query(request.query ?? {}), {
      method: request.method,
      headers,
      body: request.body ?? null,
      redirect: "manual",
      signal,
    });
  }

  #why(error: unknown): NoAnswer {
    if (error instanceof Error && (error.name === "TimeoutError" || error.name === "AbortError")) {
      return { why: `${this.url} did not answer in time` };
    }
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const words = cause instanceof Error ? cause.message || cause.name : String(cause);
    return { why: `nothing came from ${this.url} (${words})` };
  }
}

/** Let seconds pass. */
export async function pause(seconds: number, signal?: AbortSignal): Promise<void> {
  await sleep(seconds * 1000, undefined, signal ? { signal } : {});
}

/** The answer, if its status is one of these; else what it stands for is thrown. */
export function expected(answer: Answer, statuses: readonly number[], taskId?: string): Answer {
  if (!statuses.includes(answer.status)) throw refusal(answer, taskId);
  return answer;
}

/** A value as JSON. Throws TypeError for a number that JSON cannot hold. */
export function json(value: unknown): string {
  return JSON.stringify(value, (_, one: unknown) => {
    if (typeof one === "number" && !Number.isFinite(one)) {
      throw new TypeError(`${one} is not a JSON number`);
    }
    return one;
  });
}

async function answered(response: Response): Promise<Answer> {
  const text = await response.text();
  const header = (name: string) => response.headers.get(name) ?? "";
  return { status: response.status, text, retryAfter: header("retry-after"), date: header("date") };
}

function query(given: Readonly<Record<string, unknown>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue;
    query.set(name, value instanceof Date ? value.toISOString() : String(value));
  }
  return query.size ? `?${query}` : "";
}

function checked(url: string): string {
  const parts = URL.canParse(url) ? new URL(url) : null;
  const plain = parts !== null && ["http:", "https:"].includes(parts.protocol);
  // What it says before an @ would be shown, and would take the key's place.
  if (!plain || parts.username || parts.password || parts.search || parts.hash) {
    throw new TypeError(`a URL is like ${DEFAULT_URL}, without user or password`);
  }
  return url.replace(/\/+$/, "");
}
