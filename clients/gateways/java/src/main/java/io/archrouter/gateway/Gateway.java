package io.archrouter.gateway;

import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.archrouter.client.ArchRouterException;
import io.archrouter.client.CallSettings;
import io.archrouter.client.Conversation;
import io.archrouter.client.Parameters;
import io.archrouter.client.RoutingClient;
import io.archrouter.client.Selection;
import io.archrouter.v1.ModelTarget;
import io.grpc.Status;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Executors;

/**
 * Takes OpenAI-style chat requests, asks ArchRouter which models should answer, and forwards each to an upstream,
 * walking down the models while they are overloaded or broken.
 */
public final class Gateway {
  /** In each answer; an agent sends it back with its next turn, and so keeps its route in tool loops. */
  private static final String ROUTE_HEADER = "Archrouter-Route";

  private static final String SOURCE_HEADER = "Archrouter-Source";
  private static final int MAX_BODY_BYTES = 8 << 20;
  private static final Gson GSON = new Gson();

  private final RoutingClient router;
  private final URI upstream;
  private final List<ModelTarget> fallback;
  private final HttpClient client = HttpClient.newHttpClient();

  private Gateway(RoutingClient router, URI upstream, List<ModelTarget> fallback) {
    this.router = router;
    this.upstream = upstream;
    this.fallback = fallback;
  }

  /**
   * Serves until the process ends.
   *
   * @param arguments port to serve on, HOST:PORT of ArchRouter, base URL of the models' API, and the models while
   *     ArchRouter is away, best first, with commas
   * @throws IOException when the port cannot be served on
   */
  public static void main(String... arguments) throws IOException {
    if (arguments.length != 4) {
      System.err.println("usage: Gateway PORT ROUTER UPSTREAM FALLBACK,...");
      System.exit(2);
    }
    List<ModelTarget> fallback =
        Arrays.stream(arguments[3].split(",")).map(name -> ModelTarget.newBuilder().setModel(name).build()).toList();
    RoutingClient router = RoutingClient.builder(arguments[1]).build();
    connect(router);
    Gateway gateway = new Gateway(router, URI.create(arguments[2]), fallback);
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])), 0);
    server.createContext("/", gateway::handle);
    server.setExecutor(Executors.newCachedThreadPool());
    server.start();
  }

  /** Connects and loads classes before there is a call whose deadline would pay for it. */
  private static void connect(RoutingClient router) {
    try {
      router.serverInfo(CallSettings.NONE.withTimeout(Duration.ofSeconds(5)));
    } catch (ArchRouterException away) {
      System.err.println("starting without ArchRouter: " + away.getMessage());
    }
  }

  private void handle(HttpExchange exchange) throws IOException {
    try (exchange) {
      JsonObject body;
      Selection selection;
      try {
        body = read(exchange.getRequestBody());
        Conversation conversation = Conversation.parse(String.valueOf(body.get("messages")));
        String previousRoute = header(exchange, ROUTE_HEADER);
        selection = router.selectModels(conversation.request(previousRoute), fallback, trace(exchange));
      } catch (JsonParseException | IllegalArgumentException | IllegalStateException unreadable) {
        answer(exchange, 400, unreadable.getMessage());
        return;
      } catch (ArchRouterException refused) {
        answer(exchange, refused.code() == Status.Code.INVALID_ARGUMENT ? 400 : 500, refused.getMessage());
        return;
      }
      if (selection instanceof Selection.FromService decided) {
        exchange.getResponseHeaders().set(ROUTE_HEADER, decided.decision().getRouteId());
      } else if (selection instanceof Selection.Fallback failed) {
        System.err.println("failed open: " + failed.cause().getMessage());
      }
      String source = selection instanceof Selection.FromService ? "service" : "fallback";
      exchange.getResponseHeaders().set(SOURCE_HEADER, source);
      forward(exchange, body, selection.models());
    }
  }

  /** Sends the request to the first model that takes it; the last one's answer is passed on whatever it is. */
  private void forward(HttpExchange exchange, JsonObject body, List<ModelTarget> models) throws IOException {
    for (int i = 0; i < models.size(); i++) {
      try {
        HttpResponse<InputStream> response = client.send(request(exchange, body, models.get(i)), BodyHandlers.ofInputStream());
        try (InputStream text = response.body()) {
          if (!isTheModels(response.statusCode()) || i == models.size() - 1) {
            relay(exchange, response, text);
            return;
          }
        }
      } catch (IOException broken) {
        System.err.println(models.get(i).getModel() + ": " + broken);
      } catch (InterruptedException interrupted) {
        Thread.currentThread().interrupt();
        break;
      }
      System.err.println(models.get(i).getModel() + " does not answer, taking the next model");
    }
    answer(exchange, 502, "no model answers");
  }

  private HttpRequest request(HttpExchange exchange, JsonObject body, ModelTarget model) {
    JsonObject rewritten = GSON.toJsonTree(Parameters.parametersAsMap(model)).getAsJsonObject();
    body.entrySet().forEach(field -> rewritten.add(field.getKey(), field.getValue())); // the caller's stand above
    rewritten.addProperty("model", model.getModel());
    HttpRequest.Builder builder =
        HttpRequest.newBuilder(upstream.resolve(exchange.getRequestURI().getPath()))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(GSON.toJson(rewritten)));
    String authorization = header(exchange, "Authorization");
    return authorization.isEmpty() ? builder.build() : builder.header("Authorization", authorization).build();
  }

  private static boolean isTheModels(int status) {
    return status == 429 || status >= 500;
  }

  /** Passes an answer on as it comes, so that streams stream. */
  private static void relay(HttpExchange exchange, HttpResponse<InputStream> response, InputStream text)
      throws IOException {
    response.headers().firstValue("Content-Type").ifPresent(type -> exchange.getResponseHeaders().set("Content-Type", type));
    exchange.sendResponseHeaders(response.statusCode(), 0);
    byte[] chunk = new byte[32 << 10];
    for (int count = text.read(chunk); count >= 0; count = text.read(chunk)) {
      exchange.getResponseBody().write(chunk, 0, count);
      exchange.getResponseBody().flush();
    }
  }

  private static JsonObject read(InputStream stream) throws IOException {
    byte[] bytes = stream.readNBytes(MAX_BODY_BYTES + 1);
    if (bytes.length > MAX_BODY_BYTES) {
      throw new IllegalArgumentException("the request has more than " + MAX_BODY_BYTES + " bytes");
    }
    JsonElement document = JsonParser.parseString(new String(bytes, StandardCharsets.UTF_8));
    if (document instanceof JsonObject body) {
      return body;
    }
    throw new IllegalArgumentException("the request is no JSON object");
  }

  private static CallSettings trace(HttpExchange exchange) {
    var headers = exchange.getRequestHeaders();
    return CallSettings.NONE.withTrace(headers.getFirst("traceparent"), headers.getFirst("tracestate"));
  }

  private static String header(HttpExchange exchange, String name) {
    String value = exchange.getRequestHeaders().getFirst(name);
    return value == null ? "" : value;
  }

  private static void answer(HttpExchange exchange, int status, String text) throws IOException {
    byte[] bytes = (text + "\n").getBytes(StandardCharsets.UTF_8);
    exchange.getResponseHeaders().set("Content-Type", "text/plain; charset=utf-8");
    exchange.sendResponseHeaders(status, bytes.length);
    exchange.getResponseBody().write(bytes);
  }
}
