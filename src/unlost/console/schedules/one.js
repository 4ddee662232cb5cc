/** One schedule: when it is due, what its times came to, and what can be done with it. */
import { Refused, json, text, withQuery } from "../parts/api.js";
import { code } from "../parts/code.js";
import { h, swap } from "../parts/dom.js";
import { count } from "../parts/format.js";
import { address } from "../parts/router.js";
import { every } from "../parts/timing.js";
import { acts } from "./acts.js";
import { editor } from "./editor.js";
import { nextTimes, readSchedule, schedulePath, timesOf, warned } from "./parts.js";
import { history } from "./ticks.js";

const POLLED = 5;

/** Fill the page. */
export async function schedulePage(main, { rest: [id = ""], query }, signal) {
  if (!id || query.has("edit")) {
    await editor(main, id, signal);
    return;
  }
  const shown = h("div", {}, h("p", { class: "quiet" }, "Looking…"));
  swap(main, h("h1", { class: "id" }, id), shown);
  let last = null;

  async function look() {
    const found = await text(withQuery(schedulePath(id), { include: "ticks" }), { signal });
    if (found === last) return;
    const schedule = readSchedule(found);
    const times = await timesFrom(schedule, signal);
    last = found;
    swap(shown, content(schedule, times, look));
  }

  every(POLLED, look, signal, (error) => last === null && swap(shown, missing(error)));
}

function missing(error) {
  const away = error instanceof Refused && error.status === 404;
  return h("p", { class: away ? "empty" : "alarm" }, away ? "No schedule has this id." : error.message);
}

/** Its next times as its own clock shows them, by the same time-zone data. */
async function timesFrom({ cron, every: seconds, timezone, next }, signal) {
  const asked = { cron, every: seconds, timezone, limit: 10 };
  const told = await json(withQuery("/schedule-times", asked), { signal });
  const local = new Map(told.next.map((one) => [one.at, one.local]));
  return next.map((at) => ({ at, local: local.get(at) ?? at }));
}

function content(schedule, times, look) {
  return [
    h("div", { class: "head" }, facts(schedule), acts(schedule, look)),
    warned(schedule.warnings ?? []),
    h("div", { class: "split" },
      h("section", {}, h("h2", {}, "Next"), nextTimes(schedule.paused ? [] : times, schedule.paused),
        h("h2", {}, "What its times came to"), history(schedule.ticks ?? [])),
      code("Payload", schedule.payload)),
  ];
}

function facts(schedule) {
  const { due, made, skipped, missed, graceSeconds, overlap, type, timezone } = schedule;
  return h("dl", { class: "facts-in-line" },
    fact("Times", [h("code", {}, timesOf(schedule)), ` ${timezone}`]),
    fact("Type", h("a", { href: address(["tasks"], { type }) }, type)),
    fact("Sums", `${count(due)} due = ${count(made)} made + ${count(skipped)} skipped`),
    fact("Missed", `${missed}, after ${graceSeconds} s`),
    fact("Overlap", overlap),
    fact("Tasks", h("a", { href: address(["tasks"], { idPrefix: `${schedule.id}@` }) }, "that it made")),
    fact("Time zones", `tzdata ${schedule.tzdata}`));
}

function fact(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}
