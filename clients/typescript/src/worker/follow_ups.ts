/** What a handler submits with its success. */

import type { Payload, SubmitOptions } from "../types.js";
import { asJson, DEPTH } from "./json.js";
import { followUpId } from "./keys.js";

/** Tasks that one attempt may submit, and bytes that their payloads may have together. */
const MOST = 40;
const MOST_BYTES = 1_048_576;

/** The tasks that one attempt submits, as JSON. */
export class FollowUps {
  readonly tasks: string[] = [];
  readonly #taskId: string;
  readonly #token: string;
  #bytes = 0;

  constructor(taskId: string, token: string) {
    this.#taskId = taskId;
    this.#token = token;
  }

  /** The id of the task that is to follow. */
  add(payload: Payload, options: SubmitOptions): string {
    if (typeof payload !== "object" || payload === null || Array.isArray(payload)) {
      throw new TypeError("a payload is a JSON object");
    }
    if (this.tasks.length === MOST) throw new RangeError(`an attempt submits at most ${MOST} tasks`);
    const size = this.#bytes + Buffer.byteLength(asJson(payload) ?? "");
    if (size > MOST_BYTES) {
      throw new RangeError(`what an attempt submits has at most ${MOST_BYTES} bytes of payloads`);
    }
    const taskId = options.taskId ?? followUpId(this.#taskId, this.#token, this.tasks.length);
    this.tasks.push(asJson({ ...options, taskId, payload }, DEPTH + 1)!);
    this.#bytes = size;
    return taskId;
  }
}
