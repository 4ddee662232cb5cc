/** A client of a service. */

import { randomUUID } from "node:crypto";

import { Batcher, deliver, item } from "./batches.js";
import { Conflict, NotFound } from "./errors.js";
import { Parser } from "./events.js";
import { expected, Http, json, pause, type Request } from "./http.js";
import { backoff, read, refusal, Retries, stays, type Reply } from "./retrying.js";
import type {
  DeadLetterFilters,
  Lagged,
  NewTask,
  Payload,
  RedriveOptions,
  Said,
  Stats,
  SubmitOptions,
  SubmitResult,
  Task,
  TaskEvent,
  TaskFilters,
} from "./types.js";

const IN_FLIGHT = 4;
const PAGE = 1_000;
const LONGEST_WAIT = 30;
const SHORTEST_WAIT = 1;
const SILENCE = 15;

export interface ClientOptions {
  /** Where the service is: `UNLOST_URL`, else `http://127.0.0.1:8080`. */
  readonly url?: string;
  /** Its API key: `UNLOST_API_KEY`, else none. */
  readonly key?: string;
  /** Seconds for which a call is made again: 60. */
  readonly retryFor?: number;
  /** Seconds that one try may take: 30. */
  readonly timeout?: number;
}

/**
 * A client of a service. A call whose answer is lost, or is "not now", is made again for `retryFor`
 * seconds, with growing pauses, and never before `Retry-After` is over. What it does is done once
 * all the same. Errors are Conflict, NotFound, Refused and Unavailable, all of them UnlostError.
 */
export class Client {
  /** @internal */
  readonly http: Http;
  /** @internal */
  readonly retries: Retries;

  /** Throws TypeError for what can be no URL and no key. */
  constructor(options: ClientOptions = {}) {
    const { UNLOST_URL: url = "", UNLOST_API_KEY: key = "" } = process.env;
    this.http = new Http(options.url ?? url, options.key ?? key, options.timeout ?? 30);
    this.retries = new Retries(options.retryFor ?? 60);
  }

  /** Submit a task; once this resolves, the service has it, durably. */
  async submit(payload: Payload, options: SubmitOptions = {}): Promise<Task> {
    const taskId = options.taskId ?? randomUUID();
    const body = json({ ...options, taskId, payload });
    return this.#task({ method: "POST", path: "/tasks", body }, taskId);
  }

  /**
   * Submit tasks, read as they are needed, in batches: what became of each, in order. Nothing is
   * submitted that nobody iterates for. One that is refused does not affect the others.
   */
  async *submitMany(
    tasks: Iterable<NewTask> | AsyncIterable<NewTask>,
  ): AsyncGenerator<SubmitResult, void, undefined> {
    const batcher = new Batcher(this.retries.now);
    const stop = new AbortController();
    const flights: Flight[] = [];
    const send = (batch: Parameters<typeof deliver>[2]) =>
      flights.push(new Flight(deliver(this.http, this.retries, batch, stop.signal)));
    try {
      for await (const task of tasks) {
        const batch = batcher.add(item(task));
        if (batch.length === 0) continue;
        send(batch);
        while (flights.length >= IN_FLIGHT || flights[0]?.done) yield* await flights.shift()!.results;
      }
      send(batcher.rest());
      while (flights.length > 0) yield* await flights.shift()!.results;
    } finally {
      stop.abort();
    }
  }

  /** A task as it is. */
  async get(taskId: string): Promise<Task> {
    return this.#task(look(taskId, 0), taskId);
  }

  /** A task once it has ended, or as it is after so many seconds. */
  async wait(taskId: string, seconds: number): Promise<Task> {
    const { now, draw } = this.retries;
    const ends = now() + seconds;
    let longest = LONGEST_WAIT;
    for (let early = 0; ; ) {
      const began = now();
      const asked = Math.max(0, Math.min(longest, ends - began));
      const first = await this.http.reply(look(taskId, asked));
      const cutOff = asked > 0 && !stays(first);
      // What lies between may end long answers: it is asked for shorter ones.
      if (cutOff) longest = Math.max(SHORTEST_WAIT, (now() - began) / 2);
      const task = await this.#task(look(taskId, 0), taskId, undefined, first);
      const left = ends - now();
      if (["succeeded", "dead", "cancelled"].includes(task.state) || left <= 0) return task;
      early = !cutOff && now() - began < asked / 2 ? early + 1 : 0;
      if (early > 0) await pause(Math.min(backoff(early, draw()), left));
    }
  }

  /** Cancel a task. Throws Conflict where it has ended otherwise. */
  async cancel(taskId: string, said: Said = {}): Promise<Task> {
    const request = { method: "POST", path: path("tasks", taskId, "/cancel"), body: json(said) };
    return this.#task(request, taskId, isCancelled);
  }

  /** All tasks that the filters name, newest first, read page by page. */
  tasks(filters: TaskFilters = {}): AsyncGenerator<Task, void, undefined> {
    return this.#pages("/tasks", filters);
  }

