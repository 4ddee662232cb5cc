/** Numbers and times as people read them. */
import { h, say } from "./dom.js";

const WHOLE = new Intl.NumberFormat("en");
const FEW = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** A count, with its thousands apart. */
export function count(number) {
  return WHOLE.format(number);
}

/** A count and its noun: `1 task`, `2,000 tasks`. */
export function counted(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** A measured number, to three digits. */
export function few(number) {
  return FEW.format(number);
}

/** Seconds as a length of time: `12 ms`, `3.4 s`, `5 min 3 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(seconds) {
  const length = Math.abs(seconds);
  if (length < 0.9995) return `${few(length * 1000)} ms`;
  if (length < 59.95) return `${few(length)} s`;
  const whole = Math.round(length);
  const units = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([size]) => whole >= size);
  const [[large, name], [small, rest]] = units.slice(first, first + 2);
  const left = Math.floor((whole % large) / small);
  return `${Math.floor(whole / large)} ${name}${left ? ` ${left} ${rest}` : ""}`;
}

/** Seconds between two times of RFC 3339. */
export function between(start, end) {
  return (Date.parse(end) - Date.parse(start)) / 1000;
}

/** A time as `2026-11-25 09:58:02.123`, by the clock where the reader is. */
export function moment(time) {
  const at = new Date(time);
  const pad = (number, digits = 2) => String(number).padStart(digits, "0");
  const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  const clock = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  return `${day} ${clock}.${pad(at.getMilliseconds(), 3)}`;
}

/** How long ago a time is, or how long until it comes. */
export function ago(time, now = Date.now()) {
  const seconds = (now - Date.parse(time)) / 1000;
  if (Math.abs(seconds) < 1) return "now";
  return seconds > 0 ? `${rough(seconds)} ago` : `in ${rough(-seconds)}`;
}

function rough(seconds) {
  const units = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];
  const [size, name] = units.find(([size]) => seconds >= size);
  return `${Math.floor(seconds / size)} ${name}`;
}

/** A time element: how long ago, and exactly when in its title. */
export function when(time) {
  return h("time", { datetime: time, title: moment(time), class: "ago" }, ago(time));
}

/** Tell anew how long ago the times are that the page shows. */
export function tick() {
  for (const shown of document.querySelectorAll("time.ago")) say(shown, ago(shown.dateTime));
}

/** A text's beginning, where all of it would be too much. */
export function cut(text, most) {
  return text.length <= most ? text : `${text.slice(0, most)}…`;
}
