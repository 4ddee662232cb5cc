/** What is set for a type, as it is shown and changed.  Pure. */

/** What can be set by a number. */
export const SETTINGS = [
  { name: "limit", label: "At once", hint: "Attempts that run at the same time. Empty: no limit." },
  { name: "keyLimit", label: "At once, of each key" },
  { name: "ratePerSecond", label: "Starts a second", hint: "0.001 to 100,000. Empty: no rate." },
  { name: "keyRatePerSecond", label: "Starts a second, of each key" },
];

/** The types, by name: those for which something is set, and those that workers take by name. */
export function typesOf(types, workers) {
  const found = new Map(workers.flatMap((worker) => worker.types ?? []).map((type) =>
    [type, { type, pause: null, breaker: null, circuit: null }]));
  for (const one of types) found.set(one.type, one);
  return [...found.values()].sort((one, other) => (one.type < other.type ? -1 : 1));
}

/** What to ask the service for: what was answered, as far as it differs from what is set. */
export function changeOf(set, answers) {
  const change = {};
  for (const { name } of SETTINGS) {
    const value = valueOf(answers[name].trim());
    if (value !== (set[name] ?? null)) change[name] = value;
  }
  return change;
}

function valueOf(text) {
  if (text === "") return null;
  const number = Number(text);
  return Number.isNaN(number) ? text : number; // the service says what is wrong with it
}

/** When the breaker opens the circuit, in words; empty where there is none. */
export function breakerOf({ breaker }) {
  if (!breaker) return "";
  const { failureShare, minimum, windowSeconds } = breaker;
  const share = Number((100 * failureShare).toPrecision(3));
  return `opens at ${share} % failed of ${minimum} or more in ${windowSeconds} s`;
}
