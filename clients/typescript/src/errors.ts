import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack, durationMs } from "@bufbuild/protobuf/wkt";
import { type ServiceError, status } from "@grpc/grpc-js";

import { ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { type Status, StatusSchema } from "./gen/google/rpc/status_pb.js";

const ERROR_DOMAIN = "archrouter";

const FAIL_OPEN: ReadonlySet<status> = new Set([
  status.UNAVAILABLE,
  status.CANCELLED, // by the server: whoever aborts a call gets the signal's reason
  status.DEADLINE_EXCEEDED,
  status.INTERNAL,
  status.UNKNOWN,
  status.DATA_LOSS,
  status.ABORTED,
]);

/** A call failed. */
export class RoutingError extends Error {
  override readonly name = "RoutingError";

  /** The gRPC status code; `grpc.status[code]` is its name. */
  readonly code: status;

  /**
   * Name of the `ErrorReason`, e.g. `ERROR_REASON_OVERLOADED`; empty when the failure is not the service's own word,
   * e.g. because nothing listens at the target or the request is too large for the transport.
   */
  readonly reason: string = "";

  /** What the service says beside the reason. */
  readonly metadata: Readonly<Record<string, string>> = {};

  /** Milliseconds to wait before the next call; undefined when the service advises nothing. */
  readonly retryAfterMs: number | undefined;

  /** Finds the call in the service's log; empty when the service did not answer. */
  readonly decisionId: string;

  /** Every detail of the failure, to be unpacked with the schemas of `@archrouter/client/v1`. */
  readonly details: Status["details"];

  constructor(error: ServiceError) {
    const reached = status[error.code] ?? String(error.code);
    super(`${reached}: ${error.details}`, { cause: error });
    this.code = error.code;
    this.decisionId = String(error.metadata.get("archrouter-decision-id")[0] ?? "");
    this.details = richDetails(error);
    for (const detail of this.details) {
      const info = anyUnpack(detail, ErrorInfoSchema);
      if (info?.domain === ERROR_DOMAIN) {
        this.reason = info.reason;
        this.metadata = info.metadata;
      }
      const retry = anyUnpack(detail, RetryInfoSchema);
      if (retry?.retryDelay) {
        this.retryAfterMs = durationMs(retry.retryDelay);
      }
    }
  }

  /**
   * Whether the service is at fault, so that the caller's own models are the better answer. A request that is too
   * large for the transport and an overloaded server have one code; only the latter comes with a reason.
   */
  get failsOpen(): boolean {
    return this.code === status.RESOURCE_EXHAUSTED
      ? this.reason === "ERROR_REASON_OVERLOADED"
      : FAIL_OPEN.has(this.code);
  }
}

/** Garbage that a proxy left there counts as no details, because the code still stands. */
function richDetails(error: ServiceError): Status["details"] {
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  try {
    return bytes instanceof Uint8Array ? fromBinary(StatusSchema, bytes).details : [];
  } catch {
    return [];
  }
}
