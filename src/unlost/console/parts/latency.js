/**
 * How long tasks wait and run, from the events of those that were heard from the start.  Pure.
 *
 * A wait is from submit (or redrive) to the start of the first attempt, with any delay that was
 * asked for; a run is one attempt, whatever its outcome.
 */

const MOST_FOLLOWED = 5_000;
const MOST_SAMPLES = 1_000;

/** A collector: `hear` events, and `take` what was measured since the last time. */
export function collector() {
  const queued = new Map();
  const running = new Map();
  let waits = [];
  let runs = [];

  function hear({ taskId, state, at }) {
    const now = Date.parse(at);
    if (running.has(taskId)) {
      measure(runs, now - running.get(taskId));
      running.delete(taskId);
    }
    if (state === "queued") {
      remember(queued, taskId, now);
    } else {
      if (state === "running") {
        if (queued.has(taskId)) measure(waits, now - queued.get(taskId));
        remember(running, taskId, now);
      }
      queued.delete(taskId);
    }
  }

  function take() {
    const taken = { wait: spread(waits), run: spread(runs) };
    waits = [];
    runs = [];
    return taken;
  }

  return { hear, take };
}

function measure(samples, milliseconds) {
  if (samples.length < MOST_SAMPLES) samples.push(Math.max(0, milliseconds) / 1000);
}

function remember(times, taskId, at) {
  if (times.size >= MOST_FOLLOWED) times.delete(times.keys().next().value);
  times.set(taskId, at);
}

/** Median and 95th percentile in seconds; null of nothing. */
export function spread(samples) {
  if (!samples.length) return null;
  const sorted = [...samples].sort((a, b) => a - b);
  const quantile = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  return { p50: quantile(0.5), p95: quantile(0.95), n: sorted.length };
}
