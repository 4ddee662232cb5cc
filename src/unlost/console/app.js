/** The console: its bar, and which page is shown. */
import { ROOT } from "./parts/api.js";
import { button, h, say, swap } from "./parts/dom.js";
import { count, tick } from "./parts/format.js";
import { onSample, watch } from "./parts/history.js";
import { forgetKey, key, onKey } from "./parts/key.js";
import { follow, onLive } from "./parts/live.js";
import { announce, trouble } from "./parts/notes.js";
import { placeOf } from "./parts/router.js";
import { themeButton } from "./parts/theme.js";
import { deadPage } from "./pages/dead.js";
import { overviewPage } from "./pages/overview.js";
import { redrivePages } from "./pages/redrives.js";
import { schedulePage } from "./schedules/one.js";
import { schedulesPage } from "./schedules/list.js";
import { taskPage } from "./pages/task.js";
import { tasksPage } from "./pages/tasks.js";
import { typesPage } from "./types/list.js";

/** The pages by the first part of the address; a page fills `main` until `signal` is aborted. */
const PAGES = {
  "": { name: "Overview", nav: "", show: overviewPage },
  tasks: { name: "Tasks", nav: "tasks", show: tasksPage },
  task: { name: "Task", nav: "tasks", show: taskPage },
  dead: { name: "Dead letters", nav: "dead", show: deadPage },
  redrives: { name: "Redrives", nav: "dead", show: redrivePages },
  schedules: { name: "Schedules", nav: "schedules", show: schedulesPage },
  schedule: { name: "Schedule", nav: "schedules", show: schedulePage },
  types: { name: "Types", nav: "types", show: typesPage },
};
const TICK = 5;
const NAV = ["", "tasks", "dead", "schedules", "types"];
const LIVE = {
  live: ["Live", "Changes are shown as they happen."],
  connecting: ["Connecting", "No events come now; the counts are asked for every 2 s."],
  off: ["Polling", "This home has no /events; the counts are asked for every 2 s."],
};

const main = document.getElementById("main");
let leaving = new AbortController();

function links() {
  return NAV.map((page) => {
    const extra = page === "dead" ? h("span", { class: "badge", id: "dead-count" }) : null;
    return h("a", { href: `#/${page}`, "data-nav": page }, PAGES[page].name, extra);
  });
}

async function show(first = false) {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const place = placeOf(location.hash);
  const page = PAGES[place.page] ?? PAGES[""];
  for (const link of document.querySelectorAll("[data-nav]")) {
    if (link.dataset.nav === page.nav) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${page.name} · unlost`;
  swap(main);
  main.dataset.page = place.page;
  const shown = page.show(main, place, signal);
  if (!first) {
    announce(document.title);
    main.focus({ preventScroll: true });
  }
  try {
    await shown;
  } catch (error) {
    if (!signal.aborted) trouble(error);
  }
}

function liveMark() {
  const live = h("span", { class: "live", id: "live", role: "img" });
  onLive((state) => {
    const [name, meaning] = LIVE[state];
    live.dataset.live = state;
    live.title = meaning;
    live.setAttribute("aria-label", `${name}: ${meaning}`);
    say(live, name);
  });
  return live;
}

function tools() {
  const forget = button("Forget key", () => {
    forgetKey();
    location.reload();
  }, { class: "bare" });
  const docs = h("a", { class: "bare", href: `${ROOT}/docs` }, "API");
  const draw = () => {
    forget.hidden = key() === null;
  };
  onKey(draw);
  draw();
  return [liveMark(), docs, forget, themeButton()];
}

function start() {
  document.getElementById("nav").append(...links());
  swap(document.getElementById("tools"), tools());
  const dead = document.getElementById("dead-count");
  onSample((sample) => {
    const number = sample?.stats.states.dead ?? 0;
    dead.hidden = number === 0;
    say(dead, count(number));
  }, new AbortController().signal);
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // the part after # is the page, not a place in it
    main.focus();
  });
  addEventListener("hashchange", () => show());
  setInterval(tick, TICK * 1000);
  watch();
  follow();
  show(true);
}

start();
