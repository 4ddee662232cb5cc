/** A worker on a real service (`UNLOST_URL`), for a type of its own. */

import { randomUUID } from "node:crypto";

import { Client, Worker } from "@unlost/client";

export const client = new Client();

/** While a worker has this handler, which ends with it. */
export async function working(handler, during, options = {}) {
  const type = randomUUID();
  const { by = client, limits = {}, ...rest } = options;
  const worker = new Worker(by, { [type]: { handler, ...limits } }, rest);
  const running = worker.run();
  const submit = async (payload = {}, more = {}) => (await client.submit(payload, { type, ...more })).taskId;
  try {
    return await Promise.race([during(submit, worker), running]);
  } finally {
    await worker.stop({ grace: 0 });
    await running;
  }
}

/** A task once it has ended. */
export const ended = (id) => client.wait(id, 30);
