/** The messages of `archrouter.v1`, and the error details of `google.rpc`. */
export * from "./gen/archrouter/v1/decision_pb.js";
export * from "./gen/archrouter/v1/error_reason_pb.js";
export * from "./gen/archrouter/v1/policy_pb.js";
export * from "./gen/archrouter/v1/policy_service_pb.js";
export * from "./gen/archrouter/v1/routing_service_pb.js";
export * from "./gen/google/rpc/error_details_pb.js";
export * from "./gen/google/rpc/status_pb.js";
