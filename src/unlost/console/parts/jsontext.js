/**
 * JSON as text.  Payloads go to the screen and back as they were sent: a parse into JavaScript's
 * numbers would round 2^53 + 1, and its objects would reorder their members.
 *
 * All of these take JSON that is known to be right, as the service sends it.
 */

const SPACE = /[ \t\n\r]/;
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+/gs;

/** The text of each member of an object, by name. */
export function members(text) {
  const found = new Map();
  for (const [start, end] of parts(text)) {
    const nameEnd = stringEnd(text, start);
    const value = text.indexOf(":", nameEnd) + 1;
    found.set(JSON.parse(text.slice(start, nameEnd)), text.slice(value, end).trim());
  }
  return found;
}

/** The text of each element of an array. */
export function elements(text) {
  return parts(text).map(([start, end]) => text.slice(start, end).trim());
}

/** Where each part between the outer brackets begins and ends. */
function parts(text) {
  const found = [];
  let depth = 0;
  let start = null;
  for (let at = 0; at < text.length; at += 1) {
    const c = text[at];
    if (depth === 1 && start === null && !SPACE.test(c) && c !== "]" && c !== "}") start = at;
    if (c === '"') {
      at = stringEnd(text, at) - 1;
    } else if (c === "{" || c === "[") {
      depth += 1;
    } else if (c === "}" || c === "]") {
      depth -= 1;
      if (depth === 0 && start !== null) found.push([start, at]);
    } else if (c === "," && depth === 1) {
      found.push([start, at]);
      start = null;
    }
  }
  return found;
}

/** Just past the end of the string that begins at `at`. */
function stringEnd(text, at) {
  for (let next = at + 1; ; next += 1) {
    if (text[next] === "\\") next += 1;
    else if (text[next] === '"') return next + 1;
  }
}

/** The same JSON, a member a line; each token stays as it is. */
export function pretty(text) {
  const out = [];
  let indent = 0;
  let before = "";
  const line = () => `\n${"  ".repeat(indent)}`;
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === "}" || token === "]") {
      indent -= 1;
      if (before !== "{" && before !== "[") out.push(line());
    } else if (before === "{" || before === "[" || before === ",") {
      out.push(line());
    }
    if (token === "{" || token === "[") indent += 1;
    out.push(token === ":" ? ": " : token);
    before = token;
  }
  return out.join("");
}

/** The same JSON without the space between its tokens. */
export function compact(text) {
  return text.match(TOKEN).join("");
}

/** Whether a text that somebody wrote is a JSON object; else why not. */
export function fault(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `This is not JSON: ${error.message}`;
  }
  const object = value !== null && typeof value === "object" && !Array.isArray(value);
  return object ? null : "A payload is a JSON object: { … }";
}

/** A task of an answer: its members as values, but `payload` and `result` as the texts they are. */
export function readTask(text) {
  const found = members(text);
  const task = {};
  for (const [name, value] of found) {
    task[name] = name === "payload" || name === "result" ? value : JSON.parse(value);
  }
  return task;
}

/** A page of a list: its tasks as texts, and the cursor of the next page. */
export function readPage(text) {
  const found = members(text);
  return { texts: elements(found.get("tasks")), nextCursor: JSON.parse(found.get("nextCursor")) };
}
