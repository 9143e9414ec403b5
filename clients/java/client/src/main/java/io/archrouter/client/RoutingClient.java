package io.archrouter.client;

import com.google.common.util.concurrent.ListenableFuture;
import io.archrouter.v1.BatchSelectRoutesRequest;
import io.archrouter.v1.BatchSelectRoutesResponse;
import io.archrouter.v1.Decision;
import io.archrouter.v1.GetServerInfoRequest;
import io.archrouter.v1.GetServerInfoResponse;
import io.archrouter.v1.ModelTarget;
import io.archrouter.v1.RoutingServiceGrpc;
import io.archrouter.v1.RoutingServiceGrpc.RoutingServiceFutureStub;
import io.archrouter.v1.SelectRouteRequest;
import io.archrouter.v1.SelectRouteResponse;
import io.archrouter.v1.SelectRouteResult;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.stub.MetadataUtils;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * Calls the routing service. It holds one channel and is safe for use by many threads: make it once, close it at the
 * end.
 *
 * <p>Each call has a deadline, 300 ms unless the builder or the call says otherwise. A client that has made no call yet
 * connects first: {@link #serverInfo} with a longer deadline, at the start of the process, takes that off the first
 * decision.
 */
public final class RoutingClient implements AutoCloseable {
  /** The deadline of calls whose client was given none. */
  public static final Duration DEFAULT_TIMEOUT = Duration.ofMillis(300);

  private static final long RECONNECT_NANOS = TimeUnit.SECONDS.toNanos(1);

  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private final RoutingServiceFutureStub stub;
  private final ManagedChannel owned; // null when the channel is the caller's
  private final Duration timeout;
  private final LongAdder failOpens = new LongAdder();
  private final AtomicLong reconnectNanos = new AtomicLong(System.nanoTime());

  private RoutingClient(RoutingServiceFutureStub stub, ManagedChannel owned, Duration timeout) {
    this.stub = stub;
    this.owned = owned;
    this.timeout = timeout;
  }

  /**
   * Starts to make a client.
   *
   * @param target {@code host:port} or any other gRPC name, e.g. {@code dns:///router:50051}
   */
  public static Builder builder(String target) {
    return new Builder(target);
  }

  /**
   * Makes a client over a channel that the caller made and shuts down: security, token and retries belong to it, see
   * {@link ServiceConfig}.
   */
  public static RoutingClient fromChannel(Channel channel, Duration timeout) {
    return new RoutingClient(RoutingServiceGrpc.newFutureStub(channel), null, CallSettings.checked(timeout));
  }

  /**
   * The decision on one conversation.
   *
   * @throws ArchRouterException when there is none
   */
  public Decision selectRoute(SelectRouteRequest request) {
    return selectRoute(request, CallSettings.NONE);
  }

  /** As {@link #selectRoute(SelectRouteRequest)}, with settings of the call. */
  public Decision selectRoute(SelectRouteRequest request, CallSettings settings) {
    return await(selectRouteAsync(request, settings));
  }

  /** As {@link #selectRoute(SelectRouteRequest)}, without waiting; the future fails with ArchRouterException. */
  public CompletableFuture<Decision> selectRouteAsync(SelectRouteRequest request, CallSettings settings) {
    return call(stub(settings).selectRoute(request), SelectRouteResponse::getDecision);
  }

  /**
   * The models that should answer one conversation, or the fallback when the service is at fault: it is away,
   * overloaded, too slow or broken.
   *
   * @throws ArchRouterException for what the caller has to mend, e.g. a bad request or a token, because a fallback
   *     would hide it for good
   */
  public Selection selectModels(SelectRouteRequest request, List<ModelTarget> fallback) {
    return selectModels(request, fallback, CallSettings.NONE);
  }

  /** As {@link #selectModels(SelectRouteRequest, List)}, with settings of the call. */
  public Selection selectModels(SelectRouteRequest request, List<ModelTarget> fallback, CallSettings settings) {
    return await(selectModelsAsync(request, fallback, settings));
  }

  /** As {@link #selectModels(SelectRouteRequest, List)}, without waiting; the future fails with ArchRouterException. */
  public CompletableFuture<Selection> selectModelsAsync(
      SelectRouteRequest request, List<ModelTarget> fallback, CallSettings settings) {
    CompletableFuture<Decision> decided = selectRouteAsync(request, settings);
    CompletableFuture<Selection> selection =
        decided.handle(
            (decision, failure) -> {
              if (failure == null) {
                return new Selection.FromService(decision);
              }
              if (failure instanceof ArchRouterException error && error.failsOpen()) {
                failOpens.increment();
                return new Selection.Fallback(List.copyOf(fallback), error);
              }
              throw new CompletionException(failure);
            });
    return cancelling(selection, decided::cancel);
  }

  /**
   * One result for each request, in order: a response, or an error of its own.
   *
   * @throws ArchRouterException when the call as a whole failed
   */
  public List<SelectRouteResult> batchSelectRoutes(List<SelectRouteRequest> requests, CallSettings settings) {
    BatchSelectRoutesRequest batch = BatchSelectRoutesRequest.newBuilder().addAllRequests(requests).build();
    return await(call(stub(settings).batchSelectRoutes(batch), BatchSelectRoutesResponse::getResultsList));
  }

  /**
   * What the server is and what it accepts.
   *
   * @throws ArchRouterException when the service does not answer
   */
  public GetServerInfoResponse serverInfo(CallSettings settings) {
    return await(call(stub(settings).getServerInfo(GetServerInfoRequest.getDefaultInstance()), Function.identity()));
  }

  /** How many calls of selectModels returned the fallback. */
  public long failOpens() {
    return failOpens.sum();
  }

  /** Shuts down the channel that the builder made; calls in flight end first. */
  @Override
  public void close() {
    if (owned != null) {
      owned.shutdown();
    }
  }

  private RoutingServiceFutureStub stub(CallSettings settings) {
    Duration deadline = settings.timeout().orElse(timeout);
    reconnect();
    return stub.withInterceptors(MetadataUtils.newAttachHeadersInterceptor(settings.headers()))
        .withDeadlineAfter(deadline.toNanos(), TimeUnit.NANOSECONDS);
  }

  /**
   * Looks once a second, while there are calls, for replicas that were away: gRPC's own waits grow to two minutes, in
   * which one that is back gets no call, and gRPC for Java has no setting for them.
   */
  private void reconnect() {
    long last = reconnectNanos.get();
    long now = System.nanoTime();
    if (owned != null && now - last >= RECONNECT_NANOS && reconnectNanos.compareAndSet(last, now)) {
      owned.resetConnectBackoff();
    }
  }

  private static <R, T> CompletableFuture<T> call(ListenableFuture<R> response, Function<R, T> value) {
    CompletableFuture<T> result = new CompletableFuture<>();
    response.addListener(
        () -> {
          try {
            result.complete(value.apply(response.get()));
          } catch (ExecutionException failure) {
            result.completeExceptionally(new ArchRouterException(failure.getCause()));
          } catch (InterruptedException | CancellationException failure) {
            result.completeExceptionally(failure);
          }
        },
        Runnable::run);
    return cancelling(result, response::cancel);
  }

  private static <T> CompletableFuture<T> cancelling(CompletableFuture<T> future, Consumer<Boolean> cancel) {
    future.whenComplete(
        (value, failure) -> {
          if (future.isCancelled()) {
            cancel.accept(true);
          }
        });
    return future;
  }

  private static <T> T await(CompletableFuture<T> future) {
    try {
      return future.get();
    } catch (ExecutionException failure) {
      if (failure.getCause() instanceof ArchRouterException error) {
        throw error;
      }
      throw new CompletionException(failure.getCause());
    } catch (InterruptedException interrupted) {
      future.cancel(true);
      Thread.currentThread().interrupt();
      throw new CancellationException("interrupted while waiting for the service");
    }
  }

  /** Makes a client. */
  public static final class Builder {
    private final String target;
    private Duration timeout = DEFAULT_TIMEOUT;
    private ChannelCredentials credentials;
    private String token;
    private boolean plaintextToken;
    private Consumer<ManagedChannelBuilder<?>> channel = builder -> {};

    private Builder(String target) {
      this.target = target;
    }

    /** Sets the deadline of calls that set none, retries included; above 0. */
    public Builder timeout(Duration timeout) {
      this.timeout = CallSettings.checked(timeout);
      return this;
    }

    /** Secures the channel, e.g. by {@code TlsChannelCredentials.create()}; plaintext by default. */
    public Builder credentials(ChannelCredentials credentials) {
      this.credentials = credentials;
      return this;
    }

    /** Sends a bearer token with each call. Without credentials, a target that is not this host is refused. */
    public Builder token(String token) {
      this.token = token;
      return this;
    }

    /** Lets the token leave this host in plaintext, e.g. because a sidecar encrypts. */
    public Builder plaintextToken() {
      this.plaintextToken = true;
      return this;
    }

    /** Changes the channel after the client's own settings. */
    public Builder channel(Consumer<ManagedChannelBuilder<?>> channel) {
      this.channel = channel;
      return this;
    }

    /**
     * Makes the client; it connects with the first call.
     *
     * @throws IllegalStateException for a token that anyone on the way could read
     */
    public RoutingClient build() {
      if (token != null && credentials == null && !plaintextToken && !LocalTargets.contains(target)) {
        throw new IllegalStateException(
            "the token would travel to " + target + " in plaintext; "
                + "set credentials, or plaintextToken where the network encrypts");
      }
      ManagedChannelBuilder<?> builder =
          Grpc.newChannelBuilder(target, credentials == null ? InsecureChannelCredentials.create() : credentials);
      builder.defaultServiceConfig(ServiceConfig.within(timeout));
      channel.accept(builder);
      ManagedChannel owned = builder.build();
      RoutingServiceFutureStub stub = RoutingServiceGrpc.newFutureStub(owned);
      if (token != null) {
        Metadata headers = new Metadata();
        headers.put(AUTHORIZATION, "Bearer " + token);
        stub = stub.withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers));
      }
      return new RoutingClient(stub, owned, timeout);
    }
  }
}
