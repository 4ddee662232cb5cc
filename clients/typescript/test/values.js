/** Values that the service takes for no JSON. */

/** A text that was cut within an emoji. */
export const CUT = "smile 😀".slice(0, 7);

/** Arrays in arrays. */
export function nested(levels) {
  return JSON.parse("[".repeat(levels) + "]".repeat(levels));
}
