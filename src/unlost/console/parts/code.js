/** JSON to read: pretty, folded where it is long, and copyable as it was sent. */
import { button, h } from "./dom.js";
import { count } from "./format.js";
import { pretty } from "./jsontext.js";
import { note, trouble } from "./notes.js";

const FOLDED = 20_000;

/** A block of JSON; `text` is copied as it is. */
export function code(name, text) {
  const shown = pretty(text);
  const pre = (part) => h("pre", { tabindex: 0, "aria-label": name }, part);
  return h(
    "section",
    { class: "code" },
    h("div", { class: "head" }, h("h2", {}, name),
      button("Copy", () => copy(text), { "aria-label": `Copy the ${name.toLowerCase()}` })),
    shown.length <= FOLDED ? pre(shown) : [
      pre(`${shown.slice(0, FOLDED)}…`),
      h("details", {}, h("summary", {}, `All ${count(shown.length)} characters`), pre(shown)),
    ],
  );
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    note("Copied.");
  } catch {
    trouble("This browser does not let the page copy: select the text instead.");
  }
}
