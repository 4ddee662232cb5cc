/**
 * Elements, made from values.  Text only ever becomes text nodes, so that no data is markup.
 * @typedef {Node | string | number | null | undefined | false} Child
 */

/** An HTML element.  A function among the attributes listens: `{onclick: …}`. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), value);
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...shown(children));
  return element;
}

function shown(children) {
  return children.flat(Infinity).filter((child) => ![null, undefined, false].includes(child));
}

/**
 * Replace what an element holds.  What had the focus keeps it, and what was unfolded stays so: both
 * are known by their `data-key`.
 */
export function swap(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const key = focused?.dataset.key;
  const open = [...element.querySelectorAll("details[open][data-key]")];
  element.replaceChildren(...shown(children));
  for (const { dataset } of open) keyed(element, dataset.key)?.setAttribute("open", "");
  if (key !== undefined) keyed(element, key)?.focus({ preventScroll: true });
}

function keyed(element, key) {
  return element.querySelector(`[data-key="${CSS.escape(key)}"]`);
}

/** Set the text of an element, if it differs. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A button. */
export function button(text, onclick, attributes = {}) {
  return h("button", { type: "button", onclick, ...attributes }, text);
}
