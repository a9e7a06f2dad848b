// A callback receiver in Node: verifies with the npm package `standardwebhooks`, answers 204 or 401.
// Usage: SECRET=whsec_… node receiver.mjs. Prints its port; then one JSON line for each POST: what was verified, or why not.
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.SECRET);

const server = createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    const body = Buffer.concat(pieces).toString("utf8");
    let told;
    try {
      told = { payload: webhook.verify(body, request.headers) };
    } catch (error) {
      told = { refused: error.message };
    }
    console.log(JSON.stringify(told));
    response.writeHead("payload" in told ? 204 : 401).end();
  });
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
