/** One redrive: how it stands, as it goes on, and a button that stops it. */
import { json, send, taskPath, withQuery } from "../parts/api.js";
import { button, h, say, swap } from "../parts/dom.js";
import { count, when } from "../parts/format.js";
import { announce, trouble } from "../parts/notes.js";
import { mark } from "../parts/states.js";
import { taskAddress } from "../parts/table.js";
import { every } from "../parts/timing.js";
import { rememberedBy, words } from "../parts/words.js";

const EVERY = 1;
const NEWEST = 20;
const MOST_NAMED = 5;

/** Fill the page. */
export async function redrivePage(main, id, signal) {
  const path = `/redrives/${encodeURIComponent(id)}`;
  const state = h("span", {});
  const bar = h("progress", { "aria-label": "How many have ended" });
  const text = h("p", { class: "number", id: "redrive-text" });
  const [fallen, facts] = [h("p", {}), h("div", {})];
  const stop = button("Stop", () => stopIt(path, look), { class: "danger" });
  const section = h("section", { class: "standing" },
    h("div", { class: "head" }, h("h1", {}, "Redrive ", h("code", {}, id), " ", state), stop),
    bar, text, fallen, facts);
  swap(main, h("p", {}, h("a", { href: "#/redrives" }, "All redrives"), " · ",
    h("a", { href: "#/dead" }, "Dead letters")), section);
  let before = null;
  async function look() {
    const redrive = await json(path, { signal });
    swap(state, mark(redrive.state));
    bar.max = Math.max(1, redrive.selected ?? 1);
    bar.value = ended(redrive);
    say(text, standing(redrive));
    stop.hidden = !goesOn(redrive);
    swap(facts, who(redrive));
    if (before !== null && goesOn(before) && !goesOn(redrive)) announce(standing(redrive));
    if (redrive.diedAgain > (before?.diedAgain ?? 0)) await name(fallen, redrive, signal);
    before = redrive;
  }
  await every(EVERY, () => (before && isOver(before) ? null : look()), signal,
    (error) => say(text, error.message));
}

async function stopIt(path, look) {
  try {
    await send("POST", `${path}/stop`, words({ by: rememberedBy() }));
    await look();
  } catch (error) {
    trouble(error);
  }
}

/** Whether it may redrive more.  Pure. */
export function goesOn({ state }) {
  return state === "canary" || state === "running";
}

function isOver(redrive) {
  return !goesOn(redrive) && redrive.underWay === 0;
}

function ended({ succeeded, diedAgain, cancelled, gone }) {
  return succeeded + diedAgain + cancelled + gone;
}

/** How a redrive stands, in a sentence.  Pure. */
export function standing(redrive) {
  const { state, selected, redriven, succeeded, diedAgain, cancelled, gone, underWay } = redrive;
  if (selected === null) return "It counts what there is to redrive.";
  if (state === "canary" && succeeded === 0 && diedAgain === 0) {
    return "The canary is on its way; the others wait for it.";
  }
  const parts = [`${count(redriven)} of ${count(selected)} redriven`, `${count(succeeded)} succeeded`,
    `${count(diedAgain)} died again`, `${count(underWay)} on their way`];
  if (cancelled) parts.push(`${count(cancelled)} cancelled`);
  if (gone) parts.push(`${count(gone)} taken by others`);
  return `${parts.join(" · ")}. ${outcome(redrive)}`.trim();
}

function outcome({ state, why, left }) {
  if (state === "done") return "Done.";
  if (state !== "stopped") return "";
  const cause = why.startsWith("stopped") ? `S${why.slice(1)}` : `Stopped: ${why}`;
  const rest = `${cause}. ${count(left)} of them ${left === 1 ? "is" : "are"} left dead`;
  return left > 0 ? `${rest}. Once the cause is gone, another redrive takes them.` : `${rest}.`;
}

/** Name some that died again, of the newest deaths: their histories tell which redrive it was. */
async function name(shown, { id, startedAt }, signal) {
  const { tasks } = await json(withQuery("/dead-letters", { limit: NEWEST }), { signal });
  const maybe = tasks.filter((task) => task.redriveCount > 0
    && Date.parse(task.updatedAt) >= Date.parse(startedAt)).slice(0, MOST_NAMED);
  const whole = await Promise.all(maybe.map(({ taskId }) => json(taskPath("tasks", taskId),
    { signal })));
  const ids = whole.filter(({ history = [] }) => history.some(({ redrive }) => redrive === id))
    .map(({ taskId }) => taskId);
  swap(shown, ids.length > 0 && ["Died again: ", ids.map((taskId, index) => [index > 0 && ", ",
    h("a", { href: taskAddress({ taskId }), "data-key": taskId }, taskId)])]);
}

function who({ by, apiKey, reason, startedAt, updatedAt, forget }) {
  return h("dl", { class: "facts-in-line" }, [
    ["Started", when(startedAt)], ["Changed", when(updatedAt)], ["By", by], ["Key", apiKey],
    ["Reason", reason], ["Steps made again", forget?.join(", ")],
  ].map(([label, value]) => value && h("div", {}, h("dt", {}, label), h("dd", {}, value))));
}
