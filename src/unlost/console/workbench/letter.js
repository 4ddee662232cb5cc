/** One dead letter: why it died, and its payload to edit before a redrive. */
import { callId, send, taskPath, text } from "../parts/api.js";
import { ask } from "../parts/dialog.js";
import { button, h, say, swap } from "../parts/dom.js";
import { counted, when } from "../parts/format.js";
import { compact, fault, pretty, readTask } from "../parts/jsontext.js";
import { note, trouble } from "../parts/notes.js";
import { mark } from "../parts/states.js";
import { again, forget, stepsField } from "../parts/steps.js";
import { taskAddress } from "../parts/table.js";
import { byField, reasonField, rememberBy, words } from "../parts/words.js";
import { discard } from "../pages/acts.js";
import { failure } from "../pages/timeline.js";
import { around, diff, extent } from "./diff.js";
import { redrive } from "./redrive.js";

/** Fill the page. */
export async function letterPage(main, taskId, signal) {
  swap(main, h("h1", { class: "id" }, taskId), h("p", { class: "quiet" }, "Looking…"));
  const task = readTask(await text(taskPath("tasks", taskId), { signal }));
  const there = h("a", { href: taskAddress(task) }, "all of its life");
  if (task.state !== "dead") {
    swap(main, h("h1", { class: "id" }, taskId), h("p", {}, "This is no dead letter: it is ",
      mark(task.state), ". See ", there, "."));
    return;
  }
  const { element, edited } = editor(task.payload);
  swap(
    main,
    h("h1", { class: "id" }, taskId),
    h("p", {}, mark("dead"), ` ${task.type}, died `, when(task.updatedAt), " after ",
      counted(task.attemptCount, "attempt"), "; ", there, "."),
    task.error && h("section", { class: "alarm" }, h("h2", {}, "Why it died"),
      failure(task.error, "death")),
    element,
    h("div", { class: "acts" },
      button("Redrive…", () => (edited() === null ? redrive({ what: taskId, total: 1, sample: task,
        ids: [taskId] }) : redriveEdited(task, edited())), { class: "primary", id: "redrive" }),
      button("Discard…", () => discard([taskId], () => {
        location.hash = taskAddress(task);
      }), { class: "danger" })),
  );
}

/** A field for a payload with what has changed; `edited` is null while nothing has. */
function editor(payload) {
  const before = pretty(payload);
  const area = h("textarea", { id: "payload", spellcheck: "false", autocomplete: "off",
    rows: Math.min(24, before.split("\n").length + 1), "aria-describedby": "payload-fault" }, before);
  const wrong = h("p", { class: "wrong", id: "payload-fault", role: "alert" });
  const shown = h("div", {});
  const edited = () => (area.value === before ? null : area.value);
  const draw = () => {
    say(wrong, edited() === null ? "" : fault(area.value) ?? "");
    swap(shown, edited() === null ? null : difference(before, area.value));
  };
  area.addEventListener("input", draw);
  const reset = () => {
    area.value = before;
    draw();
  };
  return {
    edited,
    element: h("section", { class: "editor" },
      h("div", { class: "head" }, h("h2", {}, h("label", { for: "payload" }, "Payload")),
        button("Undo the changes", reset, { class: "bare" })),
      area, wrong, shown),
  };
}

/** What an edit changes, line by line; space does not count. */
function difference(before, value) {
  const changes = changesOf(before, value);
  const { added, removed } = extent(changes);
  if (!added && !removed) return h("p", { class: "quiet" }, "Only space differs.");
  return h(
    "section",
    { class: "diff", "aria-label": "What you change" },
    h("h3", {}, `What you change: ${counted(added, "line")} added, ${counted(removed, "line")} removed`),
    h("pre", { tabindex: 0, "aria-label": "Changes" }, around(changes).map((change) =>
      (change === null ? h("span", { class: "gap" }, "⋯\n") : line(change)))),
  );
}

function line({ op, line: content }) {
  const tag = { "+": "ins", "-": "del", " ": "span" }[op];
  return h(tag, {}, `${op} ${content}\n`);
}

function changesOf(before, value) {
  return diff(before, fault(value) === null ? pretty(value) : value);
}

async function redriveEdited(task, value) {
  if (fault(value) !== null) {
    trouble(fault(value));
    return;
  }
  const { added, removed } = extent(changesOf(pretty(task.payload), value));
  const given = await ask({
    title: "Redrive with this payload?",
    says: [`${task.taskId} gets a fresh set of attempts with the payload as you edited it: `
      + `${counted(added, "line")} added, ${counted(removed, "line")} removed. The payload that `
      + "it has now is replaced. Who did it and why stays in its history.",
    difference(pretty(task.payload), value), stepsField(task)],
    fields: [{ ...byField(), required: true }, reasonField({ required: true })],
    act: (answers) => `Redrive 1 task, edited${again(answers)}`,
  });
  if (given === null) return;
  rememberBy(given);
  // The payload goes as text: JavaScript's numbers would round it.
  const body = `{"payload":${compact(value)},`
    + JSON.stringify({ ...forget(task, given), ...words(given), id: callId() }).slice(1);
  try {
    await send("POST", taskPath("dead-letters", task.taskId, "redrive"), body);
    note("Redriven with the edited payload.");
    location.hash = taskAddress(task);
  } catch (error) {
    trouble(error);
  }
}
