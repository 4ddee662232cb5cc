/** What is said in passing: a note that goes by itself, and is read out. */
import { button, h, say } from "./dom.js";

const SECONDS = 8;

/** Say something that went well. */
export function note(text) {
  show(text, "note");
}

/** Say that something went wrong; it stays until it is put away. */
export function trouble(error) {
  show(error instanceof Error ? error.message : String(error), "note wrong");
}

/** Do something, say that it went well, and go on; or say what went wrong. */
export async function tellHow(call, said, done) {
  try {
    await call();
    note(said);
  } catch (error) {
    trouble(error);
    return;
  }
  await done();
}

/** Read something out that can be seen elsewhere. */
export function announce(text) {
  say(document.getElementById("said"), text);
}

function show(text, kind) {
  announce(text);
  const shown = h("div", { class: kind }, h("span", {}, text));
  shown.append(button("×", () => shown.remove(), { class: "bare", "aria-label": "Put away" }));
  document.getElementById("notes").append(shown);
  if (!kind.includes("wrong")) setTimeout(() => shown.remove(), SECONDS * 1000);
}
