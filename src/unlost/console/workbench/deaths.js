/** When to look at the dead letters again: now and then, and soon after one died or left. */
import { onEvents } from "../parts/live.js";
import { every, soon } from "../parts/timing.js";

const EVERY = 5;
const SOON = 1;

/** Call `look` now and whenever the dead letters may have changed, until `signal` is aborted. */
export function keepLooking(look, signal, failed = () => {}) {
  const again = soon(SOON, () => signal.aborted
    || look().catch((error) => signal.aborted || failed(error)));
  // A redrive or a discard shows as a task that is queued or cancelled, with attempts behind it.
  const tells = ({ state, attempt }) => state === "dead" || (attempt > 0
    && (state === "queued" || state === "cancelled"));
  onEvents((events) => events.some(tells) && again(), signal);
  return every(EVERY, look, signal, failed);
}
