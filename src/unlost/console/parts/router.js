/** Where one is: `#/tasks/ID?name=value`, with each part encoded. */

/** @typedef {{page: string, rest: string[], query: URLSearchParams}} Place */

/** A place as an address within the page. */
export function address(parts, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value != null);
  const path = parts.map(encodeURIComponent).join("/");
  return `#/${path}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
}

/** @returns {Place} */
export function placeOf(hash) {
  const [path, query = ""] = split(hash.replace(/^#\/?/, ""));
  const [page, ...rest] = path.split("/").map(decoded);
  return { page, rest: rest.filter((part) => part !== ""), query: new URLSearchParams(query) };
}

function split(text) {
  const at = text.indexOf("?");
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
