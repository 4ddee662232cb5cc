/** How an attempt ended, and the names that come of it: pure. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { AttemptOver, Client, Reject, Retry, Worker } from "@unlost/client";
import { FollowUps } from "../dist/worker/follow_ups.js";
import { idempotencyKey } from "../dist/worker/keys.js";
import { MOST_RESULT, returned, thrown } from "../dist/worker/outcome.js";
import { CUT, nested } from "./values.js";

const failed = (error, stopping = false) => JSON.parse(thrown("t", error, stopping));

test("a key for the other side is the one that a Python handler has", () => {
  const effectKey = "0123456789abcdef0123456789abcdef";
  assert.equal(idempotencyKey(effectKey, 2, "charge:one"), "f57200052bfa3d1ba36df86337d83709ea1193e2");
});

test("what a handler returns is the result, and what cannot be kept ends the task", () => {
  const end = (value, submitted = []) => JSON.parse(returned("t", value, submitted));
  assert.deepEqual(end(undefined), { token: "t", outcome: "succeeded" });
  assert.deepEqual(end(null, ['{"payload":{}}']), { token: "t", outcome: "succeeded", result: null, submit: [{ payload: {} }] });
  for (const odd of [NaN, 1n, () => 1, Symbol("s"), { n: [Infinity] }]) {
    const { outcome, error, reject } = end(odd);
    assert.deepEqual([outcome, error.type, reject], ["failed", "ResultNotJson", true]);
  }
  for (const odd of [CUT, { [CUT]: 1 }, [{ a: CUT }], nested(129), JSON.rawJSON('"\\uD83D"')]) {
    const { outcome, error, reject } = end(odd);
    assert.deepEqual([outcome, error.type, reject], ["failed", "ResultNotJson", true]);
    assert.match(error.message, /surrogate|deep/);
  }
  for (const even of ["smile 😀", "\\ud83d", "\u0000", nested(128), JSON.rawJSON('"\\ud83d\\ude00"'), "[".repeat(999)]) {
    assert.deepEqual(end(even).result, JSON.parse(JSON.stringify(even)));
  }
  assert.equal(end("x".repeat(MOST_RESULT - 2)).outcome, "succeeded");
  const { error, reject } = end("ä".repeat(MOST_RESULT / 2));
  assert.deepEqual([error.type, reject], ["ResultTooLarge", true]);
});

test("what a handler throws is the error, with the name that says most", () => {
  class PaymentFailed extends Error {}
  const { outcome, error } = failed(new PaymentFailed("no money"));
  assert.deepEqual([outcome, error.type, error.message], ["failed", "PaymentFailed", "no money"]);
  assert.match(error.traceback, /outcome\.test\.js/);
  assert.equal(failed(new TypeError("x")).error.type, "TypeError");
  assert.deepEqual(failed("text").error, { type: "Error", message: "text" });
  for (const odd of [undefined, null, Object.create(null), Symbol("s"), { toString: () => assert.fail() }]) {
    assert.equal(failed(odd).error.type, "Error");
  }
  const huge = failed(Object.assign(new Error("\ud800" + "ä".repeat(100_000)), { name: "n".repeat(999) }));
  assert.ok(huge.error.type.length === 200 && JSON.stringify(huge).length < 64_000);
});

test("a handler asks for what is to follow", () => {
  assert.deepEqual([failed(new Reject("why")).reject, failed(new Reject("why")).error.message], [true, "why"]);
  const retry = failed(new Retry({ after: 60, excused: true }));
  assert.deepEqual([retry.outcome, retry.retryAfterSeconds, retry.excused], ["failed", 60, true]);
  assert.equal(failed(new Retry()).retryAfterSeconds, undefined);
  for (const after of [-1, NaN, Infinity, "5 s"]) assert.throws(() => new Retry({ after }), TypeError);
});

test("what fails because its worker stops is given back", () => {
  assert.deepEqual(failed(new AttemptOver("stopping"), true), { token: "t", outcome: "released" });
  assert.deepEqual(failed(new Retry({ after: 9 }), true), { token: "t", outcome: "released", retryAfterSeconds: 9 });
  assert.equal(failed(new Reject(), true).outcome, "failed");
});

test("what follows has its id at once, the same each time, and bounds", () => {
  const of = (token) => new FollowUps("a", token);
  assert.equal(of("t").add({ n: 1 }, {}), of("t").add({ n: 1 }, {}));
  assert.notEqual(of("t").add({}, {}), of("u").add({}, {}));
  const some = of("t");
  const at = new Date(0);
  assert.equal(some.add({ n: 1 }, { taskId: "b", type: "mail", runAt: at }), "b");
  assert.deepEqual(JSON.parse(some.tasks[0]), { taskId: "b", type: "mail", runAt: at.toISOString(), payload: { n: 1 } });
  for (const odd of [null, [], "text", undefined]) assert.throws(() => some.add(odd, {}), TypeError);
  for (const odd of [NaN, CUT, nested(128)]) assert.throws(() => some.add({ odd }, {}), TypeError);
  assert.throws(() => some.add({}, { taskId: CUT }), TypeError);
  assert.equal(typeof of("t").add({ even: nested(127) }, {}), "string");
  assert.throws(() => some.add({ text: "x".repeat(2 ** 20) }, {}), RangeError);
  for (let n = 1; n < 40; n += 1) some.add({}, {});
  assert.throws(() => some.add({}, {}), RangeError);
});

test("what can be no worker is refused at once", () => {
  const client = new Client();
  const run = () => {};
  for (const handlers of [{}, { a: 1 }, { a: {} }, run, null]) assert.throws(() => new Worker(client, handlers), TypeError);
  assert.throws(() => new Worker(client, { a: run }, { types: ["b"] }), TypeError);
  assert.throws(() => new Worker(client, { a: run }, { types: ["toString"] }), TypeError);
  for (const concurrency of [0, 1001, 1.5, NaN]) assert.throws(() => new Worker(client, { a: run }, { concurrency }), RangeError);
  assert.throws(() => new Worker(client, { a: run }, { leaseSeconds: 1 }), RangeError);
});
