/** A program in a process of its own, and what it says. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

export class Process {
  lines = [];
  #process;
  #ended;

  constructor(program, ...words) {
    const path = new URL(program, import.meta.url).pathname;
    this.#process = spawn(process.execPath, [path, ...words], { stdio: ["ignore", "pipe", "inherit"] });
    this.#ended = once(this.#process, "exit");
    createInterface(this.#process.stdout).on("line", (line) => this.lines.push(JSON.parse(line)));
    process.on("exit", () => this.#process.kill("SIGKILL"));
  }

  /** Return once it has said this. */
  async said(what) {
    while (!this.lines.some((one) => one.what === what)) await new Promise((next) => setTimeout(next, 10));
  }

  kill(signal) {
    this.#process.kill(signal);
  }

  /** Have it end in order; its exit status. */
  async end() {
    this.kill("SIGTERM");
    return (await this.#ended)[0];
  }
}
