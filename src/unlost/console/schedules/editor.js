/** A schedule while it is written: its next times and what to know of them are shown as one types. */
import { Refused, json, send, text, withQuery } from "../parts/api.js";
import { h, say, swap } from "../parts/dom.js";
import { fault, pretty } from "../parts/jsontext.js";
import { note } from "../parts/notes.js";
import { address } from "../parts/router.js";
import { soon } from "../parts/timing.js";
import { nextTimes, readSchedule, schedulePath, warned } from "./parts.js";

/** What is not asked for in the form and stays as it is. */
const KEPT = ["priority", "maxRetries", "timeoutSeconds", "key", "callbackUrl", "graceSeconds"];
const NEW = { cron: "0 6 * * *", timezone: "UTC", type: "default", payload: "{}", missed: "last",
  overlap: "allow" };
const CHOICES = {
  missed: { last: "one task, for the newest", skip: "none", all: "one each, up to 1,000" },
  overlap: { allow: "is made beside it", skip: "is skipped" },
};

/** Fill the page with the form for a schedule; without an id, for a new one. */
export async function editor(main, id, signal) {
  swap(main, h("h1", {}, id ? `Edit ${id}` : "New schedule"), h("p", { class: "quiet" }, "Looking…"));
  const before = id ? readSchedule(await text(schedulePath(id), { signal })) : NEW;
  const wrong = h("p", { class: "wrong", role: "alert" });
  const preview = h("div", { class: "preview", "aria-live": "polite" });
  const form = h("form", { class: "schedule", onsubmit: (event) => {
    event.preventDefault();
    save(form, before, id, wrong);
  } }, fields(before, id), h("section", {}, h("h2", {}, "It would be due"), preview), wrong,
  h("div", { class: "acts" }, h("button", { type: "submit", class: "primary" }, "Save"),
    h("a", { class: "button", href: address(id ? ["schedule", id] : ["schedules"]) }, "Cancel")));
  swap(main, h("h1", {}, id ? `Edit ${id}` : "New schedule"), form);
  const look = previewer(form, preview, signal);
  form.addEventListener("input", soon(0.25, look));
  look();
}

function fields(before, id) {
  const seconds = before.every !== undefined;
  return [
    !id && field("Id", "id", "", { required: true, pattern: "[A-Za-z0-9._:\\-]{1,200}",
      title: "1 to 200 of A-Z a-z 0-9 . _ - :" }),
    h("div", { class: "pair" },
      select("Due", "kind", { cron: "by a cron expression", every: "every so many seconds" },
        seconds ? "every" : "cron"),
      field("Cron expression, or seconds", "times", seconds ? before.every : before.cron,
        { required: true, maxlength: 1000 })),
    h("div", { class: "pair" },
      field("Time zone", "timezone", before.timezone, { required: true, list: "zones" }),
      field("Type of its tasks", "type", before.type, { required: true, maxlength: 100 })),
    h("datalist", { id: "zones" }, Intl.supportedValuesOf("timeZone").map((value) =>
      h("option", { value }))),
    h("div", { class: "pair" },
      select("Of times that were missed", "missed", CHOICES.missed, before.missed),
      select("A time while its last task runs", "overlap", CHOICES.overlap, before.overlap)),
    h("label", { class: "field" }, h("span", {}, "Payload"), h("textarea", { name: "payload", rows: 6,
      spellcheck: "false" }, pretty(before.payload))),
  ];
}

function field(label, name, value, more = {}) {
  return h("label", { class: "field" }, h("span", {}, label),
    h("input", { name, value, autocomplete: "off", spellcheck: "false", ...more }));
}

function select(label, name, choices, chosen) {
  return h("label", { class: "field" }, h("span", {}, label), h("select", { name },
    Object.entries(choices).map(([value, words]) =>
      h("option", { value, selected: value === chosen }, words))));
}

/** Shows when it would be due, as the form is now; an answer that was overtaken is dropped. */
function previewer(form, preview, signal) {
  let turn = 0;
  return async () => {
    const mine = (turn += 1);
    const { kind, times, timezone } = Object.fromEntries(new FormData(form));
    let shown;
    try {
      const asked = { [kind]: times, timezone, limit: 5 };
      const told = await json(withQuery("/schedule-times", asked), { signal });
      shown = [nextTimes(told.next), warned(told.warnings)];
    } catch (error) {
      shown = h("p", { class: "wrong" }, error.message);
    }
    if (mine === turn && !signal.aborted) swap(preview, shown);
  };
}

async function save(form, before, id, wrong) {
  const given = Object.fromEntries(new FormData(form));
  const bad = fault(given.payload);
  say(wrong, bad ?? "");
  if (bad) return;
  const name = id || given.id;
  try {
    await send("PUT", schedulePath(name), bodyOf(given, before));
  } catch (error) {
    say(wrong, error.message);
    if (!(error instanceof Refused)) throw error;
    return;
  }
  note("Saved.");
  location.hash = address(["schedule", name]);
}

/** What PUT takes, as text: the payload's numbers stay as they were written.  Pure. */
export function bodyOf(given, before) {
  const { kind, times, timezone, type, missed, overlap, payload } = given;
  const due = kind === "every" ? { every: Number(times) } : { cron: times };
  const kept = Object.fromEntries(KEPT.filter((name) => before[name] !== undefined)
    .map((name) => [name, before[name]]));
  const rest = JSON.stringify({ ...kept, ...due, timezone, type, missed, overlap });
  return `${rest.slice(0, -1)},"payload":${payload}}`;
}
