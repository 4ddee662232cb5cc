/** What an answer means and when a call is made again, in virtual time. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Batcher, HEAVIEST, LONGEST, MOST } from "../dist/batches.js";
import { Parser } from "../dist/events.js";
import { Conflict, NotFound, Refused, Unavailable } from "../dist/index.js";
import { askedWait, backoff, isPassing, refusal, Retries } from "../dist/retrying.js";

const answer = (status, retryAfter = "", date = "") => ({ status, text: "", retryAfter, date });
const problem = (status, kind = "urn:unlost:problem:x") => ({
  ...answer(status),
  text: JSON.stringify({ type: kind, title: "T", status, detail: "because" }),
});

test("pauses grow, are spread by chance, and have a longest", () => {
  assert.deepEqual([1, 2, 3, 4, 5, 6, 99].map((tries) => backoff(tries, 1)), [0.2, 0.4, 0.8, 1.6, 3.2, 5, 5]);
  assert.equal(backoff(1, 0), 0.1);
});

test("Retry-After is kept to, in seconds or as a date by the server's own clock", () => {
  const date = "Sun, 06 Nov 1994 08:49:25 GMT";
  assert.equal(askedWait(answer(429, "7")), 7);
  assert.equal(askedWait(answer(429, "1, 9")), 9);
  assert.equal(askedWait(answer(503, "Sun, 06 Nov 1994 08:49:37 GMT", date)), 12);
  for (const odd of ["soon", "-5", "", "1.5"]) assert.equal(askedWait(answer(503, odd)), 0);
  assert.equal(askedWait({ why: "cut" }), 0);
});

test("a call is given up before retryFor is over, and no wait is begun that would be too long", () => {
  let now = 0;
  const retries = new Retries(60, () => now, () => 1);
  assert.equal(retries.pause(1, 0, answer(429, "20")), 20);
  now = 41;
  assert.throws(
    () => retries.pause(3, 0, answer(429, "20")),
    (error) => error instanceof Unavailable && /\(429\); tried 3 times in 41 s$/.test(error.message),
  );
  assert.throws(() => new Retries(0).pause(1, 0, { why: "cut" }), /cut; tried once/);
});

test("what passes, and what would stay", () => {
  assert.deepEqual([408, 429, 500, 502, 503, 504].map(isPassing), Array(6).fill(true));
  assert.deepEqual([200, 400, 401, 404, 409, 413, 422, 501].map(isPassing), Array(8).fill(false));
});

test("a 404 and a 409 are errors of their own only where the service says them", () => {
  assert.ok(refusal(problem(404)) instanceof NotFound);
  assert.ok(refusal(problem(409)) instanceof Conflict);
  assert.ok(refusal(problem(422)) instanceof Refused);
  assert.ok(refusal(problem(404, "about:blank")) instanceof Refused);
  assert.ok(refusal(answer(409)) instanceof Refused);
  assert.match(refusal(answer(302)).message, /not the answer of an unlost service/);
});

test("batches are bounded in number, bytes and time", () => {
  let now = 0;
  const batcher = new Batcher(() => now);
  const one = { taskId: "a", line: "x" };
  const sizes = Array.from({ length: MOST + 1 }, () => batcher.add(one).length).filter(Boolean);
  assert.deepEqual(sizes, [MOST]);
  now = 2 * LONGEST;
  assert.equal(batcher.add(one).length, 2);
  const third = { taskId: "b", line: "x".repeat(HEAVIEST / 3) };
  assert.deepEqual(Array.from({ length: 4 }, () => batcher.add(third).length), [0, 0, 2, 0]);
  assert.equal(batcher.rest().length, 2);
  assert.equal(batcher.rest().length, 0);
});

test("a stream of events is read however it is cut", () => {
  const stream = ': hello\n\nevent: task\ndata: {"taskId":"ä"}\n\nevent: other\ndata: 1\n\nevent: lagged\ndata: {"dropped":3}\n\n';
  const bytes = new TextEncoder().encode(stream);
  for (let size = 1; size <= bytes.length; size += 1) {
    const parser = new Parser();
    const seen = [];
    for (let at = 0; at < bytes.length; at += size) seen.push(...parser.fed(bytes.subarray(at, at + size)));
    assert.deepEqual(seen, [
      { event: "task", taskId: "ä" },
      { event: "lagged", dropped: 3 },
    ]);
  }
});
