/** What a service is sent and answers, as it is on the wire. Times are RFC 3339 in UTC. */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** A JSON object. A number that is no finite one is refused: `TypeError`. */
export type Payload = { readonly [name: string]: unknown };

export type State = "queued" | "running" | "retrying" | "succeeded" | "dead" | "cancelled";

/** Options of a task: the members of `POST /tasks`. */
export interface TaskOptions {
  readonly type?: string;
  readonly priority?: number;
  readonly delaySeconds?: number;
  readonly runAt?: Date | string;
  readonly maxRetries?: number;
  readonly timeoutSeconds?: number;
  readonly key?: string;
  readonly callbackUrl?: string;
}

/** Options of one that is submitted; an id that is left out is made before the first try. */
export interface SubmitOptions extends TaskOptions {
  readonly taskId?: string;
}

/** One of many. */
export interface NewTask extends SubmitOptions {
  readonly payload: Payload;
}

/** Who does something, and why: kept with what was done. */
export interface Said {
  readonly by?: string;
  readonly reason?: string;
}

/** The same of a redrive, and which recorded steps it forgets, so that they run again. */
export interface RedriveOptions extends Said {
  readonly payload?: Payload;
  readonly forget?: true | readonly string[];
}

export type Part = "payload" | "result" | "attempts" | "traceback" | "why";

/** Which tasks a list has; `limit` is the most that it gives in all. */
export interface TaskFilters {
  readonly state?: State;
  readonly type?: string;
  readonly idPrefix?: string;
  readonly parent?: string;
  readonly since?: Date | string;
  readonly until?: Date | string;
  readonly include?: readonly Part[];
  readonly limit?: number;
}

/** Which dead letters a list has. `error` is a fingerprint or an error type. */
export interface DeadLetterFilters {
  readonly type?: string;
  readonly error?: string;
  readonly include?: readonly Part[];
  readonly limit?: number;
}

export interface ErrorInfo {
  readonly type: string;
  readonly message: string;
  readonly traceback?: string | null;
}

export interface Attempt {
  readonly number: number;
  readonly startedAt: string;
  readonly finishedAt: string | null;
  readonly outcome: string | null;
  readonly error: ErrorInfo | null;
  readonly nextAttemptAt?: string;
  readonly excused?: boolean;
}

export interface Act {
  readonly at: string;
  readonly event: string;
  readonly by: string | null;
  readonly reason: string | null;
}

/** An effect that an attempt has recorded. */
export interface Step {
  readonly name: string;
  readonly attempt: number;
  readonly at: string;
  readonly forgottenAt?: string;
  readonly kept?: boolean;
  readonly result?: Json;
}

/** A task. In lists, the big members are there only where `include` names them. */
export interface Task {
  readonly taskId: string;
  readonly type: string;
  readonly state: State;
  readonly submittedAt: string;
  readonly updatedAt: string;
  readonly attemptCount: number;
  readonly excusedCount?: number;
  readonly maxRetries: number;
  readonly redriveCount: number;
  readonly nextAttemptAt: string | null;
  readonly error: ErrorInfo | null;
  readonly payload?: { readonly [name: string]: Json } | null;
  readonly result?: Json;
  readonly attempts?: readonly Attempt[];
  readonly history?: readonly Act[];
  readonly key?: string;
  readonly callbackUrl?: string;
  readonly purgedAt?: string;
  readonly submittedBy?: string;
  readonly parent?: string;
  readonly steps?: readonly Step[];
  readonly schedule?: { readonly id: string; readonly time: string };
}

/** What became of one task of many: the status that a single submit would have got. */
export interface SubmitResult {
  readonly taskId: string | null;
  readonly status: number;
  readonly detail?: string;
}

/** The service's counters, in one snapshot. `lost` is 0. */
export interface Stats {
  readonly accepted: number;
  readonly outstanding: number;
  readonly lost: number;
  readonly states: { readonly [state in State]: number };
  readonly rates: { readonly submittedPerSecond: number; readonly settledPerSecond: number };
  readonly unhandledTypes: readonly string[];
}

/** A transition of a task that has happened. */
export interface TaskEvent {
  readonly event: "task";
  readonly taskId: string;
  readonly type: string;
  readonly state: State;
  readonly attempt: number;
  readonly at: string;
}

/** Here some events are missing: so many, or null where the stream had broken. */
export interface Lagged {
  readonly event: "lagged";
  readonly dropped: number | null;
}
