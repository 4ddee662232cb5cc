/** What an answer means, and when the same call is made again. No I/O. */

import { Conflict, NotFound, Refused, Unavailable, UnlostError, type Problem } from "./errors.js";

/** An answer, with what decides on it. */
export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly retryAfter: string;
  readonly date: string;
}

/**
 * None came; what was asked for may have been done all the same. `wait` are the seconds for which
 * nothing is to be asked again, where that is known.
 */
export interface NoAnswer {
  readonly why: string;
  readonly wait?: number;
}

export type Reply = Answer | NoAnswer;

const URN = "urn:unlost:problem:";
const BASE = 0.2;
const CAP = 5;

/** Whether it is an answer that would be the same if the same call were made again. */
export function stays(reply: Reply): reply is Answer {
  return "status" in reply && !isPassing(reply.status);
}

/** Whether an answer with this status may be another one later. */
export function isPassing(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && status !== 501);
}

/** Seconds that an answer asks to wait, of several the most; 0 where it does not. */
export function askedWait(reply: Reply): number {
  if (!("status" in reply)) return reply.wait ?? 0;
  if (reply.retryAfter === "") return 0;
  // A date has a comma of its own, and is of the server's clock, which the answer's own date tells.
  if (/^[A-Za-z]/.test(reply.retryAfter)) {
    const seconds = (Date.parse(reply.retryAfter) - Date.parse(reply.date)) / 1000;
    return Number.isFinite(seconds) ? Math.max(0, seconds) : 0;
  }
  const given = reply.retryAfter.split(",").map((one) => one.trim());
  return Math.max(0, ...given.filter((one) => /^[0-9]+$/.test(one)).map(Number));
}

/** What a refusal says; of one that is not the service's own, what its status says. */
export function problemOf(answer: Answer): Problem {
  try {
    const found = JSON.parse(answer.text) as Problem;
    if (found.status === answer.status && found.type.startsWith(URN)) return found;
  } catch {
    // it is another's
  }
  const title = `answered ${answer.status}`;
  return { type: "about:blank", title, status: answer.status, detail: title };
}

/** The error that an answer stands for which is no success, and would not change. */
export function refusal(answer: Answer, taskId?: string): UnlostError {
  if (answer.status < 400) return strange(`answered ${answer.status}`);
  const problem = problemOf(answer);
  const message = `${problem.detail || problem.title} (${answer.status})`;
  // A proxy's 404 says nothing of whether there is a task.
  if (problem.type.startsWith(URN)) {
    if (answer.status === 404) return new NotFound(message, problem, taskId);
    if (answer.status === 409) return new Conflict(message, problem, taskId);
  }
  return new Refused(message, problem, taskId);
}

/** What an answer holds, as it is on the wire. */
export function read<T>(answer: Answer): T {
  try {
    return JSON.parse(answer.text) as T;
  } catch {
    throw strange("no JSON");
  }
}

/** The error of what is no answer of the service. */
export function strange(why: string): UnlostError {
  return new UnlostError(`this is not the answer of an unlost service (${why})`);
}

/** Seconds before try number `tries` + 1: at random from the upper half of a wait that doubles. */
export function backoff(tries: number, draw: number): number {
  return Math.min(CAP, BASE * 2 ** (tries - 1)) * (0.5 + 0.5 * draw);
}

/** How long calls are made again: `retryFor` seconds from the first try. */
export class Retries {
  constructor(
    readonly retryFor: number,
    readonly now: () => number = () => performance.now() / 1000,
    readonly draw: () => number = Math.random,
  ) {}

  /** Seconds before the next try. Throws Unavailable where that would be too late. */
  pause(tries: number, since: number, reply: Reply, taskId?: string): number {
    const wait = Math.max(backoff(tries, this.draw()), askedWait(reply));
    if (this.now() + wait <= since + this.retryFor) return wait;
    const problem = "status" in reply ? problemOf(reply) : undefined;
    const why = "status" in reply ? `${problem?.detail || problem?.title} (${reply.status})` : reply.why;
    const times = tries === 1 ? "once" : `${tries} times in ${(this.now() - since).toFixed(0)} s`;
    throw new Unavailable(`${why}; tried ${times}`, problem, taskId);
  }
}
