/** All dead letters, by what killed them. */
import { json, withQuery } from "../parts/api.js";
import { button, h, swap } from "../parts/dom.js";
import { count, counted, cut, when } from "../parts/format.js";
import { sparkline } from "../parts/plot.js";
import { address } from "../parts/router.js";
import { keepLooking } from "./deaths.js";
import { exportAll } from "./exporting.js";
import { redrive } from "./redrive.js";

const SHOWN = 20;
const NEWEST = 50; // deaths in a sparkline

/** Fill the page. */
export async function groupsPage(main, signal) {
  const shown = h("div", {}, h("p", { class: "quiet" }, "Looking…"));
  const state = { most: SHOWN, sparks: new Map(), groups: [] };
  const redrives = h("p", {}, h("a", { href: "#/redrives" }, "Redrives"), " of dead letters");
  swap(main, h("h1", {}, "Dead letters"), shown, redrives);
  const draw = () => swap(shown, content(state, () => {
    state.most += SHOWN;
    draw();
    sparks(state, draw, signal);
  }));
  await keepLooking(async () => {
    state.groups = (await json("/dead-letters/groups", { signal })).groups;
    draw();
    await sparks(state, draw, signal);
  }, signal, (error) => swap(shown, h("p", { class: "alarm" }, error.message)));
}

/** Read when the newest of each group that is shown died, if that may have changed. */
async function sparks({ groups, most, sparks }, draw, signal) {
  for (const { fingerprint, count, lastAt } of groups.slice(0, most)) {
    const version = `${count} ${lastAt}`;
    if (sparks.get(fingerprint)?.version === version) continue;
    const query = { error: fingerprint, limit: NEWEST };
    const { tasks } = await json(withQuery("/dead-letters", query), { signal });
    sparks.set(fingerprint, { version, times: tasks.map((task) => Date.parse(task.updatedAt)) });
    draw();
  }
}

function content({ groups, most, sparks }, showMore) {
  if (!groups.length) return h("p", { class: "calm" }, "There are none.");
  const total = groups.reduce((sum, group) => sum + group.count, 0);
  return [
    h("div", { class: "head" },
      h("p", { class: "quiet" }, `${counted(total, "dead letter")} of `
        + `${counted(groups.length, "error")}, most frequent first.`),
      h("div", { class: "acts" },
        button("Redrive all…", () => redrive({ what: "all dead letters", total, sample: null,
          query: {} }), { "data-key": "all" }),
        button("Export all", () => exportAll({}, total, "dead-letters.ndjson"),
          { "data-key": "export" }))),
    h("ul", { class: "groups" }, groups.slice(0, most).map((group) =>
      row(group, sparks.get(group.fingerprint)?.times))),
    groups.length > most && button(`Show more (${count(groups.length - most)} are left)`, showMore,
      { "data-key": "more" }),
  ];
}

function row({ fingerprint, errorType, sample, count: number, firstAt, lastAt }, times) {
  return h(
    "li",
    {},
    h("b", { class: "number" }, count(number)),
    h("div", {}, h("a", { href: address(["dead", fingerprint]), "data-key": fingerprint },
      errorType), h("p", { class: "sample" }, cut(sample, 300))),
    h("div", { class: "seen" }, times ? sparkline(times, Date.now()) : null,
      h("small", { class: "quiet" }, "first ", when(firstAt), ", last ", when(lastAt))),
  );
}
