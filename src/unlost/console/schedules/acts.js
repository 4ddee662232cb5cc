/** What can be done with one schedule. */
import { callId, respond, send, withQuery } from "../parts/api.js";
import { ask } from "../parts/dialog.js";
import { button, h } from "../parts/dom.js";
import { tellHow } from "../parts/notes.js";
import { address } from "../parts/router.js";
import { byField, reasonField, rememberBy, words } from "../parts/words.js";
import { schedulePath } from "./parts.js";

/** The buttons that a schedule allows; `done` is called after each act. */
export function acts(schedule, done) {
  const { id, paused } = schedule;
  return h("div", { class: "acts" },
    paused
      ? button("Resume", () => resume(id, done), { class: "primary", "data-key": "resume" })
      : button("Pause", () => pause(id, done), { "data-key": "pause" }),
    button("Run now", () => run(schedule, done), { "data-key": "run" }),
    h("a", { class: "button", href: address(["schedule", id], { edit: 1 }), "data-key": "edit" },
      "Edit"),
    button("Delete", () => remove(id), { class: "danger", "data-key": "delete" }));
}

async function pause(id, done) {
  const given = await ask({
    title: "Pause this schedule?",
    says: ["No time of it comes to a task until it is resumed. What passes meanwhile is not missed."],
    fields: [byField(), reasonField()],
    act: "Pause it",
  });
  if (given) await act(() => send("POST", schedulePath(id, "pause"), words(given)), "Paused.", done,
    given);
}

async function resume(id, done) {
  await act(() => send("POST", schedulePath(id, "resume"), {}), "Resumed.", done, {});
}

async function run({ id, type }, done) {
  const given = await ask({
    title: "Run it now?",
    says: [`A task of the type ${type} is submitted now, whatever the times say.`],
    fields: [byField(), reasonField()],
    act: "Submit 1 task",
  });
  if (!given) return;
  const taskId = `${id}:run:${callId()}`; // named here: sent twice, it is one task
  await act(() => send("POST", schedulePath(id, "run"), { ...words(given), taskId }),
    `Submitted ${taskId}.`, done, given);
}

async function remove(id) {
  const given = await ask({
    title: "Delete this schedule?",
    says: [`${id} makes no more tasks, and what its times came to is forgotten. Its tasks stay.`],
    fields: [byField(), reasonField()],
    act: "Delete it",
    danger: true,
  });
  if (given) await act(() => respond("DELETE", withQuery(schedulePath(id), words(given))), "Deleted.",
    () => {
      location.hash = address(["schedules"]);
    }, given);
}

async function act(call, said, done, given) {
  rememberBy(given);
  await tellHow(call, said, done);
}
