/** The redrives that the service does: all of them, newest first. */
import { json, withQuery } from "../parts/api.js";
import { h, swap } from "../parts/dom.js";
import { count, counted, when } from "../parts/format.js";
import { MISSING, offers } from "../parts/offers.js";
import { address } from "../parts/router.js";
import { mark } from "../parts/states.js";
import { every } from "../parts/timing.js";

const LIMIT = 50;
const EVERY = 3;
const HEADS = ["State", "Redrive", "Started", "Selected", "Succeeded", "Died again", "Left", "By"];

/** Fill the page. */
export async function redrivesPage(main, query, signal) {
  const shown = h("div", { class: "list" }, h("p", { class: "quiet" }, "Looking…"));
  const dead = h("p", {}, h("a", { href: "#/dead" }, "Dead letters"));
  swap(main, dead, h("h1", {}, "Redrives"), shown);
  if (!(await offers("/redrives"))) {
    swap(shown, h("p", { class: "quiet" }, MISSING["/redrives"]));
    return;
  }
  const cursor = query.get("cursor");
  await every(EVERY, async () => {
    const page = await json(withQuery("/redrives", { limit: LIMIT, cursor }), { signal });
    swap(shown, content(page, cursor));
  }, signal, (error) => swap(shown, h("p", { class: "alarm" }, error.message)));
}

function content({ redrives, nextCursor }, cursor) {
  return [
    redrives.length ? h("table", {}, h("caption", { class: "unseen" }, "Redrives, newest first"),
      h("thead", {}, h("tr", {}, HEADS.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, redrives.map(row)))
      : h("p", { class: "empty" }, cursor || nextCursor ? "None in this part of the list."
        : "There are none."),
    h("nav", { class: "pager", "aria-label": "Pages of the list" },
      cursor && h("a", { href: address(["redrives"]) }, "Newest"),
      nextCursor && h("a", { href: address(["redrives"], { cursor: nextCursor }), rel: "next" },
        "Older"),
      h("span", { class: "quiet" }, counted(redrives.length, "redrive"), " shown")),
  ];
}

function row(redrive) {
  return h(
    "tr",
    {},
    h("td", {}, mark(redrive.state)),
    h("th", { scope: "row" }, h("a", { href: address(["redrives", redrive.id]),
      "data-key": redrive.id }, redrive.id)),
    h("td", {}, when(redrive.startedAt)),
    [redrive.selected, redrive.succeeded, redrive.diedAgain, redrive.left].map((number) =>
      h("td", { class: "number" }, number === null ? "" : count(number))),
    h("td", {}, redrive.by ?? redrive.apiKey ?? ""),
  );
}
