/** A worker that works off what a producer beside it submits, until that has ended. */

import { Client, Worker } from "@unlost/client";

import { simulate } from "./handler.js";
import { produce, TYPE } from "./producer.js";

const client = new Client();
const worker = new Worker(client, { [TYPE]: { handler: simulate, maxRetries: 2 } }, { concurrency: 20 });
process.once("SIGTERM", () => worker.stop());

const running = worker.run();
await Promise.race([produce(client, 100), running]);
await worker.stop();
await running;
