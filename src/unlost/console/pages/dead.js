/** The dead letters: all errors, one error, or one letter. */
import { groupPage } from "../workbench/group.js";
import { groupsPage } from "../workbench/groups.js";
import { letterPage } from "../workbench/letter.js";

/** Fill the page. */
export function deadPage(main, { rest: [first, second], query }, signal) {
  if (first === undefined) return groupsPage(main, signal);
  if (first === "letter" && second !== undefined) return letterPage(main, second, signal);
  return groupPage(main, first, query, signal);
}
