/** A handler that does what unlost's own simulated handler does. */

import { setTimeout as sleep } from "node:timers/promises";

import { Reject, type RunningTask } from "@unlost/client";

/** The share of attempts that fail. */
const FAILURE_RATE = 0.3;

interface Simulated {
  readonly simulate?: {
    readonly outcome?: "fail" | "succeed" | "reject" | "hang" | "crash";
    readonly failTimes?: number;
    readonly seconds?: number;
  };
}

class SimulatedFailure extends Error {}

/** Runs for `seconds`, then comes its outcome; without one, chance decides. */
export async function simulate(task: RunningTask<Simulated>): Promise<void> {
  const { seconds = 0 } = task.payload.simulate ?? {};
  await sleep(seconds * 1000, undefined, { signal: task.signal });
  switch (outcome(task)) {
    case "fail":
      throw new SimulatedFailure(`attempt ${task.attempt} was to fail`);
    case "reject":
      throw new Reject("the payload asked to be rejected");
    case "hang":
      await new Promise((_, reject) => task.signal.addEventListener("abort", () => reject(task.signal.reason)));
      break;
    case "crash":
      process.kill(process.pid, "SIGKILL");
  }
}

function outcome(task: RunningTask<Simulated>): string {
  const { outcome, failTimes } = task.payload.simulate ?? {};
  if (failTimes !== undefined && task.attempt > failTimes) return "succeed";
  if (failTimes !== undefined && (outcome ?? "succeed") === "succeed") return "fail";
  return outcome ?? (Math.random() < FAILURE_RATE ? "fail" : "succeed");
}
