/** What changed between two texts, line by line.  Pure. */

const MOST_COMPARED = 4_000_000; // pairs of lines; beyond that all of the middle is told as new
const AROUND = 3;

/** @typedef {{op: " " | "-" | "+", line: string}} Change */

/** The lines of both texts in order: kept, removed, added. @returns {Change[]} */
export function diff(before, after) {
  const old = before.split("\n");
  const now = after.split("\n");
  let start = 0;
  while (start < Math.min(old.length, now.length) && old[start] === now[start]) start += 1;
  let end = 0;
  while (end < Math.min(old.length, now.length) - start
    && old[old.length - 1 - end] === now[now.length - 1 - end]) end += 1;
  return [
    ...all(" ", old.slice(0, start)),
    ...middle(old.slice(start, old.length - end), now.slice(start, now.length - end)),
    ...all(" ", old.slice(old.length - end)),
  ];
}

function all(op, lines) {
  return lines.map((line) => ({ op, line }));
}

function middle(old, now) {
  if (old.length * now.length > MOST_COMPARED) return [...all("-", old), ...all("+", now)];
  const common = lengths(old, now);
  const found = [];
  let i = 0;
  let j = 0;
  while (i < old.length && j < now.length) {
    if (old[i] === now[j]) {
      found.push({ op: " ", line: old[i] });
      i += 1;
      j += 1;
    } else if (common[i + 1][j] >= common[i][j + 1]) {
      found.push({ op: "-", line: old[i] });
      i += 1;
    } else {
      found.push({ op: "+", line: now[j] });
      j += 1;
    }
  }
  return [...found, ...all("-", old.slice(i)), ...all("+", now.slice(j))];
}

/** How long the longest common subsequence is from each pair of lines on. */
function lengths(old, now) {
  const common = Array.from({ length: old.length + 1 }, () => new Uint32Array(now.length + 1));
  for (let i = old.length - 1; i >= 0; i -= 1) {
    for (let j = now.length - 1; j >= 0; j -= 1) {
      common[i][j] = old[i] === now[j] ? common[i + 1][j + 1] + 1
        : Math.max(common[i + 1][j], common[i][j + 1]);
    }
  }
  return common;
}

/** The changes with a few lines around each; what is left out is a null. */
export function around(changes) {
  const near = changes.map((_, index) => changes
    .slice(Math.max(0, index - AROUND), index + AROUND + 1).some(({ op }) => op !== " "));
  const found = [];
  changes.forEach((change, index) => {
    if (near[index]) found.push(change);
    else if (found.length === 0 || found.at(-1) !== null) found.push(null);
  });
  return found;
}

/** How many lines were added and removed. */
export function extent(changes) {
  const number = (sign) => changes.filter(({ op }) => op === sign).length;
  return { added: number("+"), removed: number("-") };
}
