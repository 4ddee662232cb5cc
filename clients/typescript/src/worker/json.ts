/** What handlers make, as JSON that the service takes. No I/O. */

import { json } from "../http.js";

/** Levels of objects and arrays that a value may have; `{}` is one. */
export const DEPTH = 128;

/**
 * A value as JSON, undefined where there is none. Throws what says that it cannot be: for a lone
 * surrogate (half of an emoji, say) and more levels than these a TypeError.
 */
export function asJson(value: unknown, levels = DEPTH): string | undefined {
  if (value === undefined) return undefined;
  const text = json(value) as string | undefined; // none of a function, of which JSON knows nothing
  if (text === undefined) throw new TypeError(`a ${typeof value} is no JSON`);
  // A lone surrogate is written as an escape, and each level takes two brackets.
  if (text.includes("\\u") || text.length > 2 * levels) check(JSON.parse(text), levels);
  return text;
}

function check(value: unknown, levels: number): void {
  if (typeof value === "string") return checkText(value);
  if (typeof value !== "object" || value === null) return;
  if (levels === 0) throw new TypeError("it is nested too deeply");
  for (const [name, one] of Object.entries(value)) {
    checkText(name);
    check(one, levels - 1);
  }
}

function checkText(text: string): void {
  if (!text.isWellFormed()) throw new TypeError("a string holds a lone surrogate");
}
