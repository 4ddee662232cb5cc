/** What takes a beat or a lease to be known, on a real service: beside each other, since all of it waits. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, test } from "node:test";

import { AttemptOver, Worker } from "@unlost/client";
import { Process } from "./process.js";
import { client, ended, working } from "./working.js";

describe("a worker and its service", { concurrency: true }, () => {
  test("a cancel reaches the handler's signal, and nothing is settled", async () => {
    let told;
    const handler = async (task) => {
      await sleep(30_000, undefined, { signal: task.signal }).catch(() => undefined);
      told = task.signal.reason;
      return "ignored";
    };
    await working(handler, async (submit) => {
      const id = await submit();
      while ((await client.get(id)).state !== "running") await sleep(10);
      await client.cancel(id);
      const began = performance.now();
      while (told === undefined) await sleep(10);
      assert.ok(performance.now() - began < 6_000);
      assert.ok(told instanceof AttemptOver && told.why === "cancelled");
      assert.equal((await client.get(id)).state, "cancelled");
    });
  });

  test("what runs alone comes after the end of what was cancelled", async () => {
    const type = randomUUID(), order = [];
    const alone = (await client.submit({}, { type })).taskId;
    const body = JSON.stringify({ claim: randomUUID(), worker: randomUUID(), types: [type], leaseSeconds: 5 });
    const headers = { "Content-Type": "application/json" };
    await fetch(`${process.env.UNLOST_URL}/attempts/claim`, { method: "POST", headers, body }); // and never again
    const handler = async (task) => {
      order.push(task.id);
      if (task.id === alone) return;
      task.signal.addEventListener("abort", () => order.push("told"));
      await sleep(30_000, undefined, { signal: task.signal });
    };
    const worker = new Worker(client, { [type]: handler }, { concurrency: 2 });
    const running = worker.run();
    const cancelled = (await client.submit({}, { type })).taskId;
    while ((await client.get(alone)).attempts[0]?.outcome !== "lost") await sleep(100);
    await sleep(1_000); // its backoff is over by then
    await client.cancel(cancelled);
    await ended(alone);
    await worker.stop({ grace: 0 });
    await running;
    assert.deepEqual(order, [cancelled, "told", alone]);
  });

  test("what a killed worker ran is lost, and runs alone elsewhere", async () => {
    const type = randomUUID();
    const first = new Process("work.js", type);
    const { taskId } = await client.submit({ long: 1 }, { type });
    await first.said("began");
    first.kill("SIGKILL");
    const second = new Process("work.js", type);
    const task = await ended(taskId);
    assert.deepEqual(task.attempts.map((one) => one.outcome), ["lost", "succeeded"]);
    assert.equal(await second.end(), 0);
  });

  test("a worker that was paused past its lease gives up what it ran, makes no step, and goes on", async () => {
    const type = randomUUID();
    const first = new Process("work.js", type);
    const { taskId } = await client.submit({ long: 1 }, { type, maxRetries: 5 });
    await first.said("began");
    first.kill("SIGSTOP");
    const second = new Process("work.js", type);
    const task = await ended(taskId);
    // The service cannot know that the worker whose claim it answers stands still.
    assert.match(task.attempts.map((one) => one.outcome).join(), /^(lost,){1,2}succeeded$/);
    assert.equal(await second.end(), 0);
    first.kill("SIGCONT");
    await first.said("lost");
    await first.said("AttemptOver");
    const next = await client.submit({}, { type });
    assert.equal((await ended(next.taskId)).state, "succeeded");
    assert.deepEqual(first.lines.filter((one) => one.what === "made").map((one) => one.id), [next.taskId]);
    assert.equal((await client.get(taskId)).attemptCount, task.attemptCount);
    assert.equal(await first.end(), 0);
  });
});
