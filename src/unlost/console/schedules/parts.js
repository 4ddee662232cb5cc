/** What the pages about schedules share. */
import { h } from "../parts/dom.js";
import { counted, when } from "../parts/format.js";
import { members } from "../parts/jsontext.js";

/** The path of a schedule: its id has no sign that a path would change. */
export function schedulePath(id, act = "") {
  return `/schedules/${encodeURIComponent(id)}${act && `/${act}`}`;
}

/** A schedule of an answer: its members as values, but `payload` as the text that it is. */
export function readSchedule(found) {
  return Object.fromEntries([...members(found)].map(([name, value]) =>
    [name, name === "payload" ? value : JSON.parse(value)]));
}

/** When a schedule is due, as it was written. */
export function timesOf({ cron, every: seconds }) {
  return cron ?? `every ${counted(seconds, "second")}`;
}

/** Times as a list; `paused` says why there is none. */
export function nextTimes(times, paused = false) {
  if (paused) return h("p", { class: "quiet" }, "It is paused: no time comes to a task.");
  if (!times.length) return h("p", { class: "quiet" }, "No time is to come.");
  return h("ol", { class: "next" }, times.map(({ at, local }) => h("li", {},
    h("code", {}, local.replace("T", " ")), " ", h("span", { class: "quiet" }, when(at)))));
}

/** What to know of its times. */
export function warned(warnings) {
  return warnings.map(({ detail }) =>
    h("p", { class: "warned" }, detail.slice(0, 1).toUpperCase() + detail.slice(1)));
}
