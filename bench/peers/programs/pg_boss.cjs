// pg-boss with a task that does nothing (see roles.cjs), with what its page on workers advises for
// short waits and for backlogs: LISTEN/NOTIFY, batches, and no wait while they are full.
const { PgBoss } = require("pg-boss");
const { main } = require("./roles.cjs");

const QUEUE = "nothing";

class Boss {
  constructor(connectionString) {
    this.boss = new PgBoss({ connectionString, useListenNotify: true });
    this.boss.on("error", (error) => console.error(error));
  }

  async prepare() {
    await this.boss.start();
    await this.boss.createQueue(QUEUE, { notify: true });
    await this.close();
  }

  open() {
    return this.boss.start();
  }

  close() {
    return this.boss.stop();
  }

  submit(payload) {
    return this.boss.send(QUEUE, payload);
  }

  submitMany(payloads) {
    return this.boss.insert(QUEUE, payloads.map((data) => ({ data })));
  }

  async work(ran) {
    await this.boss.start();
    const options = { batchSize: 500, burstWhenBatchFull: true };
    await this.boss.work(QUEUE, options, async (jobs) => {
      for (const job of jobs) ran(job.data);
    });
    return () => this.boss.stop();
  }
}

main(Boss);
