// A worker with a handler that does nothing: pull_worker.mjs CONCURRENCY, for `bench.pull`.

import { Client, Worker } from "../clients/typescript/dist/index.js";

const worker = new Worker(new Client(), { default: () => {} }, { concurrency: Number(process.argv[2]) });
process.once("SIGTERM", () => worker.stop());
await worker.run();
