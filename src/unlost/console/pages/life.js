/**
 * A task's life as a sequence of steps, oldest first.  Pure.
 *
 * @typedef {{kind: "submitted"|"wait"|"attempt"|"act"|"next", at: string, until?: string|null,
 *   attempt?: object, act?: object, why?: string}} Step
 */

/** @returns {Step[]} */
export function life(task) {
  const steps = [{ kind: "submitted", at: task.submittedAt }];
  const events = [
    ...task.attempts.map((attempt) => ({ kind: "attempt", at: attempt.startedAt, attempt })),
    ...(task.history ?? []).map((act) => ({ kind: "act", at: act.at, act })),
  ].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  let free = task.submittedAt; // since when nothing runs
  let why = "queued";
  for (const event of events) {
    if (event.kind === "attempt") {
      if (free !== null) steps.push({ kind: "wait", at: free, until: event.at, why });
      free = event.attempt.finishedAt;
      why = event.attempt.nextAttemptAt ? "backoff" : "queued";
    } else if (event.act.event === "redrive") {
      free = event.at;
      why = "queued";
    }
    steps.push(event);
  }
  if (task.nextAttemptAt && ["queued", "retrying"].includes(task.state)) {
    steps.push({ kind: "next", at: task.nextAttemptAt, why: task.state });
  }
  return steps;
}
