/** Runs the vectors of clients/conformance, which run.py beside them explains. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";

import { fromJson, toJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { credentials, status } from "@grpc/grpc-js";

import {
  type ChatMessage,
  type Conversation,
  type Limits,
  parseConversation,
  RoutingClient,
  RoutingError,
} from "../src/index.js";
import { type ModelTarget, Role, type SelectRouteRequest, SelectRouteRequestSchema } from "../src/v1.js";

interface Vector {
  name: string;
  call?: "selectRoute" | "selectModels";
  server?: "embedded" | "scripted" | "dead" | "tls" | "mutual";
  tls?: string[];
  script?: JsonValue[];
  target?: string;
  token?: string;
  traceparent?: string;
  tracestate?: string;
  timeoutS?: number;
  request?: JsonValue;
  chat?: ChatMessage[];
  previousRouteId?: string;
  routeTicket?: string;
  /** The chat whose decision's ticket is sent. */
  ticketOf?: ChatMessage[];
  limits?: Limits;
  paddingCharacters?: number;
  fallback?: string[];
  /** What has to hold; what is absent is not looked at. */
  expect: Record<string, JsonValue> & { afterS?: number; withinS?: number; request?: JsonValue; error?: string };
}

const TRIES_OF_TIMED_VECTORS = 3; // another process may take the processor for longer than a vector allows

const environment = (name: string): string => process.env[`CONFORMANCE_${name}`] ?? "";

function makeClient(vector: Vector): RoutingClient {
  const target = vector.server ? environment(vector.server.toUpperCase()) : (vector.target ?? "");
  return new RoutingClient(target, {
    ...(vector.timeoutS && { timeoutMs: vector.timeoutS * 1000 }),
    ...(vector.token && { token: vector.token }),
    ...(vector.tls && { credentials: makeCredentials(vector.tls) }),
  });
}

function makeCredentials(given: string[]): ReturnType<typeof credentials.createSsl> {
  const read = (name: string, of = name): Buffer | null =>
    given.includes(of) ? readFileSync(join(environment("CERTIFICATES"), `${name}.pem`)) : null;
  return credentials.createSsl(read("authority"), read("key", "certificate"), read("certificate"));
}

/** Asks about a conversation that goes on after a decision. */
function after(vector: Vector, conversation: Conversation, ticket: string): SelectRouteRequest {
  return ticket ? conversation.requestWithTicket(ticket) : conversation.request(vector.previousRouteId);
}

/** Has the conversation of before decided, if there is one, and gives the decision's ticket. */
async function ticketOfBefore(vector: Vector, client: RoutingClient): Promise<string> {
  if (!vector.ticketOf) {
    return "";
  }
  const decision = await client.selectRoute(parseConversation(vector.ticketOf, vector.limits).request());
  return decision.routeTicket;
}

function makeRequest(vector: Vector, ticket: string): SelectRouteRequest {
  const padding = "x ".repeat((vector.paddingCharacters ?? 0) / 2);
  if (vector.chat) {
    const chat = padding ? [{ role: "user", content: padding }] : vector.chat;
    return after(vector, parseConversation(chat, vector.limits), ticket);
  }
  const request = fromJson(SelectRouteRequestSchema, vector.request ?? {});
  if (padding) {
    request.messages.push({ $typeName: "archrouter.v1.Message", role: Role.USER, content: padding });
  }
  if (vector.script) {
    request.correlationId = vector.name;
  }
  return request;
}

/** Describes what happened in the words of the vectors. */
async function observe(vector: Vector): Promise<Record<string, JsonValue | undefined>> {
  if (!vector.call) {
    const conversation = parseConversation(vector.chat ?? [], vector.limits);
    const { skippedParts, cutMessages, droppedMessages } = conversation;
    const sent = toJson(SelectRouteRequestSchema, after(vector, conversation, vector.routeTicket ?? ""));
    return { request: sent, skippedParts, cutMessages, droppedMessages };
  }
  const client = makeClient(vector);
  try {
    return await ask(vector, client, makeRequest(vector, await ticketOfBefore(vector, client)));
  } finally {
    client.close();
  }
}

