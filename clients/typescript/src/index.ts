/** A client of unlost, the task service that does not lose a task. */

export { Client, type ClientOptions } from "./client.js";
export { Conflict, NotFound, Refused, Unavailable, UnlostError, type Fault, type Problem } from "./errors.js";
export type * from "./types.js";
