/** A proxy that does to requests and answers what a test says: cuts them off, above all. */

import http from "node:http";

/** The fates of the next requests; later ones pass, but what it `refuses`, or `holds` until then. `asked` is what came. */
export class Between {
  fates = [];
  refuses = (_request, _body) => false;
  holds = async (_request) => {};
  asked = [];
  #server;

  static async before(service) {
    const between = new Between();
    between.#server = http.createServer((request, response) => {
      between.#pass(service, request, response).catch(() => request.socket.destroy());
    });
    await new Promise((ready) => between.#server.listen(0, "127.0.0.1", ready));
    between.url = `http://127.0.0.1:${between.#server.address().port}`;
    return between;
  }

  close() {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #pass(service, request, response) {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    this.asked.push(`${request.method} ${request.url}`);
    await this.holds(request);
    const refused = this.refuses(request, String(Buffer.concat(pieces))) ? { status: 400 } : "passes";
    const fate = this.fates.shift() ?? refused;
    if (fate === "never came") return request.socket.destroy();
    if (typeof fate === "object") return response.writeHead(fate.status, fate.headers).end(fate.body ?? "");
    const headers = { "content-type": request.headers["content-type"] ?? "application/json" };
    const body = pieces.length ? Buffer.concat(pieces) : null;
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const asked = { method: request.method, headers, body, signal: gone.signal };
    const answer = await fetch(service + request.url, asked);
    if (request.url === "/events") return this.#stream(answer, response, fate === "one piece");
    const text = Buffer.from(await answer.arrayBuffer());
    if (fate === "no answer") return request.socket.destroy();
    if (fate === "gateway timeout") return response.writeHead(504).end("<html>");
    if (answer.status === 204) return response.writeHead(204).end();
    response.writeHead(answer.status, { "content-length": text.length });
    if (fate === "half an answer") {
      response.write(text.subarray(0, text.length / 2));
      return setTimeout(() => request.socket.destroy(), 20);
    }
    response.end(text);
  }

  /** A stream, or its first piece. */
  async #stream(answer, response, onePiece) {
    response.writeHead(200);
    for await (const piece of answer.body) {
      response.write(piece);
      if (onePiece || response.closed) break;
    }
    response.end();
  }
}
