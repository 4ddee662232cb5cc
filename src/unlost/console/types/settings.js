/** What is set for a type, as it is shown and changed.  Pure. */

/** What can be set by a number. */
export const SETTINGS = [
  { name: "limit", label: "At once", hint: "Attempts that run at the same time. Empty: no limit." },
  { name: "keyLimit", label: "At once, of each key" },
  { name: "ratePerSecond", label: "Starts a second", hint: "0.001 to 100,000. Empty: no rate." },
  { name: "keyRatePerSecond", label: "Starts a second, of each key" },
];

/** Whether only workers that claim by the API take its tasks. */
export const PULL = { name: "pull", label: "Only workers that claim by the API take its tasks",
  type: "checkbox" };

/** A breaker as the service sets it where nothing else is said. */
export const USUAL = { failureShare: 0.5, minimum: 10, windowSeconds: 60, openSeconds: 30,
  probes: 1, excuse: false };

/** What of a breaker is a number; one of `by` 100 is shown in percent. */
export const BREAKER = [
  { name: "failureShare", label: "Opens at so many percent failed", by: 100 },
  { name: "minimum", label: "Of at least so many attempts" },
  { name: "windowSeconds", label: "That ended within so many seconds" },
  { name: "openSeconds", label: "Then no attempt starts for so many seconds" },
  { name: "probes", label: "Closes after so many successes" },
];
export const EXCUSE = { name: "excuse", type: "checkbox",
  label: "Failures that open it, and of what it tries, spend no retry" };
export const REMOVE = { name: "remove", label: "Remove the breaker", type: "checkbox" };

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
  if (ticked(answers, PULL) !== Boolean(set.pull)) change.pull = ticked(answers, PULL);
  return change;
}

/** The breaker to ask for: null to remove it, undefined where it stays as it is. */
export function breakerChange(set, answers) {
  if (ticked(answers, REMOVE)) return set.breaker ? null : undefined;
  const given = BREAKER.map(({ name, by = 1 }) => [name, valueOf(answers[name].trim()), by])
    .filter(([, value]) => value !== null)
    .map(([name, value, by]) => [name, typeof value === "number" ? rounded(value / by) : value]);
  const breaker = { ...USUAL, ...Object.fromEntries(given), excuse: ticked(answers, EXCUSE) };
  const before = set.breaker ?? {};
  return Object.keys(breaker).some((name) => breaker[name] !== before[name]) ? breaker : undefined;
}

/** What the fields of a breaker hold: of the one that is set, or as it usually is. */
export function breakerValues({ breaker }) {
  const now = breaker ?? USUAL;
  return Object.fromEntries(BREAKER.map(({ name, by = 1 }) => [name, rounded(now[name] * by)]));
}

function ticked(answers, { name }) {
  return answers[name] !== undefined;
}

function rounded(number) {
  return Number(number.toPrecision(12)); // 0.07 · 100 is no 7 in binary
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
