/** For whom it fails: what dead letters have in common.  Pure. */
import { members } from "../parts/jsontext.js";

const MOST_MEMBERS = 4;
const MOST_VALUES = 4;
const LONGEST = 40;

/**
 * How often each value stands in the letters, most telling member first: their type, and what
 * their payloads hold at the top.
 * @param {{type: string, payload: string}[]} letters
 * @returns {{name: string, values: {value: string, number: number}[], others: number}[]}
 */
export function breakdown(letters) {
  const tallies = new Map([["type", new Map()]]);
  for (const { type, payload } of letters) {
    count(tallies.get("type"), type);
    for (const [name, value] of members(payload)) {
      if (!isPlain(value)) continue;
      const member = `payload.${name}`;
      if (!tallies.has(member)) tallies.set(member, new Map());
      count(tallies.get(member), value);
    }
  }
  const [type, ...rest] = [...tallies].map(([name, tally]) => told(name, tally));
  return [type, ...rest.filter(tells).sort(byWeight).slice(0, MOST_MEMBERS)];
}

function count(tally, value) {
  tally.set(value, (tally.get(value) ?? 0) + 1);
}

function isPlain(value) {
  return !/^[[{]/.test(value) && value.length <= LONGEST;
}

function told(name, tally) {
  const values = [...tally].map(([value, number]) => ({ value, number }))
    .sort((a, b) => b.number - a.number);
  return { name, values: values.slice(0, MOST_VALUES),
    others: Math.max(0, values.length - MOST_VALUES) };
}

/** A value that stands in one letter alone says nothing about them. */
function tells({ values }) {
  return values[0].number > 1;
}

function byWeight(a, b) {
  return b.values[0].number - a.values[0].number;
}
