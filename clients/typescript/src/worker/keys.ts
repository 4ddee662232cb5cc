/** Names by which others know what a task does. No I/O. */

import { createHash } from "node:crypto";

const NAME = /^[A-Za-z0-9._:-]{1,100}$/;

/** Throws RangeError for what is no name of a step. */
export function checkName(name: string): void {
  if (typeof name !== "string" || !NAME.test(name)) {
    throw new RangeError(`a step's name has 1 to 100 of A-Z a-z 0-9 . _ - :, not ${JSON.stringify(name)}`);
  }
}

/** By which others know a step of a task whose name was forgotten so often: 40 hex digits. */
export function idempotencyKey(effectKey: string, forgotten: number, name: string): string {
  return digest(`${effectKey}/${forgotten}/${name}`);
}

/** The id of the task that follows as number `place`: known to nobody before, and the same again. */
export function followUpId(taskId: string, token: string, place: number): string {
  return `follow-up_${digest(`${taskId}\0${token}\0${place}`)}`;
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 40);
}
