/**
 * A redrive that is watched: it asks the rules what to do, does it, and looks what became of it.
 * It lives in this page: when the page is left, what has not been redriven stays dead.
 */
import { send } from "../parts/api.js";
import { sleep } from "../parts/timing.js";
import { decide } from "./rules.js";
import { Watching } from "./watching.js";

const TICK = 0.2;
const LOOK_EVERY = 5; // ticks

/**
 * @param {import("./rules.js").Plan} plan
 * @param {{next: (n: number) => Promise<string[]>}} source
 * @param {{by?: string, reason?: string}} words
 * @param {{course: (course: object, watching: Watching) => void, signal: AbortSignal}} how
 * @returns {Promise<{act: "stop", why: string} | {act: "done"}>} how it ended
 */
export async function run(plan, source, words, { course: tell, signal }) {
  const watching = new Watching(signal);
  let redriven = 0;
  let total = plan.total;
  let start = null; // when the first after the canary might go
  for (let tick = 0; ; tick += 1) {
    const seconds = start === null ? 0 : (performance.now() - start) / 1000;
    const stumbling = watching.stumbling.size;
    const course = { redriven, ...watching.counts, stumbling, seconds };
    const decision = decide({ ...plan, total }, course);
    tell({ ...course, total, held: decision.act === "hold" }, watching);
    if (decision.act === "stop" || decision.act === "done") return decision;
    if (decision.act === "redrive") {
      if (!plan.canary || redriven > 0) start ??= performance.now();
      const ids = await source.next(decision.number);
      if (ids.length < decision.number) total = redriven + ids.length; // fewer than were counted
      watching.add(ids);
      if (ids.length) await redrive(ids, plan, words, signal);
      redriven += ids.length;
    } else {
      if (tick % LOOK_EVERY === 0) await watching.look();
      await sleep(TICK, signal);
    }
  }
}

async function redrive(taskIds, { rate }, words, signal) {
  for (let left = taskIds.length; left > 0;) {
    const body = { taskIds, ...words, ...(rate && { ratePerSecond: rate }) };
    const answer = await (await send("POST", "/dead-letters/redrive", body, { signal })).json();
    left = answer.more ? left - answer.redriven : 0;
    if (!answer.redriven) return;
  }
}
