// What each peer in Node is asked to do; `bench.peers` runs it.  As roles.py:
//
//   node PEER.cjs URL prepare | submit COUNT PAYLOAD | bulk COUNT PAYLOAD | pace COUNT RATE PAYLOAD | work
//
// A peer is a class with `prepare`, `open`, `submit`, `submitMany`, `close`, and `work`, which gives
// what stops it.
const { openSync, writeSync } = require("node:fs");
const { setTimeout: wait } = require("node:timers/promises");

const BATCH = 1000;
const IN_FLIGHT = 4;
const WARM = 50;
const INTERVAL = 100; // milliseconds in which runs are counted before they are told

function reporter() {
  const file = openSync(process.env.RAN, "a");
  let count = 0;
  let since = 0;
  const flush = () => {
    writeSync(file, `ran ${count} ${since}\n`);
    count = 0;
  };
  return (payload) => {
    const now = (performance.timeOrigin + performance.now()) / 1000;
    if (payload.at !== undefined) {
      writeSync(file, `took ${now - payload.at}\n`);
      return;
    }
    if (count === 0) {
      since = now;
      setTimeout(flush, INTERVAL);
    }
    count += 1;
  };
}

async function timed(run) {
  const began = performance.now();
  await run();
  console.log((performance.now() - began) / 1000);
}

async function submit(peer, count, payload) {
  for (let number = 0; number < WARM; number++) await peer.submit(payload);
  await timed(async () => {
    for (let number = 0; number < count; number++) await peer.submit(payload);
  });
}

async function bulk(peer, count, payload) {
  let left = count;
  async function caller() {
    while (left > 0) {
      const size = Math.min(BATCH, left);
      left -= size;
      await peer.submitMany(Array(size).fill(payload));
    }
  }
  await timed(() => Promise.all(Array.from({ length: IN_FLIGHT }, caller)));
}

async function pace(peer, count, rate, payload) {
  const began = performance.now();
  for (let number = 0; number < count; number++) {
    const early = began + (number / rate) * 1000 - performance.now();
    if (early > 0) await wait(early);
    const at = (performance.timeOrigin + performance.now()) / 1000;
    await peer.submit({ ...payload, at });
  }
}

async function main(Peer) {
  const [url, what, ...rest] = process.argv.slice(2);
  const peer = new Peer(url);
  if (what === "work") {
    const stop = await peer.work(reporter());
    process.on("SIGTERM", async () => {
      await stop();
      process.exit(0);
    });
    return;
  }
  if (what === "prepare") {
    await peer.prepare();
    return;
  }
  await peer.open();
  const numbers = rest.slice(0, -1).map(Number);
  const act = { submit, bulk, pace }[what];
  await act(peer, ...numbers, JSON.parse(rest.at(-1)));
  await peer.close();
}

module.exports = { main };
