/**
 * What this service offers, from its own description, so that the console never calls what is not
 * there: an older service, or a home that answers 501.
 */
import { json } from "./api.js";

/** What the console can do without, each with what is said where it is missing. */
export const MISSING = {
  "/events": "This home has no /events: the console asks again every few seconds instead.",
  "/metrics": "This home has no /metrics: how long the oldest task waits is not shown.",
  "/workers": "This service does not tell its workers.",
  "/redrives": "This home has no redrives that go on by themselves.",
  "/schedules": "This service has no schedules.",
  "/types": "This service has no controls by type.",
};

let known = null;

/** Whether a GET of this path is answered here. */
export async function offers(path) {
  known ??= json("/openapi.json").catch((error) => {
    known = null;
    throw error;
  });
  const described = (await known).paths[path]?.get;
  return described !== undefined && "200" in described.responses;
}
