/**
 * Small plots over time as SVG.  What they say is also text: the legend has each line's last
 * value, and the picture itself is hidden from screen readers.
 *
 * @typedef {{name: string, tone: string, of: (sample: object) => number | null}} Line
 */
import { h, say, svg, swap } from "./dom.js";
import { duration } from "./format.js";

const WIDTH = 600;
const HEIGHT = 120;

/**
 * A plot, and how to draw it anew.
 * @param {{title: string, lines: Line[], format: (n: number) => string, hint?: string}} about
 */
export function plot({ title, lines, format, hint }) {
  const picture = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true",
  });
  const values = lines.map(() => h("b", {}));
  const top = h("span", { class: "quiet" });
  const since = h("span", { class: "quiet" });
  const element = h(
    "figure",
    { class: "plot" },
    h("figcaption", {}, h("h3", {}, title), hint && h("small", { class: "quiet" }, hint)),
    h("ul", { class: "legend" }, lines.map((line, index) =>
      h("li", { class: `tone-${line.tone}` }, `${line.name} `, values[index]))),
    h("div", { class: "frame" }, top, picture),
    h("div", { class: "ends" }, since, h("span", { class: "quiet" }, "now")),
  );

  function draw(samples) {
    const highest = highestOf(samples, lines);
    swap(picture, [0.5, 1].map(rule), lines.map((line) => path(samples, line, highest)));
    lines.forEach((line, index) => say(values[index], latest(samples, line, format)));
    say(top, format(highest));
    say(since, samples.length ? `${duration((Date.now() - samples[0].at) / 1000)} ago` : "");
  }

  return { element, draw };
}

function highestOf(samples, lines) {
  let highest = 0;
  for (const sample of samples) {
    for (const line of lines) highest = Math.max(highest, line.of(sample) ?? 0);
  }
  return niceAbove(highest);
}

/** The least of 1, 2, 5, 10, … (and their thousandths) that is not below a number. */
export function niceAbove(number) {
  if (number <= 0) return 1;
  const size = 10 ** Math.floor(Math.log10(number));
  return [1, 2, 5, 10].map((step) => step * size).find((nice) => nice >= number * 0.9999);
}

function latest(samples, line, format) {
  const known = samples.findLast((sample) => line.of(sample) !== null);
  return known === undefined ? "–" : format(line.of(known));
}

function rule(share) {
  const y = HEIGHT - share * (HEIGHT - 2) - 1;
  return svg("line", { x1: 0, x2: WIDTH, y1: y, y2: y, class: "rule" });
}

function path(samples, line, highest) {
  if (!samples.length) return null;
  const start = samples[0].at;
  const span = Math.max(1, samples.at(-1).at - start);
  let drawn = "";
  let points = 0;
  for (const sample of samples) {
    const value = line.of(sample);
    if (value === null) continue;
    const x = ((sample.at - start) / span) * WIDTH;
    const y = HEIGHT - 1 - (value / highest) * (HEIGHT - 2);
    drawn += `${drawn ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    points += 1;
  }
  if (points === 1) drawn += "h0"; // a dot
  return svg("path", { d: drawn, class: `line tone-${line.tone}` });
}

/** Bars that count times in equal parts of the span from the first to now. */
export function sparkline(times, now, bars = 24) {
  const start = Math.min(...times);
  const width = Math.max(1, now - start) / bars;
  const counts = new Array(bars).fill(0);
  for (const time of times) counts[Math.min(bars - 1, Math.floor((time - start) / width))] += 1;
  const highest = Math.max(1, ...counts);
  return svg(
    "svg",
    { class: "spark", viewBox: `0 0 ${bars * 4} 20`, preserveAspectRatio: "none",
      "aria-hidden": "true" },
    counts.map((number, index) => {
      const height = number ? Math.max(2, (number / highest) * 20) : 0.75;
      return svg("rect", {
        x: index * 4, y: 20 - height, width: 3, height, class: number ? "full" : "empty",
      });
    }),
  );
}
