import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout } from "node:timers/promises";

import { credentials, Server, ServerCredentials, status } from "@grpc/grpc-js";

import { RoutingClient, serviceConfig } from "../src/index.js";

const HELLO = { messages: [{ role: 1, content: "hello" }] };

function bind(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
}

describe("a client", () => {
  const server = new Server();
  let target = "";

  before(async () => {
    const hang = { path: "/archrouter.v1.RoutingService/SelectRoute", requestStream: false, responseStream: false };
    const bytes = (message: Buffer): Buffer => message;
    const codec = { requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes };
    server.addService({ selectRoute: { ...hang, ...codec } }, { selectRoute: () => undefined });
    target = `127.0.0.1:${await bind(server, 0)}`;
  });
  after(() => server.forceShutdown());

  it("rejects with the reason of the signal that ends its call, and does not fail open", async () => {
    const client = new RoutingClient(target, { timeoutMs: 5000 });
    const controller = new AbortController();
    const call = client.selectModels(HELLO, ["own/default"], { signal: controller.signal });
    void setTimeout(50).then(() => controller.abort(new Error("the user left")));

    await assert.rejects(call, /the user left/);
    assert.equal(client.failOpens, 0);
    client.close();
  });

  it("makes no call for a signal that has ended already", async () => {
    const client = new RoutingClient(target);

    await assert.rejects(client.selectRoute(HELLO, { signal: AbortSignal.abort(new Error("too late")) }), /too late/);
    client.close();
  });

  it("takes the deadline of a call over its own", async () => {
    const client = new RoutingClient(target, { timeoutMs: 60_000 });

    await assert.rejects(client.selectRoute(HELLO, { timeoutMs: 20 }), { name: "RoutingError", code: 4 });
    client.close();
  });

  it("calls a server that was away within the second in which it is back; gRPC alone would wait longer", async () => {
    const away = new Server();
    const port = await bind(away, 0);
    const client = new RoutingClient(`127.0.0.1:${port}`, { timeoutMs: 50 });
    const code = (): Promise<number> => client.selectRoute(HELLO).then(() => 0, ({ code }) => code);
    await code();
    away.forceShutdown();
    for (let tenths = 0; tenths < 30; tenths++) {
      await code();
      await setTimeout(100);
    }
    const back = new Server();
    await bind(back, port);
    const restarted = Date.now();
    while ((await code()) === status.UNAVAILABLE) {
      await setTimeout(10);
    }
    const waitedMs = Date.now() - restarted;
    client.close();
    back.forceShutdown();

    assert.ok(waitedMs < 1500, `${waitedMs} ms`);
  });

  it("raises what cannot be encoded, and does not fail open", async () => {
    const client = new RoutingClient(target);
    const request = { messages: [{ role: 1.5, content: "hello" }] };

    await assert.rejects(client.selectModels(request, ["own/default"]));
    assert.equal(client.failOpens, 0);
    client.close();
  });

  for (const timeoutMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    it(`refuses a deadline of ${timeoutMs}`, () => {
      assert.throws(() => new RoutingClient(target, { timeoutMs }), /above 0 and finite/);
    });
  }

  for (const host of ["router:50051", "dns:///router:50051", "127.0.0.1.example:50051"]) {
    it(`refuses to send a token to ${host} in plaintext, without telling it`, () => {
      assert.throws(
        () => new RoutingClient(host, { token: "secret" }),
        ({ message }: Error) => message.includes("plaintext") && !message.includes("secret"),
      );
    });
  }

  for (const options of [{ credentials: credentials.createSsl() }, { plaintextToken: true }]) {
    it(`sends a token elsewhere with ${Object.keys(options)[0]}`, () => {
      new RoutingClient("router:50051", { token: "secret", ...options }).close();
    });
  }

  for (const host of ["localhost:50051", "dns:///[::1]:50051", "unix:/run/router.sock"]) {
    it(`sends a token to ${host}`, () => {
      new RoutingClient(host, { token: "secret" }).close();
    });
  }
});

describe("the service config", () => {
  for (const [timeoutMs, attempts] of [[100, undefined], [300, 2], [1000, 3], [3000, 4], [5000, 5]] as const) {
    it(`makes ${attempts ?? 1} attempts within ${timeoutMs} ms`, () => {
      assert.equal(JSON.parse(serviceConfig(timeoutMs)).methodConfig[0].retryPolicy?.maxAttempts, attempts);
    });
  }
});
