/**
 * What a trial redrive does next.  Pure: what has happened so far goes in, a decision comes out.
 *
 * The canary goes alone.  Only once it has succeeded come the others, as fast as the rate allows,
 * and no more at a time than can be watched.  They stop by themselves when too many of those that
 * were redriven die again, and hold while so many stumble, since those may be about to die.
 *
 * @typedef {{total: number, canary: boolean, rate: number | null, stopAfter: number}} Plan
 *   `total` counts all of them; `rate` is how many a second (null: no bound); it stops once
 *   `stopAfter` of those that were redriven have died again.
 * @typedef {{redriven: number, succeeded: number, died: number, cancelled: number,
 *   stumbling: number, seconds: number}} Course
 *   `stumbling` have failed an attempt and are tried again; `seconds` have passed since the first after the canary might go.
 * @typedef {{act: "redrive", number: number} | {act: "wait"} | {act: "hold"}
 *   | {act: "stop", why: string}
 *   | {act: "done"}} Decision
 */

/** How many may be on their way at once: each of them is watched. */
export const MOST_OPEN = 200;

/** @param {Plan} plan @param {Course} course @returns {Decision} */
export function decide(plan, course) {
  const settled = course.succeeded + course.died + course.cancelled;
  const open = course.redriven - settled;
  const stopped = reasonToStop(plan, course);
  if (stopped !== null) return { act: "stop", why: stopped };
  if (course.redriven >= plan.total) return open > 0 ? { act: "wait" } : { act: "done" };
  if (plan.canary && course.redriven === 0) return { act: "redrive", number: 1 };
  if (plan.canary && course.redriven === 1 && settled === 0) return { act: "wait" };
  if (course.died + course.stumbling >= plan.stopAfter) return { act: "hold" };
  const number = Math.min(plan.total - course.redriven, MOST_OPEN - open, due(plan, course));
  return number > 0 ? { act: "redrive", number } : { act: "wait" };
}

/** Why nothing more may be redriven, or null. */
function reasonToStop(plan, { redriven, succeeded, died, cancelled }) {
  if (plan.canary && redriven === 1 && succeeded + died + cancelled === 1 && !succeeded) {
    const end = died ? "died again" : "was cancelled";
    return plan.total === 1 ? `It ${end}.` : `The canary ${end}. Nothing else was redriven.`;
  }
  if (died > 0 && died >= plan.stopAfter) {
    return died === 1 ? "It failed again: 1 died." : `It failed again: ${died} died.`;
  }
  return null;
}

/** How many the rate allows by now, beyond those that went. */
function due({ rate, canary }, { redriven, seconds }) {
  if (rate === null) return Infinity;
  return Math.floor(seconds * rate) + 1 - (redriven - (canary ? 1 : 0));
}

/** What is about to happen, in words that fit a button. */
export function inWords({ total, canary, rate }) {
  const pace = rate === null ? "" : ` at ${rate} a second`;
  if (total === 1) return "Redrive 1 task";
  if (!canary) return `Redrive ${total.toLocaleString("en")} tasks${pace}`;
  return `Redrive 1 as canary, then ${(total - 1).toLocaleString("en")}${pace}`;
}
