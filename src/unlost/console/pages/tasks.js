/** The tasks, newest first: filters, and page after page by cursor. */
import { json, withQuery } from "../parts/api.js";
import { button, h, say, swap } from "../parts/dom.js";
import { count, counted } from "../parts/format.js";
import { onEvents } from "../parts/live.js";
import { address } from "../parts/router.js";
import { STATES } from "../parts/states.js";
import { keepCurrent, taskTable } from "../parts/table.js";

const LIMIT = 50;
const FILTERS = ["state", "type", "idPrefix", "since", "until"];

/** Fill the page. */
export async function tasksPage(main, { query }, signal) {
  const filters = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
  const shown = h("div", { class: "list" }, h("p", { class: "quiet" }, "Looking…"));
  const news = h("p", { class: "news", hidden: true });
  swap(main, h("h1", {}, "Tasks"), form(filters), news, shown);
  const cursor = query.get("cursor");
  const asked = { ...filters, limit: LIMIT, include: "why", cursor };
  const page = await json(withQuery("/tasks", asked), { signal });
  swap(shown, content(page, filters, cursor));
  keepCurrent(shown, signal);
  if (!cursor) tellNew(news, filters, signal);
}

function content({ tasks, nextCursor }, filters, cursor) {
  const table = tasks.length > 0 && taskTable({
    caption: "Tasks, newest first",
    tasks,
    time: { name: "Submitted", of: (task) => task.submittedAt },
  });
  return [
    table || h("p", { class: "empty" }, nextCursor
      ? "None in this part of the list. There is more to look through: go on with Older."
      : cursor ? "No more tasks." : "No task is like this."),
    h("nav", { class: "pager", "aria-label": "Pages of the list" },
      cursor && h("a", { href: address(["tasks"], filters) }, "Newest"),
      nextCursor && h("a", { href: address(["tasks"], { ...filters, cursor: nextCursor }),
        rel: "next" }, "Older"),
      h("span", { class: "quiet" }, counted(tasks.length, "task"), " shown")),
  ];
}

/** Say how many tasks like these came since the page was made; bounded by what is heard live. */
function tellNew(news, filters, signal) {
  let seen = 0;
  const text = h("span", {});
  swap(news, text, button("Show them", () => dispatchEvent(new Event("hashchange"))));
  onEvents((events) => {
    seen += events.filter((event) => isNew(event, filters)).length;
    news.hidden = seen === 0;
    say(text, `${count(seen)} came since. `);
  }, signal);
}

/** Whether an event tells of a new task that these filters let pass.  Pure. */
export function isNew({ state, attempt, type, taskId }, filters) {
  return state === "queued" && attempt === 0 && !filters.until
    && [type, ""].includes(filters.type) && ["queued", ""].includes(filters.state)
    && taskId.startsWith(filters.idPrefix);
}

function form(filters) {
  const made = h(
    "form",
    { class: "filters", role: "search", "aria-label": "Filter the tasks", onsubmit: apply },
    h("label", {}, "State", h("select", { name: "state", onchange: () => made.requestSubmit() },
      h("option", { value: "" }, "any"),
      STATES.map((state) => h("option", { value: state, selected: state === filters.state },
        state)))),
    field("type", "Type", filters.type),
    field("idPrefix", "Id begins with", filters.idPrefix),
    time("since", "From", filters.since),
    time("until", "Before", filters.until),
    h("button", { type: "submit" }, "Filter"),
    FILTERS.some((name) => filters[name]) && h("a", { href: "#/tasks" }, "Clear"),
  );
  return made;
}

function field(name, label, value) {
  return h("label", {}, label, h("input", { name, value, maxlength: 255, autocomplete: "off",
    spellcheck: "false" }));
}

function time(name, label, value) {
  return h("label", {}, label, h("input", { name, type: "datetime-local", step: 1,
    value: value && local(new Date(value)) }));
}

/** A time as such an input has it: by the clock here, without an offset. */
function local(at) {
  const here = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return here.toISOString().slice(0, 19);
}

function apply(event) {
  event.preventDefault();
  const given = Object.fromEntries(new FormData(event.target));
  for (const name of ["since", "until"]) {
    if (given[name]) given[name] = new Date(given[name]).toISOString();
  }
  const next = address(["tasks"], given);
  if (next === location.hash) dispatchEvent(new Event("hashchange"));
  else location.hash = next;
}
