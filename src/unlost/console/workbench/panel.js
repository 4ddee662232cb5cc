/**
 * The work under way: its progress, and a button that stops it.  It stays while one goes from page
 * to page, and there is one at a time.
 */
import { button, h, say, swap } from "../parts/dom.js";
import { announce, note } from "../parts/notes.js";

let working = null; // the AbortController of what is under way

addEventListener("beforeunload", (event) => working && event.preventDefault());

/** Whether something is under way, which is then said. */
export function busy() {
  if (working) note("One thing at a time: stop what is under way, or wait for its end.");
  return working !== null;
}

/**
 * Do something that takes a while; resolves at its end.
 * @param {string} title
 * @param {(shown: {progress: (done: number, total: number, text: string) => void},
 *   signal: AbortSignal) => Promise<{right: boolean, text: string}>} work
 */
export async function underWay(title, work) {
  const controller = new AbortController();
  const { signal } = controller;
  working = controller;
  const bar = h("progress", { "aria-label": title });
  const text = h("p", { class: "number", id: "trial-text" });
  const stop = button("Stop", () => controller.abort(), { class: "danger" });
  const panel = h("section", { class: "panel", "aria-label": title },
    h("div", { class: "head" }, h("h2", {}, title), stop), bar, text);
  swap(document.getElementById("trial"), panel);
  const end = await outcome(() => work({
    progress(done, total, said) {
      bar.max = Math.max(1, total);
      bar.value = done;
      say(text, said);
    },
  }, signal), signal);
  working = null;
  controller.abort(); // nothing listens any more
  panel.dataset.right = end.right;
  say(text, `${text.textContent} ${end.text}`.trim());
  announce(end.text);
  stop.replaceWith(button("Put away", () => panel.remove()));
}

async function outcome(work, signal) {
  try {
    return await work();
  } catch (error) {
    if (signal.aborted) return { right: false, text: "Stopped by you." };
    return { right: false, text: `Stopped: ${error.message}` };
  }
}
