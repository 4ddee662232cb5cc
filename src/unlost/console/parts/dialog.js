/**
 * A question, asked once, in a modal dialog: the browser keeps the focus in it, and Escape says no.
 *
 * @typedef {{name: string, label: string, type?: string, value?: string, checked?: boolean,
 *   required?: boolean, hint?: string}} Field
 */
import { h, say } from "./dom.js";

let count = 0;

/**
 * What was answered, by field; null if the answer was no.
 * `says` may hold fields of its own.  `act` is the word on the button, or makes it of the answers.
 * @param {{title: string, says: (string|Node)[], fields?: Field[], danger?: boolean,
 *   act: string | ((answers: object) => string)}} question
 */
export function ask({ title, says, fields = [], act, danger = false }) {
  const id = `question-${++count}`;
  const inputs = fields.map((field) => input(field, id));
  const yes = h("button", { type: "submit", class: danger ? "danger" : "primary" });
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id }, title),
    says.map((part) => (typeof part === "string" ? h("p", {}, part) : part)),
    inputs,
    h(
      "div",
      { class: "acts" },
      yes,
      h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
    ),
  );
  const dialog = h("dialog", { "aria-labelledby": id }, form);
  const name = () => say(yes, typeof act === "string" ? act : act(answers(form)));
  form.addEventListener("input", name);
  name();
  document.body.append(dialog);
  return new Promise((resolve) => {
    let answer = null;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      answer = answers(form);
      dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    dialog.showModal();
    (form.querySelector("input, textarea") ?? form.querySelector("button")).focus();
  });
}

function answers(form) {
  return Object.fromEntries(new FormData(form));
}

function input({ name, label, type = "text", value = "", checked, required, hint }, id) {
  if (type === "checkbox") {
    return h("label", { class: "field choice" }, h("input", { name, type, checked, value: "yes" }), label);
  }
  const hinted = hint && `${id}-${name}-hint`;
  return h(
    "label",
    { class: "field" },
    h("span", {}, label, required && h("span", { class: "quiet" }, " (needed)")),
    h("input", {
      name, type, value, required, autocomplete: "off", maxlength: 1000,
      "aria-describedby": hinted || null,
    }),
    hint && h("small", { id: hinted, class: "quiet" }, hint),
  );
}
