/** The schedules, by id: when each is due, and what its last time came to. */
import { json, withQuery } from "../parts/api.js";
import { h, swap } from "../parts/dom.js";
import { count, counted, when } from "../parts/format.js";
import { MISSING, offers } from "../parts/offers.js";
import { address } from "../parts/router.js";
import { every } from "../parts/timing.js";
import { timesOf } from "./parts.js";
import { outcome } from "./ticks.js";

const LIMIT = 50;
const POLLED = 5;

/** Fill the page. */
export async function schedulesPage(main, { query }, signal) {
  const shown = h("div", { class: "list" }, h("p", { class: "quiet" }, "Looking…"));
  const isThere = await offers("/schedules");
  swap(main, h("div", { class: "head" }, h("h1", {}, "Schedules"),
    isThere && h("a", { class: "button", href: address(["schedule"]) }, "New schedule")), shown);
  if (!isThere) {
    swap(shown, h("p", { class: "empty" }, MISSING["/schedules"]));
    return;
  }
  const cursor = query.get("cursor");
  const look = async () => {
    const page = await json(withQuery("/schedules", { limit: LIMIT, cursor }), { signal });
    swap(shown, content(page, cursor));
  };
  every(POLLED, look, signal, (error) => swap(shown, h("p", { class: "alarm" }, error.message)));
}

function content({ schedules, nextCursor }, cursor) {
  return [
    schedules.length > 0 ? table(schedules) : h("p", { class: "empty" },
      cursor ? "No more schedules." : "There is no schedule yet."),
    h("nav", { class: "pager", "aria-label": "Pages of the list" },
      cursor && h("a", { href: address(["schedules"]) }, "First"),
      nextCursor && h("a", { href: address(["schedules"], { cursor: nextCursor }), rel: "next" },
        "More"),
      h("span", { class: "quiet" }, counted(schedules.length, "schedule"), " shown")),
  ];
}

function table(schedules) {
  const heads = { id: "Schedule", times: "Times", next: "Next", last: "Last", made: "Made",
    skipped: "Skipped" };
  return h("table", { class: "schedules" },
    h("caption", { class: "unseen" }, "Schedules by id"),
    h("thead", {}, h("tr", {}, Object.entries(heads).map(([name, head]) =>
      h("th", { scope: "col", class: `in-${name}` }, head)))),
    h("tbody", {}, schedules.map(row)));
}

function row(schedule) {
  const { id, type, made, skipped, last } = schedule;
  return h("tr", { "data-schedule": id },
    h("th", { scope: "row", class: "in-id" },
      h("a", { href: address(["schedule", id]), "data-key": id }, id),
      h("small", { class: "quiet" }, ` ${type}`)),
    h("td", { class: "in-times" }, h("code", {}, timesOf(schedule)),
      h("small", { class: "quiet" }, ` ${schedule.timezone}`)),
    h("td", { class: "in-next" }, nextOf(schedule)),
    h("td", { class: "in-last" }, last && [when(last.time), " ", outcome(last)]),
    h("td", { class: "in-made number" }, count(made)),
    h("td", { class: "in-skipped number" }, count(skipped)));
}

function nextOf({ paused, next }) {
  if (paused) return h("span", { class: "mark tone-cancelled" }, "paused");
  return next.length ? when(next[0]) : h("span", { class: "quiet" }, "none to come");
}
