/** How it stands: the sum, what needs somebody, the plots, the workers. */
import { Refused } from "../parts/api.js";
import { h, swap } from "../parts/dom.js";
import { count, duration, few } from "../parts/format.js";
import { history, onSample } from "../parts/history.js";
import { plot } from "../parts/plot.js";
import { attention } from "./attention.js";
import { sum } from "./sum.js";
import { workers } from "./workers.js";

const PLOTS = [
  {
    title: "Rates",
    hint: "tasks a second, over ten seconds",
    format: few,
    lines: [
      { name: "submitted", tone: "queued", of: ({ stats }) => stats.rates.submittedPerSecond },
      { name: "settled", tone: "succeeded", of: ({ stats }) => stats.rates.settledPerSecond },
    ],
  },
  {
    title: "Outstanding",
    hint: "tasks not yet at their end",
    format: count,
    lines: ["queued", "running", "retrying"].map((state) => ({
      name: state, tone: state, of: ({ stats }) => stats.states[state],
    })),
  },
  {
    title: "Dead letters",
    hint: "kept until redriven or discarded",
    format: count,
    lines: [{ name: "dead", tone: "dead", of: ({ stats }) => stats.states.dead }],
  },
  {
    title: "Latency",
    hint: "from submit to start, and of one run",
    format: duration,
    lines: [
      { name: "wait p50", tone: "queued", of: ({ wait }) => wait && wait.p50 },
      { name: "wait p95", tone: "retrying", of: ({ wait }) => wait && wait.p95 },
      { name: "run p50", tone: "succeeded", of: ({ run }) => run && run.p50 },
      { name: "run p95", tone: "running", of: ({ run }) => run && run.p95 },
    ],
  },
];

/** Fill the page. */
export async function overviewPage(main, place, signal) {
  const counts = sum();
  const plots = PLOTS.map(plot);
  const problem = h("div", {});
  swap(
    main,
    h("h1", {}, "Overview"),
    problem,
    counts.element,
    h("div", { class: "split" }, attention(signal), h("section", { class: "plots" },
      h("h2", { class: "unseen" }, "Over time"), plots.map(({ element }) => element))),
    workers(signal),
  );
  onSample((sample, error) => {
    swap(problem, error && h("p", { class: "alarm", role: "alert" }, sentence(error, sample)));
    if (sample) counts.draw(sample.stats);
    for (const { draw } of plots) draw(history());
  }, signal);
}

function sentence(error, sample) {
  const known = sample
    ? `What is shown is from ${duration((Date.now() - sample.at) / 1000)} ago. ` : "";
  return `${error.message} ${known}${error instanceof Refused ? "" : "Trying again."}`;
}
