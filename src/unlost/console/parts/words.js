/** Who does something, and why: what goes into a task's history. */

const STORED = "unlost.by";

/** The field for who; the browser remembers the last answer. */
export function byField() {
  return { name: "by", label: "Your name", value: rememberedBy(),
    hint: "Stays in the task's history." };
}

/** The field for why. */
export function reasonField({ required = false } = {}) {
  return { name: "reason", label: "Reason", required };
}

/** Who it was last; empty where nobody has said so. */
export function rememberedBy() {
  return localStorage.getItem(STORED) ?? "";
}

/** Remember who. */
export function rememberBy({ by }) {
  localStorage.setItem(STORED, by);
}

/** What was answered, as the service takes it: what is empty is left out. */
export function words({ by, reason }) {
  return { ...(by && { by }), ...(reason && { reason }) };
}
