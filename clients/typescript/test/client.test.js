/** The client on a real service (`UNLOST_URL`), also behind what cuts requests and answers off. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { inspect } from "node:util";
import { after, before, test } from "node:test";

import { Client, Conflict, NotFound, Refused, Unavailable, UnlostError } from "@unlost/client";
import { Between } from "./between.js";

const REJECTED = { simulate: { outcome: "reject" } };
const CUTS = ["never came", "no answer", "half an answer", "gateway timeout"];
const client = new Client();
let between, far;

before(async () => {
  between = await Between.before(process.env.UNLOST_URL);
  far = new Client({ url: between.url });
});
after(() => between.close());

async function all(items, most = Infinity) {
  const found = [];
  for await (const one of items) if (found.push(one) >= most) break;
  return found;
}

async function dead(type = "default") {
  const { taskId } = await client.submit(REJECTED, { type });
  assert.equal((await client.wait(taskId, 20)).state, "dead");
  return taskId;
}

test("a task is submitted, awaited and shown", async () => {
  const payload = { x: 0.1, ä: [null, true, "\u2028"], n: 2 ** 53 };
  const runAt = new Date(Date.now() - 1000);
  const task = await client.submit(payload, { runAt, maxRetries: 1, key: "ann" });
  assert.deepEqual(task.payload, payload);
  const ended = await client.wait(task.taskId, 20);
  assert.equal(ended.state, "succeeded");
  assert.equal(ended.attempts[0].outcome, "succeeded");
  assert.deepEqual(await client.get(task.taskId), ended);
});

test("the same again is the same, and another a conflict", async () => {
  const taskId = randomUUID();
  const first = await client.submit({ a: 1, b: 2 }, { taskId });
  assert.equal((await client.submit({ b: 2, a: 1 }, { taskId })).submittedAt, first.submittedAt);
  await assert.rejects(client.submit({ a: 2 }, { taskId }), (error) => error instanceof Conflict && error.taskId === taskId);
});

test("what is wrong is refused with the faults, and what is not there is not found", async () => {
  await assert.rejects(client.submit({}, { maxRetry: 1, priority: 1000 }), (error) => {
    assert.ok(error instanceof Refused && error instanceof UnlostError);
    assert.deepEqual(error.problem.errors.map((one) => one.pointer).sort(), ["#/maxRetry", "#/priority"]);
    return true;
  });
  for (const id of ["nope", "..", ".", "", "a/b?c#d", "\u0001", "\ud800"]) await assert.rejects(client.get(id), NotFound);
});

test("what JSON cannot hold is said before anything is sent", async () => {
  for (const bad of [NaN, Infinity, 1n]) await assert.rejects(client.submit({ n: [bad] }), TypeError);
});

test("a wait ends in time, and a cancel is known", async () => {
  const { taskId } = await client.submit({}, { delaySeconds: 3600 });
  assert.equal((await client.wait(taskId, 0.2)).state, "queued");
  assert.equal((await client.wait(taskId, 0)).state, "queued");
  assert.equal((await client.cancel(taskId, { by: "ann" })).history.at(-1).by, "ann");
  assert.equal((await client.cancel(taskId)).state, "cancelled");
  await assert.rejects(client.cancel(await dead()), Conflict);
});

test("many tasks have their results in order, and a bad one rejects only itself", async () => {
  const prefix = randomUUID();
  function* tasks() {
    for (let n = 0; n < 2_345; n += 1) yield { taskId: `${prefix}-${n}`, payload: { n }, delaySeconds: 3600 };
  }
  const found = await all(client.submitMany(tasks()));
  assert.deepEqual(found.map((one) => one.taskId), Array.from({ length: 2_345 }, (_, n) => `${prefix}-${n}`));
  assert.ok(found.every((one) => one.status === 202));
  const listed = await all(client.tasks({ idPrefix: prefix }));
  assert.equal(new Set(listed.map((one) => one.taskId)).size, 2_345);
  assert.equal((await all(client.tasks({ idPrefix: prefix, limit: 1_001, state: "queued" }))).length, 1_001);
  const mixed = [{ payload: {} }, {}, { payload: { n: NaN } }, { payload: {}, x: 1 }];
  assert.deepEqual((await all(client.submitMany(mixed))).map((one) => one.status), [202, 422, 422, 422]);
  assert.deepEqual(await all(client.submitMany([])), []);
});

test("tasks are read as they are needed, also where they come by and by", async () => {
  let read = 0;
  async function* endless() {
    for (;;) yield { payload: { read: (read += 1) }, delaySeconds: 3600 };
  }
  assert.equal((await all(client.submitMany(endless()), 3)).length, 3);
  assert.ok(read <= 5_000);
  async function* broken() {
    yield { payload: {} };
    throw new RangeError("the file is gone");
  }
  await assert.rejects(all(client.submitMany(broken())), /the file is gone/);
});

test("dead letters are listed, redriven and discarded", async () => {
  const type = randomUUID();
  const [first, second] = [await dead(type), await dead(type)];
  const letters = await all(client.deadLetters({ type, error: "Reject", include: ["payload"] }));
  assert.deepEqual(letters.map((one) => one.taskId), [second, first]);
  assert.equal((await client.redrive(first, { payload: { mended: true } })).state, "queued");
  assert.deepEqual((await client.wait(first, 20)).payload, { mended: true });
  await client.discard(second, { reason: "old" });
  assert.deepEqual(await all(client.deadLetters({ type })), []);
  await assert.rejects(client.redrive(first), Conflict);
  await assert.rejects(client.discard(first), Conflict);
});

test("events are told as they happen, and a break is told", async () => {
  between.fates = ["one piece"];
  const ticks = [];
  const ticking = setInterval(() => ticks.push(client.submit({})), 30);
  const seen = [];
  let mine;
  try {
    for await (const event of far.events()) {
      if (event.event === "lagged") mine = (await client.submit({})).taskId;
      else if (event.taskId === mine && seen.push(event.state) && event.state === "succeeded") break;
    }
  } finally {
    clearInterval(ticking);
  }
  await Promise.all(ticks);
  assert.deepEqual(seen, ["queued", "running", "succeeded"]);
});

for (const fate of CUTS) {
  test(`what a call does is done once: ${fate}`, async () => {
    const { accepted } = await client.stats();
    between.fates = [fate];
    const task = await far.submit({ n: 1 }, { delaySeconds: 3600 });
    between.fates = [fate];
    const many = await all(far.submitMany(Array.from({ length: 50 }, (_, n) => ({ payload: { n }, delaySeconds: 3600 }))));
    assert.equal(new Set(many.map((one) => one.taskId)).size, 50);
    assert.equal((await client.stats()).accepted, accepted + 51);
    between.fates = [fate];
    assert.deepEqual((await far.cancel(task.taskId)).history.map((one) => one.event), ["cancel"]);
    const [first, second] = [await dead(), await dead()];
    between.fates = [fate];
    assert.equal((await far.redrive(first)).redriveCount, 1);
    between.fates = [fate];
    await far.discard(second);
    assert.equal((await client.get(second)).state, "cancelled");
  });
}

test("a cancel that was never done is a conflict, and is looked up", async () => {
  const id = await dead();
  between.fates = ["no answer"];
  await assert.rejects(far.cancel(id), Conflict);
  assert.equal(between.asked.at(-1), `GET /tasks/${id}`);
});

test("a wait goes on behind a proxy that ends it", async () => {
  const { taskId } = await client.submit({}, { delaySeconds: 0.5 });
  between.fates = ["gateway timeout"];
  assert.equal((await far.wait(taskId, 20)).state, "succeeded");
});

test("smaller batches where what lies between wants them, and Retry-After is kept to", async () => {
  between.fates = [{ status: 413 }, { status: 503, headers: { "retry-after": "1" } }];
  const began = performance.now();
  const found = await all(far.submitMany([{ payload: {} }, { payload: {} }]));
  assert.deepEqual(found.map((one) => one.status), [202, 202]);
  assert.ok(performance.now() - began >= 1000);
  const body = JSON.stringify({ results: [{ taskId: "a", status: 429, detail: "too fast" }] });
  between.fates = [{ status: 200, headers: { "retry-after": "1" }, body }];
  const refused = performance.now();
  assert.deepEqual((await all(far.submitMany([{ payload: {} }]))).map((one) => one.status), [202]);
  assert.ok(performance.now() - refused >= 1000);
});

test("where nothing comes through, it is unavailable", async () => {
  const nobody = new Client({ url: "http://127.0.0.1:9", retryFor: 0 });
  await assert.rejects(nobody.submit({}, { taskId: "a" }), (error) => error instanceof Unavailable && error.taskId === "a");
  await assert.rejects(all(nobody.submitMany([{ payload: {} }])), Unavailable);
  await assert.rejects(all(nobody.events()), Unavailable);
  between.fates = Array(9).fill("never came");
  await assert.rejects(new Client({ url: between.url, retryFor: 0.3 }).stats(), Unavailable);
  between.fates = [];
});

test("one that is asked in vain for its answer gives up in time", async () => {
  const { taskId } = await client.submit({}, { delaySeconds: 3600 });
  const hasty = new Client({ timeout: 3, retryFor: 20 });
  assert.equal((await hasty.wait(taskId, 1)).state, "queued");
});

test("the key is shown nowhere, and what can be none is refused", async () => {
  const key = "unlost_" + "k".repeat(43);
  const keyed = new Client({ url: between.url, key });
  between.fates = [{ status: 401, body: "no" }];
  const error = await keyed.stats().catch((one) => one);
  assert.ok(error instanceof Refused);
  assert.ok(!(inspect(keyed, { depth: 9, showHidden: true }) + inspect(error)).includes(key));
  for (const bad of ["two words", "line\nbreak", "clé"]) {
    assert.throws(() => new Client({ key: bad }), (one) => one instanceof TypeError && !one.message.includes(bad));
  }
  for (const url of ["ftp://a", "localhost", "http://me:secret@a", "http://a?b", "http://a#b"]) {
    assert.throws(() => new Client({ url }), (one) => one instanceof TypeError && !one.message.includes("secret"));
  }
});
