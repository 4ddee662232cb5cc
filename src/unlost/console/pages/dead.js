/** The dead letters. */
import { h, swap } from "../parts/dom.js";

/** Fill the page. */
export async function deadPage(main) {
  swap(main, h("h1", {}, "Dead letters"));
}
