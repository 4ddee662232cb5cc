/** The workers, and what they run. */
import { json } from "../parts/api.js";
import { h, swap } from "../parts/dom.js";
import { count, counted, duration } from "../parts/format.js";
import { MISSING, offers } from "../parts/offers.js";
import { address } from "../parts/router.js";
import { every } from "../parts/timing.js";

const MOST = 50;

/** The section; it looks for itself until `signal` is aborted. */
export function workers(signal) {
  const shown = h("div", {});
  every(3, async () => swap(shown, await look(signal)), signal);
  return h("section", {}, h("h2", {}, "Workers"), shown);
}

async function look(signal) {
  if (!(await offers("/workers"))) return h("p", { class: "quiet" }, MISSING["/workers"]);
  const found = (await json("/workers", { signal })).workers;
  if (!found.length) return h("p", { class: "warned" }, "No worker is there.");
  return [
    h("ul", { class: "workers" }, found.slice(0, MOST).map(worker)),
    found.length > MOST && h("p", {}, `and ${counted(found.length - MOST, "other worker")}`),
  ];
}

function worker({ id, types, alone, starting, pull, running, runningCount }) {
  if (starting) return h("li", {}, h("code", {}, id), h("span", { class: "warned" }, " is starting"));
  const rest = runningCount - running.length;
  return h(
    "li",
    {},
    h("code", {}, id),
    h("span", { class: "quiet" }, alone ? " runs one task alone, "
      : ` takes ${types === null ? "every type" : types.join(", ")}${pull ? ", by the API" : ""}, `,
    `${count(runningCount)} running`),
    running.length > 0 && h("ul", {}, running.map(attempt)),
    rest > 0 && h("p", { class: "quiet" }, `and ${count(rest)} more`),
  );
}

function attempt({ taskId, type, attempt, startedAt }) {
  const since = (Date.now() - Date.parse(startedAt)) / 1000;
  return h("li", {}, h("a", { href: address(["task", taskId]), "data-key": taskId }, taskId),
    h("span", { class: "quiet" }, ` ${type}, attempt ${attempt}, for ${duration(since)}`));
}