  /** All dead letters that the filters name, the last to die first. */
  deadLetters(filters: DeadLetterFilters = {}): AsyncGenerator<Task, void, undefined> {
    return this.#pages("/dead-letters", filters);
  }

  /** Give a dead letter a fresh set of attempts, with another payload where one is given. */
  async redrive(taskId: string, options: RedriveOptions = {}): Promise<Task> {
    const body = json({ ...options, id: randomUUID() });
    const request = { method: "POST", path: path("dead-letters", taskId, "/redrive"), body };
    return this.#task(request, taskId, isRedriven);
  }

  /** Discard a dead letter: the task is cancelled. */
  async discard(taskId: string, said: Said = {}): Promise<void> {
    const body = json({ ...said, id: randomUUID() });
    await this.#done({ method: "DELETE", path: path("dead-letters", taskId), body }, taskId, isCancelled);
  }

  /** The service's counters. */
  async stats(): Promise<Stats> {
    return JSON.parse(await this.#done({ method: "GET", path: "/stats" })) as Stats;
  }

  /**
   * Transitions of tasks as they happen, without end. They are hints: Lagged tells where some are
   * missing, as after a break of the connection, which is made anew for `retryFor` seconds.
   */
  async *events(): AsyncGenerator<TaskEvent | Lagged, void, undefined> {
    const request = { method: "GET", path: "/events", waits: SILENCE };
    let since = this.retries.now();
    for (let tries = 0, missed = false; ; missed = true) {
      const parser = new Parser();
      let last: Reply = { why: "the stream has ended" };
      for await (const part of this.http.stream(request)) {
        if (!(part instanceof Uint8Array)) {
          last = part;
          continue;
        }
        if (missed) yield { event: "lagged", dropped: null };
        missed = false;
        tries = 0;
        yield* parser.fed(part);
      }
      if (stays(last)) throw refusal(last);
      if (tries === 0) since = this.retries.now();
      tries += 1;
      await pause(this.retries.pause(tries, since, last));
    }
  }

  async *#pages(
    where: string,
    filters: TaskFilters | DeadLetterFilters,
  ): AsyncGenerator<Task, void, undefined> {
    let left = filters.limit ?? Infinity;
    let cursor: string | null = null;
    while (left > 0) {
      const query: Record<string, unknown> = { ...filters, limit: Math.min(left, PAGE), cursor };
      const text = await this.#done({ method: "GET", path: where, query });
      const page = JSON.parse(text) as { tasks: Task[]; nextCursor: string | null };
      yield* page.tasks;
      cursor = page.nextCursor;
      left = cursor === null ? 0 : left - page.tasks.length;
    }
  }

  async #task(request: Request, taskId: string, done?: Done, first?: Reply): Promise<Task> {
    return JSON.parse(await this.#done(request, taskId, done, first)) as Task;
  }

  /** Make a call; the text of its answer, or of the task where an earlier try has done it. */
  async #done(request: Request, taskId?: string, done?: Done, first?: Reply): Promise<string> {
    const about = { ...(taskId === undefined ? {} : { taskId }), ...(first ? { first } : {}) };
    const [answer, tries] = await this.http.insisted(request, this.retries, about);
    try {
      const { status, text } = expected(answer, [200, 202, 204], taskId);
      if (status !== 204) read(answer);
      return text;
    } catch (error) {
      if (tries === 1 || !(error instanceof Conflict) || !done || taskId === undefined) throw error;
      const [now] = await this.http.insisted(look(taskId, 0), this.retries, { taskId });
      if (now.status === 200 && done(read<Task>(now))) return now.text;
      throw error;
    }
  }
}

/** Whether what a call is to do holds of a task as it is. */
type Done = (task: Task) => boolean;

const isCancelled: Done = (task) => task.state === "cancelled";
const isRedriven: Done = (task) =>
  task.redriveCount > 0 && task.state !== "dead" && task.state !== "cancelled";

/** A batch on its way. */
class Flight {
  done = false;

  constructor(readonly results: Promise<readonly SubmitResult[]>) {
    // Whoever iterates hears of a failure; until then it is nobody's.
    results.then(() => (this.done = true), () => (this.done = true));
  }
}

function look(taskId: string, wait: number): Request {
  const request = { method: "GET", path: path("tasks", taskId) };
  return wait > 0 ? { ...request, query: { wait: wait.toFixed(3) }, waits: wait } : request;
}

/** The path of a task. Throws NotFound for an id that no task can have and that no path can hold. */
function path(prefix: string, taskId: string, suffix = ""): string {
  if (taskId === "" || taskId === "." || taskId === ".." || /\p{Surrogate}/u.test(taskId)) {
    throw new NotFound(`no task can have the id "${taskId}"`, undefined, taskId);
  }
  return `/${prefix}/${encodeURIComponent(taskId)}${suffix}`;
}
