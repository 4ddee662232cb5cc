/** Submits tasks, and tells what became of them. */

import { randomUUID } from "node:crypto";

import { UnlostError, type Client, type NewTask } from "@unlost/client";

export const TYPE = "demo.work";

/** Submit so many tasks, of which one is rejected and one fails twice; return once all have ended. */
export async function produce(client: Client, count: number): Promise<void> {
  const run = randomUUID();
  const ids: string[] = [];
  for await (const { taskId, status, detail } of client.submitMany(tasks(run, count))) {
    if (taskId === null || status > 202) throw new UnlostError(`a task was refused: ${detail} (${status})`);
    ids.push(taskId);
  }
  console.log(`${ids.length} tasks are submitted`);
  const states = new Map<string, number>();
  for (const id of ids) {
    const { state } = await client.wait(id, 120);
    states.set(state, (states.get(state) ?? 0) + 1);
  }
  console.log([...states].map(([state, many]) => `${many} ${state}`).join(", "));
  for await (const letter of client.deadLetters({ type: TYPE })) {
    if (letter.taskId.startsWith(run)) console.log(`${letter.taskId}: ${letter.error?.type}: ${letter.error?.message}`);
  }
}

function* tasks(run: string, count: number): Generator<NewTask> {
  for (let n = 0; n < count; n += 1) yield { taskId: `${run}-${n}`, type: TYPE, payload: payload(n) };
}

function payload(n: number): NewTask["payload"] {
  if (n === 0) return { n, simulate: { outcome: "reject" } };
  if (n === 1) return { n, simulate: { failTimes: 2 } };
  return { n };
}
