package io.archrouter.client;

import io.grpc.Metadata;
import java.time.Duration;
import java.util.Optional;

/** How one call is made; immutable. */
public final class CallSettings {
  /** The client's settings. */
  public static final CallSettings NONE = new CallSettings(null, null, null);

  private final Duration timeout;
  private final String traceparent;
  private final String tracestate;

  private CallSettings(Duration timeout, String traceparent, String tracestate) {
    this.timeout = timeout;
    this.traceparent = traceparent;
    this.tracestate = tracestate;
  }

  /** The same with a deadline of the call, retries included; above 0. */
  public CallSettings withTimeout(Duration timeout) {
    return new CallSettings(checked(timeout), traceparent, tracestate);
  }

  /**
   * The same with the caller's W3C trace context. A channel that OpenTelemetry instruments needs no such help.
   *
   * @param tracestate may be null
   */
  public CallSettings withTrace(String traceparent, String tracestate) {
    return new CallSettings(timeout, traceparent, tracestate);
  }

  Optional<Duration> timeout() {
    return Optional.ofNullable(timeout);
  }

  Metadata headers() {
    Metadata headers = new Metadata();
    put(headers, "traceparent", traceparent);
    put(headers, "tracestate", tracestate);
    return headers;
  }

  static Duration checked(Duration timeout) {
    if (timeout.isNegative() || timeout.isZero()) {
      throw new IllegalArgumentException("the timeout is " + timeout + "; it must be above 0");
    }
    return timeout;
  }

  private static void put(Metadata headers, String name, String value) {
    if (value != null) {
      headers.put(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER), value);
    }
  }
}
