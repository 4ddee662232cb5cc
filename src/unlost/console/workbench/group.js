/** The dead letters of one error: look, choose, and act on those that were chosen. */
import { json, taskPath, text, withQuery } from "../parts/api.js";
import { button, h, say, swap } from "../parts/dom.js";
import { count, counted, when } from "../parts/format.js";
import { readPage, readTask } from "../parts/jsontext.js";
import { sparkline } from "../parts/plot.js";
import { address } from "../parts/router.js";
import { keepCurrent, taskTable } from "../parts/table.js";
import { folded } from "../pages/timeline.js";
import { breakdown } from "./breakdown.js";
import { keepLooking } from "./deaths.js";
import { discardAll } from "./discard.js";
import { exportAll } from "./exporting.js";
import { redrive } from "./redrive.js";

const LIMIT = 25;
const chosen = { error: null, ids: new Set() }; // stays while one goes from page to page

/** Fill the page. */
export async function groupPage(main, error, query, signal) {
  if (chosen.error !== error) Object.assign(chosen, { error, ids: new Set() });
  const type = query.get("type") ?? "";
  const cursor = query.get("cursor");
  const wanted = { error, type };
  const shown = h("div", {}, h("p", { class: "quiet" }, "Looking…"));
  swap(main, h("p", {}, h("a", { href: "#/dead" }, "All errors")), shown);
  const [{ groups }, page] = await Promise.all([
    json("/dead-letters/groups", { signal }),
    json(withQuery("/dead-letters", { ...wanted, limit: LIMIT, cursor }), { signal }),
  ]);
  const group = groups.find(({ fingerprint }) => fingerprint === error);
  const badge = h("span", { class: "badge", id: "group-count" });
  const known = { total: group?.count ?? page.tasks.length, newest: null, badge };
  const why = h("div", {});
  const who = h("div", { class: "who" });
  const [bar, tell] = tools(known, wanted, page.tasks);
  swap(shown, group ? about(group, page.tasks, badge) : h("h1", {}, error), why, who, bar,
    letters(page, wanted, cursor));
  keepCurrent(shown, signal);
  keepLooking(async () => tell(await countNow(error, signal)), signal);
  const newest = await readLetters({ ...wanted, limit: LIMIT }, signal);
  if (!newest.length) return;
  swap(who, forWhom(newest, wanted));
  known.newest = newest[0];
  const whole = readTask(await text(taskPath("tasks", newest[0].taskId), { signal }));
  swap(why, folded(whole.error?.traceback, "newest"));
}

async function countNow(error, signal) {
  const { groups } = await json("/dead-letters/groups", { signal });
  return groups.find(({ fingerprint }) => fingerprint === error)?.count ?? 0;
}

async function readLetters(query, signal) {
  const page = await text(withQuery("/dead-letters", { ...query, include: "payload" }), { signal });
  return readPage(page).texts.map(readTask);
}

function about({ errorType, sample, firstAt, lastAt }, tasks, badge) {
  return [
    h("h1", {}, errorType, " ", badge),
    h("p", { class: "sample" }, sample),
    h("p", { class: "quiet seen" }, h("span", {}, "First ", when(firstAt), ", last ",
      when(lastAt)),
      tasks.length > 1 && sparkline(tasks.map((task) => Date.parse(task.updatedAt)), Date.now())),
  ];
}

function forWhom(letters, { error, type }) {
  if (!letters.length) return null;
  return [
    h("h2", {}, `For whom, in the newest ${count(letters.length)}`),
    h("dl", { class: "facts-in-line" }, breakdown(letters).map(({ name, values, others }) =>
      h("div", {}, h("dt", {}, name), values.map(({ value, number }) => h("dd", {},
        name === "type" && !type ? h("a", { href: address(["dead", error], { type: value }) },
          value) : h("code", {}, value), h("span", { class: "quiet" }, ` × ${count(number)}`))),
      others > 0 && h("dd", { class: "quiet" }, `and ${counted(others, "other")}`)))),
    type && h("p", {}, "Only those of type ", h("code", {}, type), ". ",
      h("a", { href: address(["dead", error]) }, "Show all types")),
  ];
}

/** The bar of acts, and how to tell it how many letters there are now. */
function tools(known, wanted, tasks) {
  const most = wanted.type ? "up to " : "";
  const some = h("span", { class: "quiet number", id: "chosen" });
  const ofChosen = [
    button("Redrive chosen…", () => redriveChosen(tasks), { class: "primary" }),
    button("Discard chosen…", () => discardAll([...chosen.ids]), { class: "danger" }),
  ];
  const draw = () => {
    say(some, `${count(chosen.ids.size)} chosen`);
    for (const one of ofChosen) one.disabled = chosen.ids.size === 0;
  };
  chosen.draw = draw;
  draw();
  const all = button("", () => redrive({
    what: `${most}${counted(known.total, "dead letter")} of this error`, total: known.total,
    sample: known.newest, query: wanted }), { id: "redrive-group" });
  const taken = button("Export", () => exportAll(wanted, known.total,
    `dead-letters-${wanted.error}.ndjson`));
  function tell(total = known.total) {
    known.total = total;
    say(all, `Redrive ${most}${count(total)}…`);
    say(known.badge, count(total));
    for (const one of [all, taken]) one.disabled = total === 0;
  }
  tell();
  return [h(
    "div",
    { class: "acts toolbar", role: "toolbar", "aria-label": "With these dead letters" },
    some,
    ofChosen, all, taken,
  ), tell];
}

async function redriveChosen(tasks) {
  const ids = [...chosen.ids];
  const sample = tasks.find(({ taskId }) => taskId === ids[0]) ?? { taskId: ids[0] };
  await redrive({ what: counted(ids.length, "chosen dead letter"), total: ids.length, sample, ids });
}

function letters({ tasks, nextCursor }, wanted, cursor) {
  if (!tasks.length && !nextCursor) return h("p", { class: "empty" }, "No dead letters here now.");
  const table = taskTable({
    caption: "Dead letters of this error, newest death first",
    tasks,
    time: { name: "Died", of: (task) => task.updatedAt },
    first: tick,
    link: ({ taskId }) => address(["dead", "letter", taskId]),
  });
  const place = ["dead", wanted.error];
  const { type } = wanted;
  return h("div", { class: "list" }, table, h("nav", { class: "pager", "aria-label": "Pages of the list" },
    button("Choose all shown", () => chooseAll(table), { class: "bare" }),
    cursor && h("a", { href: address(place, { type }) }, "Newest"),
    nextCursor && h("a", { href: address(place, { type, cursor: nextCursor }), rel: "next" },
      "Older"),
    h("span", { class: "quiet" }, `${count(tasks.length)} shown`)));
}

function tick({ taskId }) {
  return h("input", {
    type: "checkbox", checked: chosen.ids.has(taskId), "aria-label": `Choose ${taskId}`,
    onchange: (event) => choose(taskId, event.target.checked),
  });
}

function choose(taskId, chosenNow) {
  if (chosenNow) chosen.ids.add(taskId);
  else chosen.ids.delete(taskId);
  chosen.draw();
}

function chooseAll(table) {
  for (const box of table.querySelectorAll("input[type=checkbox]")) {
    if (!box.checked) box.click();
  }
}
