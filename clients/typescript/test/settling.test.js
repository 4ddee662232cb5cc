/** In which calls attempts are settled. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Refused } from "@unlost/client";
import { Settler } from "../dist/worker/settling.js";

/** The calls of a settler that is given these, and where it ended, if it did. */
async function settled(tokens, answer, outcome = () => "succeeded") {
  const calls = [];
  const settle = async (texts) => {
    calls.push(texts.map((text) => JSON.parse(text)));
    return answer(calls.at(-1));
  };
  const settler = new Settler({ settle }, () => {});
  for (const token of tokens) settler.add(token, JSON.stringify({ token, outcome: outcome(token) }));
  const running = settler.run(new AbortController().signal);
  await Promise.race([settler.allSettled(), running]);
  return calls;
}

const all = (items, status = 200) => ({ results: items.map(({ token }) => ({ token, status })) });
const refusal = (status) => ({ type: "about:blank", title: "no", status, detail: "not so" });
const numbers = (count) => Array.from({ length: count }, (_, n) => `t${n}`);

test("a call that is refused goes in halves, and what is refused alone fails", async () => {
  const bad = (item) => item.token === "t5" && item.outcome === "succeeded";
  const calls = await settled(numbers(8), (items) => (items.some(bad) ? refusal(400) : all(items)));
  assert.deepEqual(calls.map((items) => items.map(({ token }) => token.slice(1)).join("")), [
    "01234567", "0123", "4567", "45", "4", "56", "5", "67", "5",
  ]);
  const { outcome, error, reject } = calls.at(-1)[0];
  assert.deepEqual([outcome, error, reject], ["failed", { type: "SettlementRefused", message: "not so" }, true]);
});

test("what failed, and is refused as it was told, is tried again; what succeeded is not", async () => {
  const ends = { t0: "succeeded", t1: "failed", t2: "released" };
  const status = ({ error }) => (error?.type === "SettlementRefused" ? 200 : 422);
  const answer = (items) => ({ results: items.map((item) => ({ token: item.token, status: status(item) })) });
  const calls = await settled(Object.keys(ends), answer, (token) => ends[token]);
  assert.deepEqual(calls.at(-1).map(({ outcome, reject }) => [outcome, reject]), [
    ["failed", true], ["failed", undefined], ["failed", undefined],
  ]);
});

test("what is refused whatever it says is given up, and others go on in full calls", async () => {
  const warned = new Promise((told) => process.once("warning", told));
  const calls = await settled(numbers(2_000), (items) => {
    return items.some(({ token }) => token === "t0") ? refusal(413) : all(items);
  });
  assert.match((await warned).message, /not so/);
  const refused = calls.filter((items) => items.some(({ token }) => token === "t0"));
  assert.deepEqual(refused.slice(0, 12).map((items) => items.length), [1_000, 500, 250, 125, 63, 32, 16, 8, 4, 2, 1, 978]);
  assert.deepEqual(refused.filter((items) => items.length === 1).map(([item]) => item.outcome), ["succeeded", "failed"]);
  const taken = calls.filter((items) => !refused.includes(items));
  assert.equal(new Set(taken.flat().map(({ token }) => token)).size, 1_999);
  assert.ok(Math.max(...taken.map((items) => items.length)) === 512 && calls.length < 50);
});

test("what is refused for itself fails, and what another has settled does not", async () => {
  const status = ({ token, outcome }) => (outcome === "failed" ? 200 : { t0: 422, t1: 409, t3: 403 }[token] ?? 200);
  const answer = (items) => ({ results: items.map((item) => ({ token: item.token, status: status(item) })) });
  const calls = await settled(numbers(4), answer);
  assert.deepEqual(calls.map((items) => items.map((one) => [one.token, one.outcome])), [
    numbers(4).map((token) => [token, "succeeded"]), [["t0", "failed"], ["t3", "failed"]],
  ]);
});

test("a worker that the service does not want settles no more", async () => {
  const unwanted = () => { throw new Refused("no (401)"); };
  await assert.rejects(settled(numbers(3), unwanted), Refused);
});
