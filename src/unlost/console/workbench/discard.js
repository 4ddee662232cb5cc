/** Giving up several dead letters at once. */
import { callId, send, taskPath } from "../parts/api.js";
import { ask } from "../parts/dialog.js";
import { count, counted } from "../parts/format.js";
import { byField, reasonField, rememberBy, words } from "../parts/words.js";
import { busy, underWay } from "./panel.js";

/** Ask for a reason, then discard these. */
export async function discardAll(ids) {
  if (busy()) return;
  const what = counted(ids.length, "dead letter");
  const given = await ask({
    title: `Discard ${what}?`,
    says: [`${what} will be cancelled for good and cannot be redriven. Their history stays.`],
    fields: [byField(), reasonField({ required: true })],
    act: `Discard ${what}`,
    danger: true,
  });
  if (given === null) return;
  rememberBy(given);
  await underWay(`Discarding ${what}`, async ({ progress }, signal) => {
    let done = 0;
    for (const id of ids) {
      await send("DELETE", taskPath("dead-letters", id), { ...words(given), id: callId() },
        { signal });
      done += 1;
      progress(done, ids.length, `${count(done)} of ${count(ids.length)} discarded.`);
    }
    return { right: true, text: "Done." };
  });
}
