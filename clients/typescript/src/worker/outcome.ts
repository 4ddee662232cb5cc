/** How an attempt ended, as it is on the wire. No I/O. */

import { Reject, Retry } from "./exceptions.js";
import { asJson } from "./json.js";

/** Bytes of JSON that a result may have. */
export const MOST_RESULT = 65_536;

const MOST_TYPE = 200;
const MOST_MESSAGE = 4_096;
const MOST_STACK = 16_384;

/** An attempt that succeeded; `submitted` are the tasks that follow, as JSON. */
export function returned(token: string, value: unknown, submitted: readonly string[]): string {
  let result: string | undefined;
  try {
    result = asJson(value);
  } catch (error) {
    return refused(token, "ResultNotJson", messageOf(error));
  }
  const size = Buffer.byteLength(result ?? "");
  if (size > MOST_RESULT) {
    const why = `the result has ${size} bytes of JSON, above ${MOST_RESULT}`;
    return refused(token, "ResultTooLarge", why);
  }
  const members = [`"token":${JSON.stringify(token)}`, '"outcome":"succeeded"'];
  if (result !== undefined) members.push(`"result":${result}`);
  if (submitted.length > 0) members.push(`"submit":[${submitted.join()}]`);
  return `{${members.join()}}`;
}

/** An attempt whose handler threw: released where it was told that its worker stops. */
export function thrown(token: string, error: unknown, stopping: boolean): string {
  const why = told(error);
  if (error instanceof Reject) {
    return settlement(token, "failed", { error: why, reject: true });
  }
  const asked = error instanceof Retry && error.after > 0 ? { retryAfterSeconds: error.after } : {};
  if (stopping) return settlement(token, "released", asked);
  const excused = error instanceof Retry && error.excused ? { excused: true } : {};
  return settlement(token, "failed", { error: why, ...asked, ...excused });
}

/** An attempt that goes back and is not counted. */
export function released(token: string): string {
  return settlement(token, "released", {});
}

/** An attempt whose end, of which this is the text, the service has refused, for this reason. */
export function unsettled(token: string, text: string, detail: string): string {
  const { outcome } = JSON.parse(text) as { outcome: string };
  if (outcome === "succeeded") return refused(token, "SettlementRefused", detail);
  return settlement(token, "failed", { error: { type: "SettlementRefused", message: cut(detail, MOST_MESSAGE) } });
}

/** The work is done, and another attempt would only repeat it. */
function refused(token: string, type: string, message: string): string {
  return settlement(token, "failed", { error: { type, message: cut(message, MOST_MESSAGE) }, reject: true });
}

function settlement(token: string, outcome: string, more: object): string {
  return JSON.stringify({ token, outcome, ...more });
}

function told(error: unknown): object {
  const type = cut(nameOf(error), MOST_TYPE, "…") || "Error";
  const stack = error instanceof Error && typeof error.stack === "string" ? error.stack : undefined;
  const traceback = stack === undefined ? {} : { traceback: cut(stack, MOST_STACK) };
  return { type, message: cut(messageOf(error), MOST_MESSAGE), ...traceback };
}

/** The error's own name, else its class's: few give their classes a name that errors show. */
function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return "Error";
  const name = String(error.name);
  return name === "Error" ? error.constructor?.name || name : name;
}

function messageOf(error: unknown): string {
  try {
    return error instanceof Error ? String(error.message) : String(error);
  } catch {
    return "this cannot be shown";
  }
}

/** The service cuts to what it keeps; no more than about that goes over the wire. */
function cut(text: string, most: number, mark = "… [cut]"): string {
  const whole = text.toWellFormed();
  return whole.length <= most ? whole : (whole.slice(0, most - mark.length) + mark).toWellFormed();
}
