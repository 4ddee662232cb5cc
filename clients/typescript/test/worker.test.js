/** The worker on a real service (`UNLOST_URL`) that has no handlers itself, also behind what cuts calls off. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { after, before, test } from "node:test";

import { AttemptOver, Client, Refused, Reject, Retry, StepNotKept, Worker } from "@unlost/client";
import { Between } from "./between.js";
import { CUT, nested } from "./values.js";
import { client, ended, working } from "./working.js";

const CUTS = ["never came", "no answer", "half an answer", "gateway timeout"];
let between, far;

before(async () => {
  between = await Between.before(process.env.UNLOST_URL);
  far = new Client({ url: between.url, retryFor: 5 });
});
after(() => between.close());

test("a handler is given its task, and what it returns is the result", async () => {
  let seen;
  const handler = (task) => ((seen = task), { sum: task.payload.a + task.payload.b });
  await working(handler, async (submit) => {
    const id = await submit({ a: 1, b: 2 }, { maxRetries: 7, key: "ann", timeoutSeconds: 9 });
    const task = await ended(id);
    assert.deepEqual([task.state, task.result], ["succeeded", { sum: 3 }]);
    assert.deepEqual([seen.id, seen.type, seen.payload, seen.attempt], [id, task.type, { a: 1, b: 2 }, 1]);
    assert.deepEqual([seen.maxRetries, seen.key, seen.timeoutSeconds, seen.redriveCount], [7, "ann", 9, 0]);
    assert.equal(seen.submittedAt, task.submittedAt);
    assert.throws(() => seen.submit({}), AttemptOver);
  });
});

test("what a handler throws is what follows", async () => {
  class PaymentFailed extends Error {}
  const acts = {
    fails: (task) => { if (task.attempt < 3) throw new PaymentFailed("no money"); },
    rejects: () => { throw new Reject("never"); },
    excused: (task) => {
      assert.equal(task.attempt, 1);
      if (seen.add(task.number).size < 4) throw new Retry({ excused: true });
    },
    unkept: () => 1n,
    large: () => "x".repeat(70_000),
    cut: () => ({ text: CUT }),
    deep: () => nested(129),
    deepest: async (task) => {
      task.submit({ deepest: await task.once("deepest", () => nested(127)) }, { delaySeconds: 3_600 });
      return task.once("as-deep", () => nested(128));
    },
  };
  const seen = new Set();
  await working((task) => acts[task.payload.act](task), async (submit) => {
    const ids = {};
    for (const act of Object.keys(acts)) ids[act] = await submit({ act });
    const found = {};
    for (const [act, id] of Object.entries(ids)) found[act] = await ended(id);
    assert.deepEqual(found.fails.attempts.map((one) => one.outcome), ["failed", "failed", "succeeded"]);
    assert.deepEqual([found.fails.attempts[0].error.type, found.fails.attempts[0].error.message], ["PaymentFailed", "no money"]);
    assert.deepEqual([found.rejects.state, found.rejects.error.type, found.rejects.attemptCount], ["dead", "Reject", 1]);
    assert.deepEqual([found.excused.state, found.excused.attemptCount, found.excused.excusedCount], ["succeeded", 4, 3]);
    assert.deepEqual([found.unkept.state, found.unkept.error.type], ["dead", "ResultNotJson"]);
    assert.deepEqual([found.large.state, found.large.error.type], ["dead", "ResultTooLarge"]);
    for (const { state, error, attemptCount } of [found.cut, found.deep]) {
      assert.deepEqual([state, error.type, attemptCount], ["dead", "ResultNotJson", 1]);
    }
    assert.deepEqual([found.deepest.state, found.deepest.result], ["succeeded", nested(128)]);
    const [{ error }] = (await client.get(ids.rejects)).attempts;
    assert.equal(error.type, "Reject");
  }, { limits: { maxRetries: 2 } });
});

test("a handler's own limits hold where the submit sets none, and a timeout is told", async () => {
  const told = [];
  const handler = (task) => new Promise((_, reject) => {
    task.signal.addEventListener("abort", () => (told.push(task.signal.reason.why), reject(task.signal.reason)));
  });
  await working(handler, async (submit) => {
    const task = await ended(await submit());
    assert.deepEqual([task.state, task.maxRetries, task.error.type], ["dead", 0, "AttemptTimedOut"]);
    assert.deepEqual(told, ["timed out"]);
  }, { limits: { maxRetries: 0, timeoutSeconds: 0.3 } });
});

test("a step is made once, and its key stays", async () => {
  const made = [], keys = [], values = [];
  const handler = async (task) => {
    keys.push(task.idempotencyKey("charge"));
    values.push(await task.once("charge", async () => ({ charge: made.push(1), at: new Date(0) })));
    values.push(await task.once("nothing", () => undefined));
    await assert.rejects(task.once("big", () => made.push(2) && "x".repeat(70_000)), StepNotKept);
    await assert.rejects(task.once("odd", () => made.push(3) && 1n), StepNotKept);
    await assert.rejects(task.once("cut", () => made.push(6) && CUT), StepNotKept);
    await assert.rejects(task.once("deep", () => made.push(7) && nested(129)), StepNotKept);
    if (task.attempt === 1) await assert.rejects(task.once("charge", () => made.push(4)), RangeError);
    await assert.rejects(task.once("a b", () => made.push(5)), RangeError);
    await assert.rejects(task.once("fails", () => { throw new TypeError("x"); }), TypeError);
    if (task.attempt === 1) throw new Error("once more");
  };
  await working(handler, async (submit) => {
    const id = await submit();
    assert.deepEqual((await ended(id)).state, "succeeded");
    assert.deepEqual(made, [1, 2, 3, 6, 7]);
    const charge = { charge: 1, at: "1970-01-01T00:00:00.000Z" };
    assert.deepEqual(values, [charge, null, charge, null]);
    assert.match(keys[0], /^[0-9a-f]{40}$/);
    assert.equal(keys[0], keys[1]);
    const { steps } = await client.get(id);
    const names = ["big", "charge", "cut", "deep", "nothing", "odd"];
    assert.deepEqual(steps.map((one) => [one.name, one.attempt]).sort(), names.map((name) => [name, 1]));
  });
});

test("no step is made by an attempt that runs no more", async () => {
  const made = [];
  let caught;
  const handler = async (task) => {
    await client.cancel(task.id);
    await task.once("charge", () => made.push(1)).catch((error) => (caught = error));
  };
  await working(handler, async (submit) => {
    await submit();
    while (caught === undefined) await sleep(10);
    assert.ok(caught instanceof AttemptOver);
    assert.deepEqual(made, []);
  });
});

test("what a handler submits is there with its success, or not at all", async () => {
  const ids = [];
  const taken = randomUUID();
  await client.submit({ n: 1 }, { taskId: taken, type: "other" });
  const handler = (task) => {
    if (task.payload.act === "bad") return task.submit({}, { priority: 1_000 });
    if (task.payload.act === "taken") return task.submit({ n: 2 }, { taskId: taken, type: "other" });
    ids.push(task.submit({ n: task.attempt }, { type: "other", delaySeconds: 3_600 }));
    if (task.attempt === 1) throw new Error("once more");
  };
  await working(handler, async (submit) => {
    const id = await submit();
    assert.equal((await ended(id)).state, "succeeded");
    const next = await client.get(ids[1]);
    assert.deepEqual([next.parent, next.payload], [id, { n: 2 }]);
    await assert.rejects(client.get(ids[0]));
    const [bad, conflict] = [await ended(await submit({ act: "bad" })), await ended(await submit({ act: "taken" }))];
    assert.deepEqual([bad.state, bad.error.type], ["dead", "SettlementRefused"]);
    assert.match(bad.error.message, /priority/);
    assert.deepEqual([conflict.state, conflict.error.type], ["dead", "FollowUpConflict"]);
  }, { limits: { maxRetries: 1 } });
});

test("a settlement that is refused keeps no other from being settled, and no worker from going on", async () => {
  let begun = 0;
  const all = Promise.withResolvers();
  const handler = async (task) => {
    if ((begun += 1) === 8) all.resolve();
    await all.promise;
    return task.payload.n === 3 ? "refuse this" : "well";
  };
  between.refuses = (request, body) => request.url === "/attempts/settle" && body.includes("refuse this");
  await working(handler, async (submit) => {
    const ids = await Promise.all(Array.from({ length: 8 }, (_, n) => submit({ n })));
    const found = await Promise.all(ids.map(ended));
    assert.deepEqual(found.map((one) => one.state), Array.from({ length: 8 }, (_, n) => (n === 3 ? "dead" : "succeeded")));
    assert.equal(found[3].error.type, "SettlementRefused");
    assert.deepEqual(found.map((one) => one.attempts.length), Array(8).fill(1));
  }, { by: far, concurrency: 8 });
  between.refuses = () => false;
});

for (const fate of CUTS) {
  test(`nothing runs twice and nothing is left where answers are lost: ${fate}`, async () => {
    const ran = [];
    const handler = async (task) => {
      ran.push(task.id);
      between.fates = Math.random() < 0.3 ? [fate, fate] : [];
      return task.once("n", () => task.payload.n);
    };
    await working(handler, async (submit) => {
      const ids = await Promise.all(Array.from({ length: 10 }, (_, n) => submit({ n })));
      between.fates = [fate];
      const found = await Promise.all(ids.map(ended));
      between.fates = [];
      assert.deepEqual(found.map((one) => one.result), ids.map((_, n) => n));
      assert.deepEqual([...ran].sort(), [...ids].sort());
    }, { by: far, concurrency: 4 });
  });
}

test("many are worked off, never more at once than slots", async () => {
  let now = 0, most = 0;
  const ran = new Map();
  const handler = async (task) => {
    most = Math.max(most, (now += 1));
    ran.set(task.id, (ran.get(task.id) ?? 0) + 1);
    await null;
    now -= 1;
  };
  await working(handler, async (submit) => {
    const { type } = await client.get(await submit());
    const ids = [];
    const tasks = Array.from({ length: 2_000 }, () => ({ payload: {}, type }));
    for await (const one of client.submitMany(tasks)) ids.push(one.taskId);
    for (const id of ids.slice(-50)) assert.equal((await ended(id)).state, "succeeded");
    let done = 0;
    while (done < 2_001) {
      done = 0;
      for await (const _ of client.tasks({ type, state: "succeeded" })) done += 1;
    }
    assert.ok(most <= 50);
    assert.deepEqual([...ran.values()], Array(2_001).fill(1));
  }, { concurrency: 50 });
});

test("a stop lets handlers end, and gives back what does not", async () => {
  const begun = [];
  const handler = async (task) => {
    begun.push(task.id);
    if (task.payload.deaf) return new Promise(() => {});
    await sleep(task.payload.ms, undefined, { signal: task.signal });
    return "done";
  };
  await working(handler, async (submit, worker) => {
    const ids = [await submit({ ms: 300 }), await submit({ ms: 60_000 }), await submit({ deaf: true })];
    while (begun.length < 3) await sleep(10);
    const stopped = worker.stop({ grace: 0.6 });
    const later = await submit({ ms: 0 });
    await stopped;
    const states = [];
    for (const id of [...ids, later]) states.push(await client.get(id));
    assert.deepEqual(states.map((one) => one.state), ["succeeded", "queued", "queued", "queued"]);
    assert.deepEqual(states.map((one) => one.attempts.map((a) => a.outcome)), [["succeeded"], ["released"], ["released"], []]);
    assert.equal(begun.length, 3);
  });
});

test("a stop is told to handlers in time, though the service does not answer the last claim", async () => {
  let began = false, told;
  const handler = async (task) => {
    began = true;
    await new Promise((done) => task.signal.addEventListener("abort", done));
    told = performance.now();
  };
  await working(handler, async (submit, worker) => {
    const id = await submit();
    while (!began) await sleep(10);
    const answered = Promise.withResolvers();
    between.holds = async (request) => request.url === "/attempts/claim" && answered.promise;
    const at = performance.now();
    const stopped = worker.stop({ grace: 0.5 });
    const late = setTimeout(answered.resolve, 6_000);
    while (told === undefined) await sleep(10);
    clearTimeout(late);
    answered.resolve();
    assert.ok(told - at < 5_000);
    await stopped;
    assert.deepEqual((await client.get(id)).attempts.map((one) => one.outcome), ["released"]);
  }, { by: far, concurrency: 2 });
  between.holds = async () => {};
});

test("an idle worker stops at once, and one that is told before it runs does nothing", async () => {
  await working(() => {}, async (submit, worker) => {
    await ended(await submit());
    const began = performance.now();
    await worker.stop();
    assert.ok(performance.now() - began < 3_000);
  });
  const never = new Worker(client, { [randomUUID()]: () => {} });
  await never.stop();
  await never.run();
});

test("a worker that the service refuses ends with its reason", async () => {
  const body = "no";
  const worker = new Worker(far, { [randomUUID()]: () => {} });
  between.fates = [{ status: 401, body }];
  await assert.rejects(worker.run(), Refused);
  await worker.stop();
});
