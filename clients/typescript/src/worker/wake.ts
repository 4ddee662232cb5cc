/** Something that happens again and again, and that is waited for. */
export class Wake {
  #next = Promise.withResolvers<void>();

  set(): void {
    this.#next.resolve();
    this.#next = Promise.withResolvers<void>();
  }

  /** Return once it happens after now. */
  wait(): Promise<void> {
    return this.#next.promise;
  }
}
