/** What can be done with one task. */
import { callId, send, taskPath } from "../parts/api.js";
import { ask } from "../parts/dialog.js";
import { button, h } from "../parts/dom.js";
import { tellHow } from "../parts/notes.js";
import { address } from "../parts/router.js";
import { ended } from "../parts/states.js";
import { again, forget, stepsField } from "../parts/steps.js";
import { byField, reasonField, rememberBy, words } from "../parts/words.js";

/** The buttons that this task allows; `done` is called after each act that was done. */
export function acts(task, done) {
  const { taskId, state } = task;
  return h(
    "div",
    { class: "acts" },
    !ended(state) && button("Cancel", () => cancel(task, done), { class: "danger", "data-key": "cancel" }),
    state === "dead" && [
      button("Redrive", () => redrive(task, done), { class: "primary",
        "data-key": "redrive" }),
      h("a", { class: "button", href: address(["dead", "letter", taskId]) }, "Edit and redrive"),
      button("Discard", () => discard([taskId], done), { class: "danger",
        "data-key": "discard" }),
    ],
  );
}

async function cancel({ taskId, state }, done) {
  const given = await ask({
    title: "Cancel this task?",
    says: [state === "running" ? `${taskId} runs now: its attempt is told, and what it returns is `
      + "dropped. It will not run again." : `${taskId} will not run.`],
    fields: [byField(), reasonField()],
    act: "Cancel the task",
    danger: true,
  });
  if (given) await act(() => send("POST", taskPath("tasks", taskId, "cancel"), words(given)),
    "Cancelled.", done, given);
}

async function redrive(task, done) {
  const { taskId, maxRetries } = task;
  const given = await ask({
    title: "Redrive this dead letter?",
    says: [`${taskId} gets a fresh set of attempts, up to ${maxRetries + 1}, with its payload as `
      + "it is. Its history stays.", stepsField(task)],
    fields: [byField(), reasonField()],
    act: (answers) => `Redrive 1 task${again(answers)}`,
  });
  if (given) await act(() => send("POST", taskPath("dead-letters", taskId, "redrive"),
    { ...forget(task, given), ...words(given), id: callId() }), "Redriven.", done, given);
}

/** Ask for a reason, and give one dead letter up. */
export async function discard([taskId], done) {
  const given = await ask({
    title: "Discard this dead letter?",
    says: [`${taskId} becomes cancelled for good and cannot be redriven. Its history stays.`],
    fields: [byField(), reasonField({ required: true })],
    act: "Discard 1 dead letter",
    danger: true,
  });
  if (given) await act(() => send("DELETE", taskPath("dead-letters", taskId),
    { ...words(given), id: callId() }), "Discarded.", done, given);
}

async function act(call, said, done, given) {
  rememberBy(given);
  await tellHow(call, said, done);
}
