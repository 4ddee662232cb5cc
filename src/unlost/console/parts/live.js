/**
 * What happens, as it happens: one stream of /events for the whole page, while it is seen.
 * Events are hints; who needs the truth asks for the task.
 *
 * @typedef {{taskId: string, type: string, state: string, attempt: number, at: string}} Happened
 */
import { respond } from "./api.js";
import { offers } from "./offers.js";
import { reader } from "./sse.js";
import { sleep, visible } from "./timing.js";

const FIRST_WAIT = 1;
const LONGEST_WAIT = 15;

const listeners = new Set();
const watchers = new Set();
let state = "connecting";

/** Hear all events of a piece of the stream, `hear(Happened[])`, until `signal` is aborted. */
export function onEvents(hear, signal) {
  listeners.add(hear);
  signal.addEventListener("abort", () => listeners.delete(hear));
}

/** Hear whether the stream is `live`, `connecting` or `off` (not offered here). */
export function onLive(hear) {
  watchers.add(hear);
  hear(state);
}

/** Whether events come. */
export function isLive() {
  return state === "live";
}

function become(next) {
  if (state === next) return;
  state = next;
  for (const hear of watchers) hear(next);
}

/** Follow the events for as long as the page lives. */
export async function follow() {
  const never = new AbortController().signal;
  for (let wait = FIRST_WAIT; ; wait = Math.min(LONGEST_WAIT, wait * 2)) {
    await visible(never);
    try {
      if (!(await offers("/events"))) {
        become("off");
        return;
      }
      await stream(() => {
        wait = FIRST_WAIT;
      });
    } catch {
      // Nobody answers, or the key was refused: the pages say so.
    }
    become("connecting");
    await sleep(wait, never);
  }
}

async function stream(started) {
  const left = new AbortController();
  const leave = () => document.hidden && left.abort();
  document.addEventListener("visibilitychange", leave);
  try {
    const { body } = await respond("GET", "/events", { signal: left.signal });
    const pieces = body.pipeThrough(new TextDecoderStream()).getReader();
    const read = reader();
    for (;;) {
      const { done, value } = await pieces.read();
      if (done) return;
      started();
      become("live");
      tell(read(value));
    }
  } finally {
    document.removeEventListener("visibilitychange", leave);
  }
}

function tell(events) {
  const happened = events.filter(({ name }) => name === "task").map(({ data }) => data);
  if (happened.length) for (const hear of [...listeners]) hear(happened);
}
