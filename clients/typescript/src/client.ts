import { isIP } from "node:net";

import { create, type DescMessage, fromBinary, type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { type ChannelCredentials, type ChannelOptions, Client, credentials, Metadata } from "@grpc/grpc-js";

import { RoutingError } from "./errors.js";
import type { Decision } from "./gen/archrouter/v1/decision_pb.js";
import { type ModelTarget, ModelTargetSchema } from "./gen/archrouter/v1/policy_pb.js";
import {
  type GetServerInfoResponse,
  RoutingService,
  type SelectRouteRequestSchema,
  type SelectRouteResult,
} from "./gen/archrouter/v1/routing_service_pb.js";
import { serviceConfig } from "./service_config.js";

/** How a client calls. */
export interface ClientOptions {
  /** Deadline of calls that set none, in milliseconds, retries included: above 0 and finite; 300 by default. */
  timeoutMs?: number;
  /** Security of the connection, e.g. `grpc.credentials.createSsl()`; plaintext by default. */
  credentials?: ChannelCredentials;
  /** Bearer token of each call. Without credentials, a target that is not this host is refused. */
  token?: string;
  /** Lets the token leave this host in plaintext, e.g. because a sidecar encrypts. */
  plaintextToken?: boolean;
  /** Passed on to gRPC, over the client's own. */
  channelOptions?: ChannelOptions;
}

/** How one call is made. */
export interface CallOptions {
  /** Ends the call; its promise rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Deadline in milliseconds, above 0 and finite; that of the client by default. */
  timeoutMs?: number;
  /** W3C trace context of the caller. */
  traceparent?: string;
  /** W3C trace state of the caller. */
  tracestate?: string;
}

/** A SelectRouteRequest, or its fields. */
export type SelectRouteInit = MessageInitShape<typeof SelectRouteRequestSchema>;

/** Models, best first: their names, or names with parameters. */
export type ModelsInit = readonly (string | MessageInitShape<typeof ModelTargetSchema>)[];

/** The answer of `selectModels`. */
export type Selection =
  | { source: "service"; models: ModelTarget[]; decision: Decision }
  | { source: "fallback"; models: ModelTarget[]; cause: RoutingError };

/** Calls the routing service. It holds one connection: make it once, use it for all calls, close it. */
export class RoutingClient {
  readonly #client: Client;
  readonly #timeoutMs: number;
  readonly #token: string | undefined;
  #failOpens = 0;

  /**
   * Connects with the first call.
   *
   * @param target - `host:port` or any other gRPC name, e.g. `dns:///router:50051`.
   * @throws RangeError for a deadline that no call can keep, and Error for a token that anyone on the way could read.
   */
  constructor(target: string, options: ClientOptions = {}) {
    this.#timeoutMs = checked(options.timeoutMs ?? 300);
    this.#token = options.token;
    if (options.token && !options.credentials && !options.plaintextToken && !isLocal(target)) {
      throw new Error(
        `the token would travel to ${target} in plaintext; ` +
          "set credentials, or plaintextToken where the network encrypts",
      );
    }
    this.#client = new Client(target, options.credentials ?? credentials.createInsecure(), {
      "grpc.service_config": serviceConfig(this.#timeoutMs),
      // gRPC's own waits grow to two minutes, in which a replica that is back gets no call.
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 1000,
      ...options.channelOptions,
    });
  }

  /** Closes the connection; calls in flight end first. */
  close(): void {
    this.#client.close();
  }

  /** How many calls of `selectModels` returned the fallback. */
  get failOpens(): number {
    return this.#failOpens;
  }

  /**
   * The decision on one conversation.
   *
   * @throws RoutingError when there is none.
   */
  async selectRoute(request: SelectRouteInit, call: CallOptions = {}): Promise<Decision> {
    const { decision } = await this.#call(RoutingService.method.selectRoute, request, call);
    return decision as Decision; // always set
  }

  /**
   * The models that should answer one conversation, or the fallback when the service is at fault: it is away,
   * overloaded, too slow or broken.
   *
   * @throws RoutingError for what the caller has to mend, e.g. a bad request or a token, because a fallback would hide
   *   it for good.
   */
  async selectModels(request: SelectRouteInit, fallback: ModelsInit, call: CallOptions = {}): Promise<Selection> {
    try {
      const decision = await this.selectRoute(request, call);
      return { source: "service", models: decision.models, decision };
    } catch (error) {
      if (!(error instanceof RoutingError && error.failsOpen)) {
        throw error;
      }
      this.#failOpens++;
      const models = fallback.map((model) =>
        create(ModelTargetSchema, typeof model === "string" ? { model } : model),
      );
      return { source: "fallback", models, cause: error };
    }
  }

  /**
   * One result for each request, in order: a response, or an error of its own.
   *
   * @throws RoutingError when the call as a whole failed.
   */
  async batchSelectRoutes(requests: SelectRouteInit[], call: CallOptions = {}): Promise<SelectRouteResult[]> {
    const { results } = await this.#call(RoutingService.method.batchSelectRoutes, { requests }, call);
    return results;
  }

  /**
   * What the server is and what it accepts.
   *
   * @throws RoutingError when the service does not answer.
   */
  async serverInfo(call: CallOptions = {}): Promise<GetServerInfoResponse> {
    return this.#call(RoutingService.method.getServerInfo, {}, call);
  }

  async #call<I extends DescMessage, O extends DescMessage>(
    method: { name: string; input: I; output: O },
    request: MessageInitShape<I>,
    { signal, timeoutMs, traceparent, tracestate }: CallOptions,
  ): Promise<MessageShape<O>> {
    const metadata = new Metadata();
    const entries = { authorization: this.#token && `Bearer ${this.#token}`, traceparent, tracestate };
    for (const [key, value] of Object.entries(entries)) {
      if (value) {
        metadata.set(key, value);
      }
    }
    // Serialised here, so that what cannot be sent is the caller's error and no failure of the service.
    const bytes = Buffer.from(toBinary(method.input, create(method.input, request)));
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const call = this.#client.makeUnaryRequest(
        `/${RoutingService.typeName}/${method.name}`,
        (message: Buffer) => message,
        (message) => fromBinary(method.output, message),
        bytes,
        metadata,
        { deadline: Date.now() + checked(timeoutMs ?? this.#timeoutMs) },
        (error, response) => {
          signal?.removeEventListener("abort", abort);
          if (signal?.aborted) {
            reject(signal.reason);
          } else if (error) {
            reject(new RoutingError(error));
          } else {
            resolve(response as MessageShape<O>); // always there when there is no error
          }
        },
      );
      const abort = (): void => call.cancel();
      signal?.addEventListener("abort", abort);
    });
  }
}

function checked(timeoutMs: number): number {
  if (!(timeoutMs > 0 && Number.isFinite(timeoutMs))) {
    throw new RangeError(`timeoutMs is ${timeoutMs}; it must be above 0 and finite`);
  }
  return timeoutMs;
}

function isLocal(target: string): boolean {
  if (/^unix(-abstract)?:/.test(target)) {
    return true;
  }
  const host = target
    .replace(/^(dns:\/{0,3}|passthrough:\/{0,3}|ipv[46]:)/, "")
    .replace(/:\d+$/, "")
    .replace(/^\[(.*)\]$/, "$1");
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}
