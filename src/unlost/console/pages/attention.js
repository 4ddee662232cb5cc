/** What needs somebody: what fails and since when, what waits, what is held back. */
import { json, text } from "../parts/api.js";
import { h, swap } from "../parts/dom.js";
import { count, counted, cut, duration, when } from "../parts/format.js";
import { onSample } from "../parts/history.js";
import { MISSING, offers } from "../parts/offers.js";
import { address } from "../parts/router.js";
import { every } from "../parts/timing.js";
import { keepLooking } from "../workbench/deaths.js";

const MOST_GROUPS = 5;
const LONG_WAIT = 60;

/** The section; it looks for itself until `signal` is aborted. */
export function attention(signal) {
  const failing = h("div", {});
  const waiting = h("ul", { class: "facts" });
  const held = h("ul", { class: "facts" });
  const found = { oldest: null, stats: null, missing: null };

  onSample((sample) => {
    found.stats = sample?.stats ?? null;
    drawWaiting(waiting, found);
  }, signal);
  every(5, async () => {
    Object.assign(found, await oldestWaiting(signal));
    drawWaiting(waiting, found);
  }, signal);
  keepLooking(async () => swap(failing, failures(await groups(signal))), signal);
  every(5, async () => swap(held, await controls(signal)), signal);
  return h("section", { class: "attention" }, h("h2", {}, "What needs you"), failing, waiting, held);
}

async function groups(signal) {
  return (await json("/dead-letters/groups", { signal })).groups;
}

function failures(found) {
  if (!found.length) return h("p", { class: "calm" }, "No dead letters.");
  return [
    h("ol", { class: "failing" }, found.slice(0, MOST_GROUPS).map((group) =>
      h("li", {}, h("a", { href: address(["dead", group.fingerprint]),
        "data-key": group.fingerprint },
      h("b", { class: "number" }, count(group.count)), " ", group.errorType),
      h("span", { class: "sample" }, cut(group.sample, 160)),
      h("small", { class: "quiet" }, "since ", when(group.firstAt), ", last ",
        when(group.lastAt))))),
    found.length > MOST_GROUPS && h("p", {}, h("a", { href: "#/dead" },
      `and ${counted(found.length - MOST_GROUPS, "other error")}`)),
  ];
}

async function oldestWaiting(signal) {
  if (!(await offers("/metrics"))) return { missing: MISSING["/metrics"] };
  const found = /^unlost_oldest_waiting_seconds(?:\{[^}]*\})? ([0-9.e+-]+)/m
    .exec(await text("/metrics", { signal }));
  return { oldest: found && Number(found[1]) };
}

function drawWaiting(list, { oldest, stats, missing }) {
  const unhandled = stats?.unhandledTypes ?? [];
  swap(
    list,
    missing && h("li", { class: "quiet" }, missing),
    oldest !== null && h("li", { class: oldest > LONG_WAIT ? "warned" : "" },
      oldest > 0 ? ["The oldest due task waits for ", h("b", {}, duration(oldest)), "."]
        : "No due task waits."),
    unhandled.slice(0, 20).map((type) => h("li", { class: "warned" }, "No worker handles ",
      h("a", { href: address(["tasks"], { type, state: "queued" }) }, type), ", which waits.")),
  );
}

async function controls(signal) {
  if (!(await offers("/types"))) return h("li", { class: "quiet" }, MISSING["/types"]);
  const { types } = await json("/types", { signal });
  return heldBack(types).map(({ type, says, since }) => h("li", { class: "warned" },
    h("a", { href: address(["tasks"], { type }) }, type), ` ${says}`,
    since && [", since ", when(since)], "."));
}

/** What is held back, of the controls by type.  Pure. */
export function heldBack(types) {
  const found = [];
  for (const { type, pause, circuit, circuitSince, opensUntil } of types) {
    if (pause) {
      const by = pause.by ? ` by ${pause.by}` : "";
      const why = pause.reason ? `: ${pause.reason}` : "";
      found.push({ type, says: `is paused${by}${why}`, since: pause.at });
    }
    if (circuit === "open" || circuit === "half_open") {
      const until = circuit === "open" && opensUntil ? "; it is tried again soon" : "";
      const says = circuit === "open" ? `has an open circuit breaker${until}`
        : "is being tried by its circuit breaker";
      found.push({ type, says, since: circuitSince });
    }
  }
  return found;
}
