/** The calls to the service.  A key, where one is needed, comes with each of them. */
import { askForKey, key } from "./key.js";

/** The path below which the service is, which a proxy may have put before its own. */
export const ROOT = new URL("../../", import.meta.url).pathname.slice(0, -1);

/** The service said no.  `detail` is in its own words. */
export class Refused extends Error {
  constructor(status, detail, retryAfter = null) {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Nobody answered. */
export class Unreachable extends Error {
  constructor() {
    super("The service does not answer.");
  }
}

/** The path of a task's resource; ids may hold anything. */
export function taskPath(root, taskId, act = "") {
  return `/${root}/${encodeURIComponent(taskId)}${act && `/${act}`}`;
}

/** A path with a query; what is empty is left out. */
export function withQuery(path, query) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value != null);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

/** The answer to a call, if it is a good one.  Throws Refused, Unreachable, AbortError. */
export async function respond(method, path, { body, signal } = {}) {
  for (;;) {
    const used = key();
    const headers = body === undefined ? {} : { "Content-Type": "application/json" };
    if (used !== null) headers.Authorization = `Bearer ${used}`;
    const response = await reach(path, { method, headers, body, signal, cache: "no-store" });
    if (response.ok) return response;
    const refusal = await refusalOf(response);
    if (response.status !== 401 || !(await askForKey(used, refusal.message))) throw refusal;
  }
}

async function reach(path, options) {
  try {
    return await fetch(ROOT + path, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new Unreachable();
  }
}

async function refusalOf(response) {
  let detail = `The service answered ${response.status}.`;
  try {
    const problem = await response.json();
    detail = problem.detail ?? problem.message ?? detail;
  } catch {
    // The gateway before the service may answer in its own way.
  }
  return new Refused(response.status, String(detail), response.headers.get("Retry-After"));
}

/**
 * An id for a call that acts: sent twice, as browsers do by themselves, it is done once.  That of a
 * redrive names it.
 */
export function callId() {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The text of an answer. */
export async function text(path, options) {
  return (await respond("GET", path, options)).text();
}

/** The JSON of an answer that holds no payload: numbers in those must stay as they are sent. */
export async function json(path, options) {
  return (await respond("GET", path, options)).json();
}

/** Send JSON (a text, or what is to become one). */
export function send(method, path, body, options = {}) {
  const sent = typeof body === "string" ? body : JSON.stringify(body);
  return respond(method, path, { ...options, body: sent });
}
