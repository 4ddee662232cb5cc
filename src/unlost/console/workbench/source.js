/**
 * Which dead letters are meant: some that were ticked, or all of a group.  Those of a group are
 * read page by page when they are needed, newest death first; one that dies again while this goes
 * on is newer than where it reads, and does not come twice.
 */
import { text, withQuery } from "../parts/api.js";
import { readPage, readTask } from "../parts/jsontext.js";

const PAGE = 100;

/** Letters by their ids. */
export function ofIds(ids) {
  const left = [...ids];
  return { total: left.length, next: async (number) => left.splice(0, number) };
}

/** All letters of a group, or of a type, or all there are: at most `total` of them. */
export function ofQuery(query, total) {
  const letters = reading({ ...query }, PAGE);
  return {
    total,
    async next(number) {
      const ids = [];
      while (ids.length < number) {
        const { value, done } = await letters.next();
        if (done) break;
        ids.push(readTask(value).taskId);
      }
      return ids;
    },
  };
}

/** The texts of the letters that a query finds, one after the other. */
export async function* reading(query, limit, signal) {
  let cursor = null;
  do {
    const page = readPage(await text(withQuery("/dead-letters", { ...query, limit, cursor }),
      { signal }));
    yield* page.texts;
    cursor = page.nextCursor;
  } while (cursor !== null);
}
