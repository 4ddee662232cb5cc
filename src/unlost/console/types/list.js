/** The types: what is set for each, and whether it is held back. */
import { json } from "../parts/api.js";
import { button, h, swap } from "../parts/dom.js";
import { count, counted, when } from "../parts/format.js";
import { MISSING, offers } from "../parts/offers.js";
import { address } from "../parts/router.js";
import { every } from "../parts/timing.js";
import { heldBack } from "../pages/attention.js";
import { acts, setAnother } from "./acts.js";
import { SETTINGS, breakerOf, typesOf } from "./settings.js";

const POLLED = 5;
const MOST = 500;

/** Fill the page. */
export async function typesPage(main, _place, signal) {
  const shown = h("div", { class: "list" }, h("p", { class: "quiet" }, "Looking…"));
  const isThere = await offers("/types");
  let known = [];

  async function look() {
    const { types } = await json("/types", { signal });
    const { workers } = (await offers("/workers")) ? await json("/workers", { signal })
      : { workers: [] };
    known = typesOf(types, workers);
    swap(shown, content(known, look));
  }

  const another = button("Set another", () => setAnother(() => known, look));
  swap(main, h("div", { class: "head" }, h("h1", {}, "Types"), isThere && another), shown);
  if (!isThere) {
    swap(shown, h("p", { class: "empty" }, MISSING["/types"]));
    return;
  }
  every(POLLED, look, signal, (error) => swap(shown, h("p", { class: "alarm" }, error.message)));
}

function content(types, look) {
  if (!types.length) {
    return h("p", { class: "empty" }, "Nothing is set for any type, and workers name none.");
  }
  return [
    table(types.slice(0, MOST), look),
    types.length > MOST && h("p", {}, `and ${counted(types.length - MOST, "other type")}`),
  ];
}

function table(types, look) {
  const heads = { type: "Type", held: "Held back", ...settingHeads(), breaker: "Breaker", acts: "" };
  return h("table", { class: "types" },
    h("caption", { class: "unseen" }, "Types by name"),
    h("thead", {}, h("tr", {}, Object.entries(heads).map(([name, head]) =>
      (head ? h("th", { scope: "col", class: `in-${name}` }, head) : h("td", {}))))),
    h("tbody", {}, types.map((one) => row(one, look))));
}

function settingHeads() {
  return Object.fromEntries(SETTINGS.map(({ name, label }) => [name, label]));
}

function row(set, look) {
  const { type } = set;
  return h("tr", { "data-type": type },
    h("th", { scope: "row", class: "in-type" },
      h("a", { href: address(["tasks"], { type }), "data-key": type }, type),
      set.pull && h("p", { class: "quiet" }, "by the API alone")),
    h("td", { class: "in-held" }, heldBack([set]).map(({ says, since }) =>
      h("p", { class: "warned" }, says, since && [", since ", when(since)]))),
    SETTINGS.map(({ name }) => h("td", { class: `in-${name} number` },
      set[name] == null ? h("span", { class: "quiet" }, "–") : count(set[name]))),
    h("td", { class: "in-breaker" }, breakerOf(set)),
    h("td", { class: "in-acts" }, acts(set, look)));
}
