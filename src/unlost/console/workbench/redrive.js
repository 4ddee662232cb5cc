/** Redriving some dead letters: the question with its preview, then the work. */
import { send } from "../parts/api.js";
import { ask } from "../parts/dialog.js";
import { h } from "../parts/dom.js";
import { count, counted } from "../parts/format.js";
import { pretty } from "../parts/jsontext.js";
import { byField, reasonField, rememberBy, words } from "../parts/words.js";
import { busy, standing, underWay } from "./panel.js";
import { inWords } from "./rules.js";
import { ofIds, ofQuery } from "./source.js";
import { run } from "./trial.js";

const AT_ONCE = 1_000;

/**
 * Ask, then redrive.
 * @param {{what: string, total: number, first: object | null, ids?: string[], query?: object}} chosen
 *   which ones (by `ids`, or all that `query` finds), in words, and the one that is shown
 */
export async function redrive(chosen) {
  if (busy()) return;
  const given = await ask({
    title: `Redrive ${chosen.what}?`,
    says: [
      `${counted(chosen.total, "task")} ${chosen.total === 1 ? "gets" : "get"} a fresh set of `
        + "attempts. Their history stays.",
      preview(chosen),
      choices(chosen.total),
    ],
    fields: [byField(), reasonField()],
    act: (answers) => inWords(planOf(answers, chosen.total)),
  });
  if (given === null) return;
  rememberBy(given);
  const plan = planOf(given, chosen.total);
  const title = `Redrive of ${chosen.what}`;
  await underWay(title, given.how === "service" ? handedOver(chosen, plan, words(given))
    : watched(chosen, plan, words(given)));
}

/** What was chosen in the form, as a plan for the rules. */
export function planOf({ how, rate, stopAfter }, total) {
  return {
    total,
    canary: how === "canary" || total === 1,
    rate: Number(rate) > 0 ? Number(rate) : null,
    stopAfter: Math.max(1, Math.floor(Number(stopAfter)) || 1),
  };
}

function watched(chosen, plan, said) {
  return async (shown, signal) => {
    const source = chosen.ids ? ofIds(chosen.ids) : ofQuery(chosen.query, plan.total);
    const end = await run(plan, source, said, {
      signal,
      course(course, { counts, fallen }) {
        const settled = counts.succeeded + counts.died + counts.cancelled;
        shown.progress(settled, course.total, standing(course, plan.canary && plan.total > 1));
        shown.fallen(fallen);
      },
    });
    return end.act === "done" ? { right: true, text: "Done." } : { right: false, text: end.why };
  };
}

function handedOver({ ids, query }, { total, rate }, said) {
  return async (shown, signal) => {
    const chosen = ids ? { taskIds: ids } : selectors(query);
    let done = 0;
    for (let more = true; more && done < total;) {
      const body = { ...chosen, ...said, ...(rate && { ratePerSecond: rate }),
        limit: Math.min(AT_ONCE, total - done) };
      const answer = await (await send("POST", "/dead-letters/redrive", body, { signal })).json();
      done += answer.redriven;
      more = answer.more && answer.redriven > 0;
      shown.progress(done, total, `${count(done)} of ${count(total)} redriven.`);
    }
    return { right: true, text: "The service does the rest." };
  };
}

/** What a query of the list means as the selectors of a redrive. */
export function selectors({ error, type }) {
  const given = { ...(error && { fingerprint: error }), ...(type && { type }) };
  return Object.keys(given).length ? given : { all: true };
}

function preview({ first, total }) {
  if (first === null) return null;
  return h(
    "div",
    { class: "preview" },
    h("p", {}, total > 1 ? "The first, which is the canary: " : "", h("code", {}, first.taskId)),
    first.payload && h("details", {}, h("summary", {}, "Its payload"),
      h("pre", { tabindex: 0, "aria-label": "Payload of the first" }, pretty(first.payload))),
  );
}

function choices(total) {
  if (total === 1) return null;
  return h(
    "fieldset",
    {},
    h("legend", {}, "How"),
    choice("canary", "One first, as a canary; the others only if it succeeds", true),
    choice("watched", "All of them, watched, without a canary"),
    choice("service", "Hand them to the service: it goes on when this page is closed, and does not "
      + "stop when they fail"),
    h("div", { class: "pair" },
      number("rate", "At most this many a second", 10, 0.001),
      number("stopAfter", "Stop once so many died again", 1, 1)),
    h("p", { class: "quiet" }, "While it is watched it is driven from this page: whatever was not "
      + "redriven when you close it stays dead."),
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
