/** What the times of a schedule came to: a strip of the newest, and the last ones by name. */
import { h, svg } from "../parts/dom.js";
import { count, counted, moment } from "../parts/format.js";
import { address } from "../parts/router.js";

const IN_STRIP = 120;
const IN_TABLE = 20;
const REASONS = {
  missed: "missed: it was too late",
  superseded: "missed: one task was made for a newer time",
  overlap: "the task before had not ended",
  paused: "paused",
  changed: "the times were changed",
  made_before: "its task was there already",
};

/** How a tick is coloured: what was made, what was lost to lateness, what somebody wanted so. */
export function toneOf({ reason }) {
  if (reason === null || reason === "made_before") return "succeeded";
  return reason === "missed" || reason === "superseded" ? "retrying" : "cancelled";
}

/** What a time came to, in a word. */
export function outcome(tick) {
  return h("span", { class: `mark tone-${toneOf(tick)}` }, tick.reason === null ? "made" : "skipped");
}

/** The newest ticks, newest first as the service tells them. */
export function history(ticks) {
  if (!ticks.length) return h("p", { class: "quiet" }, "No time of it has come yet.");
  const drawn = ticks.slice(0, IN_STRIP);
  const made = drawn.filter(({ reason }) => reason === null).length;
  return [
    strip([...drawn].reverse()),
    h("p", { class: "quiet" }, `Of the last ${counted(drawn.length, "time")} `
      + `${count(made)} made, ${count(drawn.length - made)} skipped; the newest is on the right.`),
    h("table", { class: "ticks" },
      h("caption", { class: "unseen" }, "The newest times"),
      h("thead", {}, h("tr", {}, ["Time, by the clock here", "Came to"].map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, ticks.slice(0, IN_TABLE).map(row))),
  ];
}

function row(tick) {
  const { time, taskId, reason } = tick;
  return h("tr", {},
    h("td", {}, h("time", { datetime: time }, moment(time).slice(0, -4))),
    h("td", {}, outcome(tick), " ", taskId
      ? h("a", { href: address(["task", taskId]), "data-key": taskId }, taskId)
      : h("span", { class: "quiet" }, REASONS[reason] ?? reason)));
}

/** A cell for each tick; what it says is also text, so that it is hidden from screen readers. */
function strip(ticks) {
  return svg("svg", { class: "strip", viewBox: `0 0 ${IN_STRIP} 12`, preserveAspectRatio: "none",
    "aria-hidden": "true" },
  ticks.map((tick, index) => svg("rect", { x: IN_STRIP - ticks.length + index, y: 0, width: 0.8,
    height: 12, class: `tone-${toneOf(tick)}` })));
}
