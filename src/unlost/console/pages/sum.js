/** The sum that must add up: accepted = succeeded + dead + cancelled + outstanding. */
import { h, say, swap } from "../parts/dom.js";
import { count, counted } from "../parts/format.js";
import { address } from "../parts/router.js";
import { STATES } from "../parts/states.js";

const ENDS = ["succeeded", "dead", "cancelled"];
const OPEN = ["queued", "running", "retrying"];

/** The section, and how to draw it anew from /stats. */
export function sum() {
  const accepted = h("b", {}, "–");
  const ends = Object.fromEntries(ENDS.map((state) => [state, h("b", {}, "–")]));
  const outstanding = h("b", {}, "–");
  const open = Object.fromEntries(OPEN.map((state) => [state, h("b", {}, "–")]));
  const verdict = h("p", { class: "verdict", id: "verdict" });
  const bar = h("div", { class: "shares", "aria-hidden": "true" });
  const element = h(
    "section",
    { class: "sum", "aria-label": "The sum of all tasks" },
    h("div", { class: "terms" },
      term(accepted, "accepted", "#/tasks"),
      sign("="),
      ENDS.map((state, index) => [index > 0 && sign("+"), term(ends[state], state, list(state))]),
      sign("+"),
      term(outstanding, "outstanding"),
      h("ul", { class: "open" }, OPEN.map((state) => h("li", {}, open[state], " ", h("a", {
        href: list(state) }, state)))),
    ),
    bar,
    verdict,
  );

  function draw(stats) {
    say(accepted, count(stats.accepted));
    for (const state of ENDS) say(ends[state], count(stats.states[state]));
    for (const state of OPEN) say(open[state], count(stats.states[state]));
    say(outstanding, count(stats.outstanding));
    swap(bar, STATES.map((state) => share(state, stats)));
    const [text, right] = check(stats);
    say(verdict, text);
    verdict.dataset.right = right;
  }

  return { element, draw };
}

/** What the sum says, and whether it is right.  Pure. */
export function check(stats) {
  const { states, accepted, lost } = stats;
  const found = STATES.reduce((total, state) => total + states[state], 0);
  if (lost === 0 && found === accepted) return ["It adds up: nothing is lost.", true];
  return [`It does not add up: ${counted(accepted - found, "task")} of those accepted are in no `
    + "state. Run unlost audit.", false];
}

function term(number, name, href) {
  return h("div", { class: `term tone-${name}` }, number,
    href ? h("a", { href }, name) : h("span", {}, name));
}

function sign(text) {
  return h("span", { class: "sign" }, text);
}

function list(state) {
  return state === "dead" ? "#/dead" : address(["tasks"], { state });
}

function share(state, { states, accepted }) {
  const part = h("span", { class: `tone-${state}` });
  part.style.flexGrow = accepted ? states[state] / accepted : 0;
  part.hidden = !states[state];
  return part;
}
