/** Waiting, until a page is left (`signal`). */

/** Resolves after so many seconds; rejects when `signal` is aborted. */
export function sleep(seconds, signal) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/** Resolves when somebody can see the page. */
export function visible(signal) {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const seen = () => document.hidden || resolve();
    document.addEventListener("visibilitychange", seen, { signal });
    signal.addEventListener("abort", () => reject(signal.reason));
  });
}

/**
 * Do something now and every so many seconds while the page is seen.  What `work` throws goes to
 * `failed`, and it is tried again.
 */
export async function every(seconds, work, signal, failed = () => {}) {
  while (!signal.aborted) {
    try {
      await visible(signal);
      await work();
    } catch (error) {
      if (!signal.aborted) failed(error);
    }
    await sleep(seconds, signal).catch(() => {});
  }
}

/** Calls together what comes within a moment: returns a function that asks for `work`. */
export function soon(seconds, work) {
  let timer = null;
  return () => {
    timer ??= setTimeout(() => {
      timer = null;
      work();
    }, seconds * 1000);
  };
}
