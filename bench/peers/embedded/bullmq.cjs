// BullMQ with a job that does nothing; `bench.peers --embedded` runs it, among its own packages.
//
// bullmq.cjs bullmq submit COUNT SECONDS PAYLOAD | work
//
// So many are submitted, or as many as can be in so many seconds.
// Redis is at $REDIS.  What is done is removed, as BullMQ's page on going to production advises.

const { Queue, Worker } = require("bullmq");

const [, what, count, seconds, payload] = process.argv.slice(2);
const { hostname: host, port } = new URL(process.env.REDIS);
const connection = { host, port: Number(port), maxRetriesPerRequest: null };

async function submit() {
  const queue = new Queue("peer", {
    connection,
    defaultJobOptions: { removeOnComplete: true, removeOnFail: 1000 },
  });
  await queue.waitUntilReady();
  const data = JSON.parse(payload);
  const taken = [];
  const until = performance.now() + Number(seconds) * 1000;
  for (let number = 0; number < Number(count) && performance.now() < until; number++) {
    const began = performance.now();
    await queue.add("nothing", data);
    taken.push((performance.now() - began) / 1000);
  }
  console.log(JSON.stringify(taken));
  await queue.close();
}

if (what === "submit") {
  submit();
} else {
  new Worker("peer", async () => {}, { connection, concurrency: 100 });
}
