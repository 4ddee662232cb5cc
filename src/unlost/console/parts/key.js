/** The API key, for homes that want one.  It is kept in this tab's session and nowhere else. */
import { ask } from "./dialog.js";

const listeners = new Set();
const STORED = "unlost.key";
let asking = null;
let declined; // with what key the answer was no: nobody is asked twice for one page

addEventListener("hashchange", () => {
  declined = undefined;
});

/** The key, or null. */
export function key() {
  return sessionStorage.getItem(STORED);
}

/** Hear when a key was given. */
export function onKey(hear) {
  listeners.add(hear);
}

/** Forget the key. */
export function forgetKey() {
  sessionStorage.removeItem(STORED);
}

/**
 * Ask for a key after a call with `used` was refused; false if none was given.  Calls that are
 * refused together ask once.
 */
export async function askForKey(used, why) {
  if (key() !== used) return true;
  if (declined === used) return false;
  asking ??= question(why).finally(() => {
    asking = null;
  });
  return asking;
}

async function question(why) {
  const given = await ask({
    title: "An API key is needed",
    says: [why, "It is kept in this tab until you close it."],
    fields: [{ name: "key", label: "API key", type: "password", required: true }],
    act: "Use this key",
  });
  if (given === null) {
    declined = key();
    return false;
  }
  sessionStorage.setItem(STORED, given.key.trim());
  for (const hear of listeners) hear();
  return true;
}
