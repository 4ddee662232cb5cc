/** The life of a task, to look at. */
import { h, svg } from "../parts/dom.js";
import { between, count, duration, moment, when } from "../parts/format.js";
import { mark } from "../parts/states.js";
import { life } from "./life.js";

const MOST = 100;
const ACTS = { redrive: "Redriven", discard: "Discarded", cancel: "Cancelled" };

/** The timeline of a task; of a very long life, its end. */
export function timeline(task) {
  const steps = life(task);
  const shown = steps.slice(-MOST);
  return [
    strip(steps),
    steps.length > MOST && h("p", { class: "quiet" },
      `${count(steps.length - MOST)} earlier steps are left out.`),
    h("ol", { class: "timeline" }, shown.map(step)),
  ];
}

function step(found) {
  switch (found.kind) {
    case "submitted": return entry("submitted", "Submitted", found.at);
    case "wait": return waited(found);
    case "attempt": return attempt(found.attempt);
    case "act": return act(found.act);
    default: return h("li", { class: "step wait" }, Date.parse(found.at) > Date.now()
      ? ["Next attempt ", when(found.at)] : "Due: waits for a worker");
  }
}

function entry(kind, title, at, ...more) {
  return h("li", { class: `step ${kind}` }, h("b", {}, title), " ",
    h("time", { datetime: at, class: "quiet" }, moment(at)), more);
}

function waited({ at, until, why }) {
  const length = between(at, until);
  return h("li", { class: "step wait quiet" }, why === "backoff" ? "Backed off for "
    : "Waited for ", duration(length));
}

function attempt({ number, startedAt, finishedAt, outcome, error, excused }) {
  const ran = finishedAt ? `ran for ${duration(between(startedAt, finishedAt))}` : "runs now";
  return entry(`attempt tone-${outcome ?? "running"}`, `Attempt ${number}`, startedAt, " ",
    mark(outcome ?? "running"), h("span", { class: "quiet" }, excused ? " excused;" : "", ` ${ran}`),
    error && failure(error, `attempt-${number}`));
}

/** An error, with its traceback folded; `key` tells it from others on the page. */
export function failure({ type, message, traceback }, key) {
  return h("div", { class: "failure" }, h("b", {}, type), " ", h("span", {}, message),
    folded(traceback, key));
}

/** A traceback, folded; nothing where there is none. */
export function folded(traceback, key) {
  return traceback && h("details", { "data-key": key },
    h("summary", { "data-key": `${key}-fold` }, "Traceback"),
    h("pre", { tabindex: 0, "aria-label": "Traceback" }, traceback));
}

function act({ at, event, by, reason }) {
  return entry("act", ACTS[event] ?? event, at, h("span", {}, by && [" by ", h("b", {}, by)],
    reason && `: ${reason}`));
}

/** Where the time went: attempts and what was between them, to scale. */
function strip(steps) {
  const spans = steps.filter(({ kind }) => kind === "attempt" || kind === "wait").slice(-MOST);
  if (!spans.length) return null;
  const ends = spans.map((span) => Date.parse(endOf(span)));
  const start = Date.parse(spans[0].at);
  const whole = Math.max(1, Math.max(...ends) - start);
  return svg(
    "svg",
    { class: "strip", viewBox: "0 0 1000 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    spans.map((span, index) => svg("rect", {
      x: ((Date.parse(span.at) - start) / whole) * 1000,
      width: Math.max(3, ((ends[index] - Date.parse(span.at)) / whole) * 1000),
      y: span.kind === "wait" ? 4 : 0,
      height: span.kind === "wait" ? 2 : 10,
      class: span.kind === "wait" ? "tone-wait" : `tone-${span.attempt.outcome ?? "running"}`,
    })),
  );
}

function endOf(span) {
  const end = span.kind === "wait" ? span.until : span.attempt.finishedAt;
  return end ?? new Date().toISOString();
}
