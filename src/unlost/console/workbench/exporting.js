/** Taking dead letters out as NDJSON, whole and as they were sent. */
import { text, withQuery } from "../parts/api.js";
import { h } from "../parts/dom.js";
import { count } from "../parts/format.js";
import { readPage } from "../parts/jsontext.js";
import { busy, underWay } from "./panel.js";

const PAGE = 100;

/** Download the letters that a query finds; `total` is how many there are about. */
export async function exportAll(query, total, name) {
  if (busy()) return;
  await underWay("Export", async ({ progress }, signal) => {
    const include = "payload,result,attempts,traceback";
    const parts = [];
    for await (const letter of reading({ ...query, include }, PAGE, signal)) {
      parts.push(letter.replaceAll("\n", " "), "\n"); // only between tokens can one stand
      if (parts.length % (2 * PAGE) === 0) {
        progress(parts.length / 2, total, `${count(parts.length / 2)} of ${count(total)} read.`);
      }
    }
    progress(1, 1, `${count(parts.length / 2)} read.`);
    save(new Blob(parts, { type: "application/x-ndjson" }), name);
    return { right: true, text: `Saved as ${name}.` };
  });
}

/** The texts of the letters that a query finds, one after the other. */
async function* reading(query, limit, signal) {
  let cursor = null;
  do {
    const page = readPage(await text(withQuery("/dead-letters", { ...query, limit, cursor }),
      { signal }));
    yield* page.texts;
    cursor = page.nextCursor;
  } while (cursor !== null);
}

function save(blob, name) {
  const address = URL.createObjectURL(blob);
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
