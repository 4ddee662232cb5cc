/** The states of a task, in the order of its life. */
import { h } from "./dom.js";

export const STATES = ["queued", "running", "retrying", "succeeded", "dead", "cancelled"];
export const TERMINAL = ["succeeded", "dead", "cancelled"];

/** Whether a task in this state has come to its end. */
export function ended(state) {
  return TERMINAL.includes(state);
}

/** A state (or an attempt's outcome) as a mark: a word and a colour. */
export function mark(state) {
  return h("span", { class: `mark tone-${state}`, "data-state": state }, state.replace("_", " "));
}
