/** The steps of a task: shown, and chosen to be made again by a redrive. */
import { h } from "./dom.js";
import { counted, when } from "./format.js";

const MOST = 50;
const FIELD = "forget:";

/** The steps that a redrive would keep.  Pure. */
export function standing({ steps = [] }) {
  return steps.filter((step) => step.forgottenAt === undefined);
}

/** A table of what is recorded; null where nothing is. */
export function stepsTable({ steps = [] }) {
  if (!steps.length) return null;
  return h("section", { class: "steps" }, h("h2", {}, "Steps"),
    h("p", { class: "quiet" }, "What attempts recorded of effects that are to happen once: later "
      + "attempts do not make them again."),
    h("table", {},
      h("thead", {}, h("tr", {}, ["Step", "Attempt", "Recorded", ""].map((head) =>
        h("th", { scope: "col" }, head)))),
      h("tbody", {}, steps.map((step) => h("tr", {}, h("td", {}, h("code", {}, step.name)),
        h("td", {}, String(step.attempt)), h("td", {}, when(step.at)), h("td", {}, said(step)))))));
}

function said({ kept, forgottenAt }) {
  return [kept === false && "what it returned is not kept",
    forgottenAt !== undefined && ["forgotten ", when(forgottenAt), ": it is made again"]];
}

/** Which steps a redrive is to make again: a part of a question; null where there are none. */
export function stepsField(task) {
  const names = standing(task).map((step) => step.name);
  if (!names.length) return null;
  return h("fieldset", { class: "steps" },
    h("legend", {}, "Steps that are made again"),
    h("p", { class: "quiet" }, "What is not chosen is kept: its function does not run. What is "
      + "chosen runs again, under another idempotency key."),
    names.map((name) => h("label", { class: "choice" },
      h("input", { type: "checkbox", name: FIELD + name, value: "yes" }), h("code", {}, name))));
}

/** A field for names, where many tasks are meant. */
export function namesField() {
  return h("label", { class: "field" }, "Steps that are made again, by name",
    h("input", { type: "text", name: "forget", value: "", autocomplete: "off" }),
    h("small", { class: "quiet" }, "Others are kept: their functions do not run."));
}

/** The names that are chosen in the answers, or written there.  Pure. */
export function named(answers) {
  const ticked = Object.keys(answers).filter((name) => name.startsWith(FIELD));
  const written = (answers.forget ?? "").split(/[\s,]+/).filter((name) => name !== "");
  return [...ticked.map((name) => name.slice(FIELD.length)), ...written];
}

/** What was chosen, as a redrive of this task takes it.  Pure. */
export function forget(task, answers) {
  const names = named(answers);
  if (!standing(task).length) return {};
  return { forget: names.length > MOST || names.length === standing(task).length ? true : names };
}

/** What is chosen, as the end of the word on a button.  Pure. */
export function again(answers) {
  const { length } = named(answers);
  return length ? `, make ${counted(length, "step")} again` : "";
}
