/**
 * What becomes of the tasks that were redriven: events tell at once, and each is asked for now and
 * then, since events are hints and some homes have none.
 */
import { json, taskPath } from "../parts/api.js";
import { onEvents } from "../parts/live.js";
import { ended } from "../parts/states.js";

const ASKED_AT_ONCE = 10;
const MOST_NAMED = 5;
const FOUND = { succeeded: "succeeded", dead: "died", cancelled: "cancelled" };

/** Watches ids until each has come to its end; `counts` has how many ended how. */
export class Watching {
  constructor(signal) {
    this.counts = { succeeded: 0, died: 0, cancelled: 0 };
    /** The first that died again. @type {string[]} */
    this.fallen = [];
    this.open = new Set(); // in the order in which they were last asked for
    this.stumbling = new Set(); // have failed an attempt, and are tried again
    this.signal = signal;
    onEvents((events) => events.forEach((event) => this.hear(event)), signal);
  }

  add(ids) {
    for (const id of ids) this.open.add(id);
  }

  hear({ taskId, state }) {
    if (!this.open.has(taskId)) return;
    if (state === "retrying") this.stumbling.add(taskId);
    if (!ended(state)) return;
    this.open.delete(taskId);
    this.stumbling.delete(taskId);
    this.counts[FOUND[state]] += 1;
    if (state === "dead" && this.fallen.length < MOST_NAMED) this.fallen.push(taskId);
  }

  /** Ask for those that were not asked for longest.  Who does not answer is asked again. */
  async look() {
    const some = [...this.open].slice(0, ASKED_AT_ONCE);
    await Promise.allSettled(some.map((id) => this.ask(id)));
  }

  async ask(id) {
    const task = await json(taskPath("tasks", id), { signal: this.signal });
    if (!this.open.delete(id)) return; // an event was quicker
    this.open.add(id); // at the end of the line
    this.hear(task);
  }
}
