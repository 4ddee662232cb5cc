/** One task: its life, what it was given, what came of it, and what can be done with it. */
import { Refused, text, withQuery } from "../parts/api.js";
import { taskPath } from "../parts/api.js";
import { code } from "../parts/code.js";
import { h, swap } from "../parts/dom.js";
import { counted, when } from "../parts/format.js";
import { readTask } from "../parts/jsontext.js";
import { isLive, onEvents } from "../parts/live.js";
import { address } from "../parts/router.js";
import { ended, mark } from "../parts/states.js";
import { stepsTable } from "../parts/steps.js";
import { every, soon } from "../parts/timing.js";
import { acts } from "./acts.js";
import { failure, timeline } from "./timeline.js";

const POLLED = 5;

/** Fill the page. */
export async function taskPage(main, { rest: [taskId = ""] }, signal) {
  const shown = h("div", { class: "task" }, h("p", { class: "quiet" }, "Looking…"));
  const waits = h("p", { class: "waits", hidden: true });
  swap(main, h("h1", { class: "id" }, taskId), waits, shown);
  let last = null;
  let lastWhy = null;

  async function look() {
    const found = await text(taskPath("tasks", taskId), { signal });
    if (found !== last) {
      const family = await followUps(readTask(found), signal);
      last = found;
      swap(shown, content(readTask(found), look, family));
    }
    if (isWaiting(readTask(found))) tellWhy(await text(taskPath("tasks", taskId, "why"), { signal }));
    else waits.hidden = true;
  }

  /** What it waits for may change while the task does not. */
  function tellWhy(found) {
    const why = JSON.parse(found);
    waits.hidden = !isWaiting(why);
    if (found === lastWhy) return;
    lastWhy = found;
    swap(waits, h("b", {}, why.detail), " ", why.wouldChange,
      why.until && [" That is ", when(why.until), "."]);
  }

  const again = soon(0.1, () => signal.aborted || look().catch(() => {}));
  onEvents((events) => events.some((event) => event.taskId === taskId) && again(), signal);
  every(POLLED, async () => {
    if (last === null || !isLive() || !ended(readTask(last).state)) await look();
  }, signal, (error) => last === null && swap(shown, missing(error)));
}

/** Whether a task, or what is said of one, waits for an attempt.  Pure. */
export function isWaiting({ state }) {
  return ["queued", "retrying"].includes(state);
}

function missing(error) {
  return h("p", { class: error instanceof Refused && error.status === 404 ? "empty" : "alarm" },
    error instanceof Refused && error.status === 404 ? "No task has this id." : error.message);
}

/** What followed from a task, in order, as far as the key in use may see it. */
async function followUps(task, signal) {
  if (task.state !== "succeeded") return [];
  const asked = withQuery("/tasks", { parent: task.taskId, limit: 40 });
  try {
    return JSON.parse(await text(asked, { signal })).tasks.reverse();
  } catch (error) {
    if (error instanceof Refused && error.status === 403) return [];
    throw error;
  }
}

function content(task, look, family) {
  return [
    h("div", { class: "head" }, facts(task), acts(task, look)),
    task.purgedAt && h("p", { class: "warned" }, "Its payload, result and attempts were purged ",
      when(task.purgedAt), "."),
    task.state === "dead" && task.error && h("section", { class: "alarm" },
      h("h2", {}, "Why it died"), failure(task.error, "death")),
    h("div", { class: "split" },
      h("section", {}, h("h2", {}, "Life"), timeline(task), stepsTable(task)),
      h("div", {}, code("Payload", task.payload), task.result !== "null"
        && code("Result", task.result))),
    family.length > 0 && h("section", { class: "family" }, h("h2", {}, "Follow-ups"),
      h("ul", {}, family.map((one) => h("li", {}, mark(one.state), " ", link(one.taskId))))),
  ];
}

function link(taskId) {
  return h("a", { href: address(["task", taskId]) }, taskId);
}

function facts(task) {
  return h(
    "dl",
    { class: "facts-in-line" },
    fact("State", mark(task.state)),
    fact("Type", h("a", { href: address(["tasks"], { type: task.type }) }, task.type)),
    fact("Attempts", `${task.attemptCount} (${counted(task.maxRetries, "retry").replace("rys",
      "ries")} allowed${task.excusedCount ? `, ${task.excusedCount} excused` : ""})`),
    task.key !== undefined && fact("Key", task.key),
    task.parent !== undefined && fact("Followed from", link(task.parent)),
    fact("Submitted", when(task.submittedAt)),
    fact("Changed", when(task.updatedAt)),
    task.redriveCount > 0 && fact("Redriven", counted(task.redriveCount, "time")),
  );
}

function fact(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}
