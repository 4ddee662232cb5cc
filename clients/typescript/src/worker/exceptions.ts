/** What a handler throws to say what is to follow, and what is thrown at it. */

/**
 * Thrown by a handler to ask for another attempt, at least `after` seconds from now. It fails the
 * attempt like any error: with no attempt left, the task is dead. With `excused` it was nobody's
 * fault and spends none of the task's retries, as often as the service excuses.
 */
export class Retry extends Error {
  override readonly name = "Retry";
  readonly after: number;
  readonly excused: boolean;

  /** Throws TypeError where `after` is no number from 0 on. */
  constructor(options: { after?: number; excused?: boolean; reason?: string } = {}) {
    const after = options.after ?? 0;
    if (!(after >= 0 && after < Infinity)) throw new TypeError("after is seconds, 0 or more");
    super(options.reason ?? `the handler asked for another attempt after ${after} s`);
    this.after = after;
    this.excused = options.excused ?? false;
  }
}

/** Thrown by a handler to send the task to the dead letters at once. */
export class Reject extends Error {
  override readonly name = "Reject";

  constructor(reason = "") {
    super(reason);
  }
}

/** Why an attempt is to end, or runs no more. */
export type Why = "cancelled" | "timed out" | "lost" | "stopping";

const SAID: { readonly [why in Why]: string } = {
  cancelled: "its task was cancelled",
  "timed out": "it has timed out",
  lost: "it was taken for lost",
  stopping: "its worker stops",
};

/**
 * The reason of a task's signal, and what `once` throws where the attempt runs no more. Whatever the
 * handler does from here on, others may be doing as well.
 */
export class AttemptOver extends Error {
  override readonly name = "AttemptOver";
  readonly why: Why;

  constructor(why: Why) {
    super(`this attempt is to end: ${SAID[why]}`);
    this.why = why;
  }
}

/**
 * Thrown by `once`: the step was made, and what its function returned could not be kept (it is no
 * JSON, or too large, or the task has too many steps). It is not made again.
 */
export class StepNotKept extends Error {
  override readonly name = "StepNotKept";
  readonly step: string;

  constructor(step: string) {
    super(`step "${step}" was made, and what it returned is not kept`);
    this.step = step;
  }
}
