/** A list of tasks as a table: the same columns wherever tasks are listed. */
import { h, say } from "./dom.js";
import { cut, when } from "./format.js";
import { onEvents } from "./live.js";
import { address } from "./router.js";
import { mark } from "./states.js";

/**
 * A table of tasks.  `first` makes the first cell of a row (a checkbox, perhaps).
 * @param {{caption: string, tasks: object[], time: {name: string, of: (task) => string},
 *   first?: (task) => Node, link?: (task) => string}} about
 */
export function taskTable({ caption, tasks, time, first, link = taskAddress }) {
  const error = tasks.some(({ why }) => why) ? "Waits for, or error" : "Error";
  const heads = [first && h("td", {}), "State", "Task", "Type", "Attempts", time.name, error]
    .filter(Boolean);
  return h(
    "table",
    { class: "tasks" },
    h("caption", { class: "unseen" }, caption),
    h("thead", {}, h("tr", {}, heads.map((head) => (typeof head === "string"
      ? h("th", { scope: "col", class: `in-${head.toLowerCase().split(" ").at(-1)}` }, head)
      : head)))),
    h("tbody", {}, tasks.map((task) => row(task, { time, first, link }))),
  );
}

/** Where a task is shown. */
export function taskAddress({ taskId }) {
  return address(["task", taskId]);
}

function row(task, { time, first, link }) {
  return h(
    "tr",
    { "data-task": task.taskId },
    first && h("td", { class: "in-first" }, first(task)),
    h("td", { class: "in-state" }, mark(task.state)),
    h("th", { scope: "row", class: "in-task" },
      h("a", { href: link(task), "data-key": task.taskId }, task.taskId),
      h("small", { class: "quiet narrow" }, task.type)),
    h("td", { class: "in-type" }, task.type),
    h("td", { class: "in-attempts number" }, task.attemptCount),
    h("td", { class: "in-time" }, when(time.of(task))),
    h("td", { class: "in-error" }, waits(task), task.error && [h("b", {}, task.error.type), " ",
      cut(task.error.message, 200)]),
  );
}

/** Why it waits, if it does: until its state changes. */
function waits({ state, why }) {
  return why && ["queued", "retrying"].includes(state)
    && h("span", { class: "waits", title: why.wouldChange }, why.detail, " ");
}

/** Keep the states in a table as they are now, until `signal` is aborted. */
export function keepCurrent(container, signal) {
  onEvents((events) => {
    const last = latest(events);
    for (const shown of container.querySelectorAll("tr[data-task]")) {
      const event = last.get(shown.dataset.task);
      if (event && isAfter(event.at, shown.dataset.at ?? "")) change(shown, event);
    }
  }, signal);
}

/** The last event of each task: those of different processes may come in another order.  Pure. */
export function latest(events) {
  const last = new Map();
  for (const event of events) {
    if (isAfter(event.at, last.get(event.taskId)?.at ?? "")) last.set(event.taskId, event);
  }
  return last;
}

/** Whether one time of the service is not before another, to the microsecond.  Pure. */
export function isAfter(at, other) {
  return at.replace("Z", "") >= other.replace("Z", "");
}

function change(shown, { state, attempt, at }) {
  shown.dataset.at = at;
  const old = shown.querySelector(".mark");
  if (old.dataset.state !== state) {
    old.replaceWith(mark(state));
    shown.querySelector(".waits")?.remove();
    shown.classList.add("changed");
  }
  const attempts = shown.querySelector(".in-attempts");
  say(attempts, String(Math.max(Number(attempts.textContent), attempt)));
}
