// graphile-worker with a task that does nothing (see roles.cjs), with the settings of its page on
// performance.  What is done is deleted; there is no setting to keep it.
const { Logger, makeWorkerUtils, run } = require("graphile-worker");
const { main } = require("./roles.cjs");

const logger = new Logger(() => () => {});

class Graphile {
  constructor(connectionString) {
    this.connectionString = connectionString;
  }

  async prepare() {
    await this.open();
    await this.utils.migrate();
    await this.close();
  }

  async open() {
    const { connectionString } = this;
    this.utils = await makeWorkerUtils({ connectionString, logger });
  }

  close() {
    return this.utils.release();
  }

  submit(payload) {
    return this.utils.addJob("nothing", payload);
  }

  submitMany(payloads) {
    return this.utils.addJobs(payloads.map((payload) => ({ identifier: "nothing", payload })));
  }

  async work(ran) {
    const runner = await run({
      preset: {
        worker: {
          connectionString: this.connectionString,
          concurrentJobs: 24,
          maxPoolSize: 25,
          localQueue: { size: 500 },
          completeJobBatchDelay: 0,
          failJobBatchDelay: 0,
        },
      },
      logger,
      noHandleSignals: true,
      taskList: { nothing: async (payload) => ran(payload) },
    });
    return () => runner.stop();
  }
}

main(Graphile);
