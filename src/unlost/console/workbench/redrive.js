/** Redriving some dead letters: the question with its preview; the service does it by itself. */
import { callId, send } from "../parts/api.js";
import { ask } from "../parts/dialog.js";
import { h } from "../parts/dom.js";
import { count, counted } from "../parts/format.js";
import { pretty } from "../parts/jsontext.js";
import { note, trouble } from "../parts/notes.js";
import { address } from "../parts/router.js";
import { again, named, namesField, stepsField } from "../parts/steps.js";
import { byField, reasonField, rememberBy, words } from "../parts/words.js";

const MOST_IDS = 1_000;

/**
 * Ask, begin the redrive, and go to its page.
 * @param {{what: string, total: number, sample: object | null, ids?: string[], query?: object}} chosen
 *   which ones (by `ids`, or all that `query` finds), in words, and one that is shown
 */
export async function redrive(chosen) {
  if (chosen.ids?.length > MOST_IDS) {
    note(`One redrive takes at most ${count(MOST_IDS)} that were chosen.`);
    return;
  }
  const given = await ask({
    title: `Redrive ${chosen.what}?`,
    says: [
      `${counted(chosen.total, "task")} ${chosen.total === 1 ? "gets" : "get"} a fresh set of `
        + "attempts. Their history stays.",
      preview(chosen),
      chosen.total === 1 ? stepsField(chosen.sample ?? {}) : null,
      choices(chosen.total),
    ],
    fields: [byField(), reasonField()],
    act: (answers) => inWords(planOf(answers), chosen.total) + again(answers),
  });
  if (given === null) return;
  rememberBy(given);
  const body = { id: callId(), ...planOf(given), ...selectors(chosen), ...words(given) };
  try {
    const begun = await (await send("POST", "/redrives", body)).json();
    location.hash = address(["redrives", begun.id]);
  } catch (error) {
    trouble(error);
  }
}

/** What was chosen in the form, as the service takes it.  Pure. */
export function planOf(answers) {
  const { how, rate, tolerate } = answers;
  const names = named(answers);
  return {
    canary: how === undefined || how === "canary" ? 1 : 0,
    tolerate: how === "all" ? null : Math.max(0, Math.floor(Number(tolerate)) || 0),
    ...(Number(rate) > 0 && { ratePerSecond: Number(rate) }),
    ...(names.length > 0 && { forget: names }),
  };
}

/** What is about to happen, in words that fit a button.  Pure. */
export function inWords({ canary, ratePerSecond }, total) {
  const pace = ratePerSecond === undefined ? "" : ` at ${ratePerSecond} a second`;
  if (total === 1) return "Redrive 1 task";
  if (!canary) return `Redrive ${count(total)} tasks${pace}`;
  return `Redrive 1 as canary, then ${count(total - 1)}${pace}`;
}

/** What was chosen, as the selectors of a redrive.  Pure. */
export function selectors({ ids, query = {} }) {
  if (ids) return { taskIds: ids };
  const { error, type } = query;
  const given = { ...(error && { fingerprint: error }), ...(type && { type }) };
  return Object.keys(given).length ? given : { all: true };
}

function preview({ sample, total }) {
  if (sample === null) return null;
  return h(
    "div",
    { class: "preview" },
    h("p", {}, total > 1 ? "One of them: " : "", h("code", {}, sample.taskId)),
    sample.payload && h("details", {}, h("summary", {}, "Its payload"),
      h("pre", { tabindex: 0, "aria-label": "Payload of one of them" }, pretty(sample.payload))),
  );
}

function choices(total) {
  if (total === 1) return null;
  return h(
    "fieldset",
    {},
    h("legend", {}, "How"),
    choice("canary", "One first, as a canary; the others only if it succeeds, and never more on "
      + "their way than have succeeded", true),
    choice("guarded", "All of them, without a canary; it stops when too many die again"),
    choice("all", "All of them, whatever becomes of them"),
    h("div", { class: "pair" },
      number("rate", "At most this many a second", 10, 0.001),
      number("tolerate", "So many may die again", 0, 0)),
    namesField(),
    h("p", { class: "quiet" }, "The oldest death goes first. The service does it by itself: it "
      + "goes on when this page is closed."),
  );
}

function choice(value, label, checked = false) {
  return h("label", { class: "choice" }, h("input", { type: "radio", name: "how", value, checked }),
    label);
}

function number(name, label, value, min) {
  return h("label", { class: "field" }, label, h("input", { type: "number", name, value, min,
    step: "any", inputmode: "decimal" }));
}
