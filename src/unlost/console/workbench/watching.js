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
    this.open = new Map(); // id → the last state that is known
    this.signal = signal;
    onEvents((events) => events.forEach((event) => this.hear(event)), signal);
  }

  add(ids) {
    for (const id of ids) this.open.set(id, "queued");
  }

  hear({ taskId, state }) {
    if (!this.open.has(taskId)) return;
    if (!ended(state)) {
      this.open.set(taskId, state);
      return;
    }
    this.open.delete(taskId);
    this.counts[FOUND[state]] += 1;
    if (state === "dead" && this.fallen.length < MOST_NAMED) this.fallen.push(taskId);
  }

  /** Ask for those that were not asked for longest.  Who does not answer is asked again. */
  async look() {
    const some = [...this.open.keys()].slice(0, ASKED_AT_ONCE);
    await Promise.allSettled(some.map((id) => this.ask(id)));
  }

  async ask(id) {
    const task = await json(taskPath("tasks", id), { signal: this.signal });
    const state = this.open.get(id);
    if (state === undefined) return; // an event was quicker
    this.open.delete(id);
    this.open.set(id, state); // to the end of the line
    this.hear(task);
  }
}
