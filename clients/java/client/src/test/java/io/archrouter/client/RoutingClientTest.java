package io.archrouter.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.archrouter.v1.ModelTarget;
import io.archrouter.v1.RoutingServiceGrpc.RoutingServiceImplBase;
import io.archrouter.v1.SelectRouteRequest;
import io.archrouter.v1.SelectRouteResponse;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.TlsChannelCredentials;
import io.grpc.inprocess.InProcessChannelBuilder;
import io.grpc.inprocess.InProcessServerBuilder;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class RoutingClientTest {
  private static final List<ModelTarget> FALLBACK = List.of(model("own/default"));
  private static final CallSettings PATIENT = CallSettings.NONE.withTimeout(Duration.ofSeconds(20));

  private final FakeService service = new FakeService();
  private Server server;
  private ManagedChannel channel;
  private RoutingClient client;

  @BeforeEach
  void start() throws IOException {
    String name = InProcessServerBuilder.generateName();
    server = InProcessServerBuilder.forName(name).directExecutor().addService(service).build().start();
    channel = InProcessChannelBuilder.forName(name).build();
    client = RoutingClient.fromChannel(channel, Duration.ofSeconds(5));
  }

  @AfterEach
  void stop() {
    channel.shutdownNow();
    server.shutdownNow();
  }

  /** A client that was given a channel leaves it open. */
  @Test
  void closeLeavesTheCallersChannelOpen() {
    client.close();

    assertFalse(channel.isShutdown());
  }

  /** The future has the decision, its models are the selection's. */
  @Test
  void selectModelsAsyncGivesTheDecision() throws Exception {
    Selection selection = client.selectModelsAsync(hello(), FALLBACK, CallSettings.NONE).get();

    assertEquals("chat", assertInstanceOf(Selection.FromService.class, selection).decision().getRouteId());
    assertEquals(List.of(model("m/chat")), selection.models());
  }

  /** Futures fail with the typed exception, blocking calls throw it. */
  @Test
  void failuresAreTyped() {
    service.failure = Status.NOT_FOUND.withDescription("gone");

    CompletableFuture<Selection> future = client.selectModelsAsync(hello(), FALLBACK, CallSettings.NONE);
    Throwable cause = assertThrows(ExecutionException.class, future::get).getCause();
    ArchRouterException thrown = assertThrows(ArchRouterException.class, () -> client.selectRoute(hello()));

    assertInstanceOf(ArchRouterException.class, cause);
    assertEquals(Status.Code.NOT_FOUND, thrown.code());
    assertTrue(thrown.getMessage().contains("gone"));
    assertEquals(0, client.failOpens());
  }

  /** Cancelling the future cancels the call, and is no fault of the service. */
  @Test
  void cancellationReachesTheServer() throws Exception {
    service.hangs = true;

    CompletableFuture<Selection> future = client.selectModelsAsync(hello(), FALLBACK, PATIENT);
    future.cancel(true);

    assertTrue(service.cancelled.await(5, TimeUnit.SECONDS));
    assertEquals(0, client.failOpens());
  }

  /** An interrupted thread stops waiting, stays interrupted and does not fail open. */
  @Test
  void interruptionEndsTheWait() {
    service.hangs = true;
    Thread.currentThread().interrupt();

    assertThrows(CancellationException.class, () -> client.selectModels(hello(), FALLBACK, PATIENT));

    assertTrue(Thread.interrupted());
    assertEquals(0, client.failOpens());
  }

  /** The deadline of a call stands over the client's. */
  @Test
  void theCallsDeadlineStands() {
    service.hangs = true;
    CallSettings hasty = CallSettings.NONE.withTimeout(Duration.ofMillis(20));

    ArchRouterException thrown =
        assertThrows(ArchRouterException.class, () -> client.selectRoute(hello(), hasty));

    assertEquals(Status.Code.DEADLINE_EXCEEDED, thrown.code());
  }

  /** No deadline of 0 or less, for a client or for a call. */
  @Test
  void deadlinesAreAboveZero() {
    assertThrows(IllegalArgumentException.class, () -> CallSettings.NONE.withTimeout(Duration.ZERO));
    assertThrows(
        IllegalArgumentException.class, () -> RoutingClient.builder("router:50051").timeout(Duration.ofSeconds(-1)));
  }

  /** A token does not travel in plaintext to another host; the message does not tell it. */
  @ParameterizedTest
  @ValueSource(strings = {"router:50051", "dns:///router:50051", "localhost.example:50051", "127.0.0.1.example:1"})
  void tokensStayOnThisHost(String target) {
    RoutingClient.Builder builder = RoutingClient.builder(target).token("secret");

    IllegalStateException thrown = assertThrows(IllegalStateException.class, builder::build);

    assertTrue(thrown.getMessage().contains("plaintext"));
    assertFalse(thrown.getMessage().contains("secret"));
  }

  /** A server that was away for seconds gets calls within the one in which it is back; gRPC alone would wait longer. */
  @Test
  void aServerThatIsBackGetsCallsSoon() throws Exception {
    Server first = serve(0);
    int port = first.getPort();
    try (RoutingClient routing = RoutingClient.builder("127.0.0.1:" + port).build()) {
      routing.selectModels(hello(), FALLBACK, PATIENT);
      first.shutdownNow().awaitTermination();
      for (int tenths = 0; tenths < 30; tenths++) {
        routing.selectModels(hello(), FALLBACK);
        Thread.sleep(100);
      }
      Server second = serve(port);
      long restarted = System.nanoTime();
      while (!(routing.selectModels(hello(), FALLBACK) instanceof Selection.FromService)) {
        Thread.sleep(10);
      }
      double waitedS = (System.nanoTime() - restarted) / 1e9;
      second.shutdownNow();

      assertTrue(waitedS < 1.5, waitedS + " s");
    }
  }

  /** A token travels on this host, over TLS, and where the caller says that the network encrypts. */
  @Test
  void tokensTravelWhereTheyMay() throws IOException {
    for (String local : List.of("localhost:1", "127.0.0.1:1", "[::1]:1")) {
      RoutingClient.builder(local).token("secret").build().close();
    }
    RoutingClient.builder("router:1").token("secret").credentials(TlsChannelCredentials.create()).build().close();
    RoutingClient.builder("router:1").token("secret").plaintextToken().build().close();
  }

  /** The config retries as often as fits between a call's start and its deadline. */
  @ParameterizedTest
  @CsvSource({"100,", "300,2", "1000,3", "3000,4", "5000,5"})
  void retriesFitTheDeadline(long timeoutMs, Double attempts) {
    Map<String, Object> config = ServiceConfig.within(Duration.ofMillis(timeoutMs));

    Map<?, ?> method = (Map<?, ?>) ((List<?>) config.get("methodConfig")).get(0);
    Map<?, ?> policy = (Map<?, ?>) method.get("retryPolicy");
    if (attempts == null) {
      assertNull(policy);
    } else {
      assertEquals(attempts, policy.get("maxAttempts"));
    }
  }

  private Server serve(int port) throws IOException {
    return Grpc.newServerBuilderForPort(port, InsecureServerCredentials.create()).addService(service).build().start();
  }

  private static SelectRouteRequest hello() {
    return Conversation.parse("[{\"role\": \"user\", \"content\": \"hello\"}]").request("");
  }

  private static ModelTarget model(String name) {
    return ModelTarget.newBuilder().setModel(name).build();
  }

  private static final class FakeService extends RoutingServiceImplBase {
    private final CountDownLatch cancelled = new CountDownLatch(1);
    private volatile Status failure;
    private volatile boolean hangs;

    @Override
    public void selectRoute(SelectRouteRequest request, StreamObserver<SelectRouteResponse> observer) {
      if (hangs) {
        io.grpc.Context.current().addListener(context -> cancelled.countDown(), Runnable::run);
      } else if (failure != null) {
        observer.onError(failure.asRuntimeException());
      } else {
        SelectRouteResponse.Builder response = SelectRouteResponse.newBuilder();
        response.getDecisionBuilder().setRouteId("chat").addModels(model("m/chat"));
        observer.onNext(response.build());
        observer.onCompleted();
      }
    }
  }
}
