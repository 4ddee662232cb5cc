// graphile-worker with a task that does nothing, unbatched; `bench.peers` runs it.
//
//   node graphile_worker.cjs URL prepare | fill COUNT PAYLOAD | work CONCURRENCY
//
// At its end it prints when its first job started and its last one was recorded as done, in seconds.
const { Logger, makeWorkerUtils, run } = require("graphile-worker");
const { EventEmitter } = require("node:events");

const [connectionString, what, ...rest] = process.argv.slice(2);
const logger = new Logger(() => () => {});

async function fill(count, payload) {
  const utils = await makeWorkerUtils({ connectionString, logger });
  await utils.migrate();
  for (let start = 0; start < count; start += 1000) {
    const jobs = Array.from({ length: Math.min(1000, count - start) }, () => ({
      identifier: "nothing",
      payload,
    }));
    await utils.addJobs(jobs);
  }
  await utils.release();
}

async function work(concurrentJobs) {
  const events = new EventEmitter();
  let first = null;
  let last = null;
  events.on("job:start", () => (first ??= Date.now()));
  events.on("job:complete", () => (last = Date.now()));
  const runner = await run({
    preset: { worker: { connectionString, concurrentJobs, maxPoolSize: concurrentJobs + 1 } },
    logger,
    events,
    noHandleSignals: true,
    taskList: { nothing: async () => {} },
  });
  process.on("SIGTERM", async () => {
    await runner.stop();
    console.log(JSON.stringify([first / 1000, last / 1000]));
    process.exit(0);
  });
  await runner.promise;
}

if (what === "work") work(Number(rest[0]));
else if (what === "prepare") fill(0, {});
else fill(Number(rest[0]), JSON.parse(rest[1]));
