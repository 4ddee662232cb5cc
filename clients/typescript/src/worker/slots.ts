import { Wake } from "./wake.js";

/** How many handlers may run at once. One that was told to end has its slot until it does. */
export class Slots {
  /** Wakes whoever waits for room. */
  readonly freed = new Wake();
  readonly #most: number;
  #used = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get free(): number {
    return this.#most - this.#used;
  }

  /** Take a slot while this runs. */
  async during(work: Promise<void>): Promise<void> {
    this.#used += 1;
    try {
      await work;
    } finally {
      this.#used -= 1;
      this.freed.set();
    }
  }
}
