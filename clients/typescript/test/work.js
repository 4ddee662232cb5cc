/** A worker in a process of its own, which tests kill and pause: `work.js TYPE [LEASE]`. */

import { setTimeout as sleep } from "node:timers/promises";
import { Client, Worker } from "@unlost/client";

const [type, leaseSeconds = "5"] = process.argv.slice(2);
const say = (what, task) => console.log(JSON.stringify({ what, id: task.id, attempt: task.attempt }));

async function work(task) {
  say("began", task);
  try {
    await sleep(task.attempt <= (task.payload.long ?? 0) ? 60_000 : 1, undefined, { signal: task.signal });
  } catch {
    say(task.signal.reason.why, task);
    await task.once("late", () => say("made", task)).catch((error) => say(error.name, task));
    throw task.signal.reason;
  }
  await task.once("made", () => say("made", task));
  return task.attempt;
}

const worker = new Worker(new Client(), { [type]: work }, { leaseSeconds: Number(leaseSeconds) });
process.once("SIGTERM", () => worker.stop({ grace: 0.2 }));
await worker.run();
