/** What can be done with a type. */
import { send } from "../parts/api.js";
import { ask } from "../parts/dialog.js";
import { button, h } from "../parts/dom.js";
import { note, tellHow } from "../parts/notes.js";
import { byField, reasonField, rememberBy, words } from "../parts/words.js";
import { BREAKER, EXCUSE, PULL, REMOVE, SETTINGS, breakerChange, breakerValues, changeOf }
  from "./settings.js";

/** The buttons of a type; `done` is called after each act. */
export function acts(set, done) {
  const { type, pause: paused } = set;
  const named = (what) => ({ "aria-label": `${what} ${type}`, "data-key": `${what} ${type}` });
  return h("div", { class: "acts" },
    paused
      ? button("Resume", () => resume(type, done), { class: "primary", ...named("Resume") })
      : button("Pause", () => pause(type, done), named("Pause")),
    button("Change", () => change(set, done), named("Change")),
    button("Breaker", () => changeBreaker(set, done), named("Breaker of")));
}

/** Set something for a type that is not in the list. */
export async function setAnother(known, done) {
  const given = await ask({
    title: "Limits and rates of a type",
    says: ["They hold for all workers at once."],
    fields: [{ name: "type", label: "Type", required: true }, ...fieldsOf({})],
    act: "Set them",
  });
  if (!given) return;
  const set = known().find(({ type }) => type === given.type) ?? { type: given.type };
  await changeTo(set, given, done);
}

async function pause(type, done) {
  const given = await ask({
    title: `Pause ${type}?`,
    says: ["No task of this type starts until it is resumed. What runs goes on."],
    fields: [{ ...byField(), hint: "Shown with the pause." }, reasonField()],
    act: "Pause it",
  });
  if (!given) return;
  rememberBy(given);
  await tellHow(() => send("POST", typePath(type, "/pause"), words(given)),
    `${type} is paused.`, done);
}

async function resume(type, done) {
  await tellHow(() => send("POST", typePath(type, "/resume"), {}), `${type} goes on.`, done);
}

async function change(set, done) {
  const given = await ask({
    title: `Limits and rates of ${set.type}`,
    says: ["They hold for all workers at once, for what starts from now on."],
    fields: fieldsOf(set),
    act: "Set them",
  });
  if (given) await changeTo(set, given, done);
}

async function changeBreaker(set, done) {
  const values = breakerValues(set);
  const given = await ask({
    title: `Circuit breaker of ${set.type}`,
    says: ["While too many attempts fail, its tasks wait, which costs no attempt. It begins closed."],
    fields: [
      ...BREAKER.map((one) => ({ ...one, value: values[one.name] })),
      { ...EXCUSE, checked: Boolean(set.breaker?.excuse) },
      ...(set.breaker ? [REMOVE] : []),
    ],
    act: ({ remove }) => (remove ? "Remove it" : "Set it"),
  });
  if (!given) return;
  const breaker = breakerChange(set, given);
  await patch(set, breaker === undefined ? {} : { breaker }, done);
}

async function changeTo(set, given, done) {
  await patch(set, changeOf(set, given), done);
}

async function patch(set, asked, done) {
  if (Object.keys(asked).length === 0) {
    note(`Nothing of ${set.type} was changed.`);
    return;
  }
  await tellHow(() => send("PATCH", typePath(set.type), asked), `${set.type} is changed.`, done);
}

function fieldsOf(set) {
  const numbers = SETTINGS.map((one) => ({ ...one, value: set[one.name] ?? "" }));
  return [...numbers, { ...PULL, checked: Boolean(set.pull) }];
}

/** The path of a type: its name may hold anything. */
function typePath(type, what = "") {
  return `/types/${encodeURIComponent(type)}${what}`;
}