async function ask(
  vector: Vector,
  client: RoutingClient,
  request: SelectRouteRequest,
): Promise<Record<string, JsonValue | undefined>> {
  const trace = {
    ...(vector.traceparent && { traceparent: vector.traceparent }),
    ...(vector.tracestate && { tracestate: vector.tracestate }),
  };
  try {
    if (vector.call === "selectRoute") {
      const { routeId, kept, models } = await client.selectRoute(request, trace);
      return { source: "service", routeId, kept, ...described(models), failOpens: client.failOpens };
    }
    const selection = await client.selectModels(request, vector.fallback ?? [], trace);
    const { source, models } = selection;
    const rest =
      source === "fallback"
        ? describedError(selection.cause)
        : { routeId: selection.decision.routeId, kept: selection.decision.kept };
    return { source, ...described(models), ...rest, failOpens: client.failOpens };
  } catch (error) {
    if (!(error instanceof RoutingError)) {
      throw error;
    }
    return { source: "error", ...describedError(error), failOpens: client.failOpens };
  }
}

function described(models: ModelTarget[]): Record<string, JsonValue> {
  const sorted = (_: string, value: unknown): unknown =>
    value && typeof value === "object" && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value;
  return {
    models: models.map(({ model }) => model),
    parameters: JSON.stringify(models[0]?.parameters ?? {}, sorted),
  };
}

function describedError(error: RoutingError): Record<string, JsonValue> {
  return {
    code: status[error.code] ?? "",
    reason: error.reason,
    decisionId: error.decisionId,
    metadata: error.metadata as JsonObject,
    retryAfterS: (error.retryAfterMs ?? 0) / 1000,
  };
}

/** Why the vector fails; empty: it passes. */
async function run(vector: Vector): Promise<string> {
  const { afterS = 0, withinS = Infinity, error, ...expected } = vector.expect;
  const start = performance.now();
  let observed: Record<string, JsonValue | undefined>;
  try {
    if (error && !vector.chat) {
      makeClient(vector).close();
    }
    observed = await observe(vector);
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return error && message.includes(error) ? "" : message;
  }
  const elapsedS = (performance.now() - start) / 1000;
  if (error) {
    return `no error, but ${JSON.stringify(observed)}`;
  }
  const wrong = Object.keys(expected).filter((key) => !agrees(key, expected[key], observed[key]));
  if (wrong.length > 0) {
    return `${wrong.join(", ")}: ${JSON.stringify(observed)}`;
  }
  return elapsedS < afterS || elapsedS > withinS ? `took ${elapsedS.toFixed(3)} s` : "";
}

function agrees(key: string, expected: JsonValue | undefined, observed: JsonValue | undefined): boolean {
  if (key === "request") {
    const [one, other] = [expected, observed].map((json) =>
      toJson(SelectRouteRequestSchema, fromJson(SelectRouteRequestSchema, json ?? null)),
    );
    return isDeepStrictEqual(one, other);
  }
  if (key === "metadata") {
    return isDeepStrictEqual({ ...(observed as JsonObject), ...(expected as JsonObject) }, observed);
  }
  return isDeepStrictEqual(expected, observed);
}

const folder = environment("VECTORS");
for (const file of readdirSync(folder).filter((name) => name.endsWith(".json")).sort()) {
  for (const vector of JSON.parse(readFileSync(join(folder, file), "utf8")) as Vector[]) {
    let why = await run(vector);
    for (let tries = 1; why && vector.expect.withinS && tries < TRIES_OF_TIMED_VECTORS; tries++) {
      why = await run(vector);
    }
    console.log(JSON.stringify({ name: vector.name, why }));
  }
}
