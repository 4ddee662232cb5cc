/** The redrives: all of them, or one. */
import { redrivesPage } from "../workbench/redrives.js";
import { redrivePage } from "../workbench/standing.js";

/** Fill the page. */
export function redrivePages(main, { rest: [id], query }, signal) {
  return id === undefined ? redrivesPage(main, query, signal) : redrivePage(main, id, signal);
}
