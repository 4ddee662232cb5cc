/** Light or dark: what the system says, unless somebody chose. */
import { button, say } from "./dom.js";

const STORED = "unlost.theme";
const CHOICES = ["auto", "light", "dark"];

/** A button that goes through the choices. */
export function themeButton() {
  const shown = button("", () => {
    const next = CHOICES[(CHOICES.indexOf(chosen()) + 1) % CHOICES.length];
    localStorage.setItem(STORED, next);
    apply(shown);
  }, { class: "bare", id: "theme" });
  apply(shown);
  return shown;
}

function chosen() {
  const stored = localStorage.getItem(STORED);
  return CHOICES.includes(stored) ? stored : "auto";
}

function apply(shown) {
  document.documentElement.dataset.theme = chosen();
  say(shown, { auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" }[chosen()]);
  shown.setAttribute("aria-label", `Colours: ${chosen()}`);
}
