/** The counts over the last minutes, polled for the whole page: what the plots are made of. */
import { json } from "./api.js";
import { collector } from "./latency.js";
import { onEvents } from "./live.js";
import { every } from "./timing.js";

/** Seconds between two looks, and how many looks are kept: ten minutes. */
export const EVERY = 2;
export const MOST = 300;

/** @type {{at: number, stats: object, wait: object | null, run: object | null}[]} */
const samples = [];
const listeners = new Set();
const latency = collector();
let failure = null;

/** The samples, oldest first. */
export function history() {
  return samples;
}

/** Hear `(latest sample or undefined, error or null)` now and after each look. */
export function onSample(hear, signal) {
  listeners.add(hear);
  signal.addEventListener("abort", () => listeners.delete(hear));
  hear(samples.at(-1), failure);
}

/** Look for as long as the page lives. */
export function watch() {
  const never = new AbortController().signal;
  onEvents((events) => events.forEach(latency.hear), never);
  every(EVERY, look, never, tell);
  for (const change of ["online", "offline"]) addEventListener(change, () => look().catch(tell));
}

/** Look now. */
export async function look() {
  const stats = await json("/stats");
  samples.push({ at: Date.now(), stats, ...latency.take() });
  if (samples.length > MOST) samples.shift();
  tell(null);
}

function tell(error) {
  failure = error;
  for (const hear of [...listeners]) hear(samples.at(-1), error);
}
