/** A client of unlost, the task service that does not lose a task. */

export { Client, type ClientOptions } from "./client.js";
export { Conflict, NotFound, Refused, Unavailable, UnlostError, type Fault, type Problem } from "./errors.js";
export type * from "./types.js";
export { AttemptOver, Reject, Retry, StepNotKept, type Why } from "./worker/exceptions.js";
export type { Handler, Handlers, LimitedHandler } from "./worker/handlers.js";
export type { RunningTask } from "./worker/task.js";
export { Worker, type StopOptions, type WorkerOptions } from "./worker/worker.js";
