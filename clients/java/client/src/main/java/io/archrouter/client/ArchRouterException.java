package io.archrouter.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** A call failed. Its cause is gRPC's exception. */
public final class ArchRouterException extends RuntimeException {
  private static final long serialVersionUID = 1L;
  private static final String ERROR_DOMAIN = "archrouter";
  private static final Metadata.Key<String> DECISION_ID =
      Metadata.Key.of("archrouter-decision-id", Metadata.ASCII_STRING_MARSHALLER);

  private final Status.Code code;
  private final String reason;
  private final transient Map<String, String> metadata;
  private final Duration retryAfter;
  private final String decisionId;

  ArchRouterException(Throwable cause) {
    super(message(cause), cause);
    Metadata trailers = Status.trailersFromThrowable(cause);
    String id = trailers == null ? null : trailers.get(DECISION_ID);
    ErrorInfo info = ErrorInfo.getDefaultInstance();
    Duration delay = null;
    for (Any detail : details(cause)) {
      try {
        if (detail.is(ErrorInfo.class) && detail.unpack(ErrorInfo.class).getDomain().equals(ERROR_DOMAIN)) {
          info = detail.unpack(ErrorInfo.class);
        } else if (detail.is(RetryInfo.class)) {
          com.google.protobuf.Duration advised = detail.unpack(RetryInfo.class).getRetryDelay();
          delay = Duration.ofSeconds(advised.getSeconds(), advised.getNanos());
        }
      } catch (InvalidProtocolBufferException garbage) {
        continue; // left there by a proxy; the code still stands
      }
    }
    this.code = Status.fromThrowable(cause).getCode();
    this.reason = info.getReason();
    this.metadata = info.getMetadataMap();
    this.retryAfter = delay;
    this.decisionId = id == null ? "" : id;
  }

  /** The gRPC status code. */
  public Status.Code code() {
    return code;
  }

  /**
   * Name of the {@code ErrorReason}, e.g. {@code ERROR_REASON_OVERLOADED}; empty when the failure is not the service's
   * own word, e.g. because nothing listens at the target or the request is too large for the transport.
   */
  public String reason() {
    return reason;
  }

  /** What the service says beside the reason. */
  public Map<String, String> metadata() {
    return metadata;
  }

  /** How long to wait before the next call; empty when the service advises nothing. */
  public Optional<Duration> retryAfter() {
    return Optional.ofNullable(retryAfter);
  }

  /** Finds the call in the service's log; empty when the service did not answer. */
  public String decisionId() {
    return decisionId;
  }

  /**
   * Whether the service is at fault, so that the caller's own models are the better answer. A request that is too large
   * for the transport and an overloaded server have one code; only the latter comes with a reason. CANCELLED is the
   * server's: who cancels a future gets a CancellationException.
   */
  public boolean failsOpen() {
    return switch (code) {
      case UNAVAILABLE, CANCELLED, DEADLINE_EXCEEDED, INTERNAL, UNKNOWN, DATA_LOSS, ABORTED -> true;
      case RESOURCE_EXHAUSTED -> reason.equals("ERROR_REASON_OVERLOADED");
      default -> false;
    };
  }

  private static String message(Throwable cause) {
    Status status = Status.fromThrowable(cause);
    return status.getCode() + ": " + status.getDescription();
  }

  private static List<Any> details(Throwable cause) {
    try {
      com.google.rpc.Status status = StatusProto.fromThrowable(cause);
      return status == null ? List.of() : status.getDetailsList();
    } catch (IllegalArgumentException garbage) {
      return List.of();
    }
  }
}
