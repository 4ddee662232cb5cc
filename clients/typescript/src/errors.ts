/** What a call can end with, other than what it was made for. */

/** One thing that is wrong: at a `pointer` into the body, or in a `parameter` of the query. */
export interface Fault {
  readonly detail: string;
  readonly pointer?: string;
  readonly parameter?: string;
}

/** A refusal as the service tells it (RFC 9457). */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly errors?: readonly Fault[];
}

/** A call has failed. */
export class UnlostError extends Error {
  /** What the service said, if it said something. */
  readonly problem: Problem | undefined;
  /** The id of the task that the call was about, also where the client had made it. */
  readonly taskId: string | undefined;

  constructor(message: string, problem?: Problem, taskId?: string) {
    super(message);
    this.name = new.target.name;
    this.problem = problem;
    this.taskId = taskId;
  }
}

/**
 * It does not go with what is there (409): the id is another task's, or the task's state does not
 * allow the call.
 */
export class Conflict extends UnlostError {}

/** Nothing has this id (404), or nothing that the key may see. */
export class NotFound extends UnlostError {}

/** The service does not do this, and would not later: `problem` says why. */
export class Refused extends UnlostError {}

/**
 * No answer, or "not now" (429, 5xx), for as long as the client tries. What the call was to do may
 * have been done: make the same call again, with the same ids.
 */
export class Unavailable extends UnlostError {}
