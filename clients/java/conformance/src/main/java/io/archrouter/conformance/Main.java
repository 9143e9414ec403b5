package io.archrouter.conformance;

import com.google.gson.Gson;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.util.JsonFormat;
import io.archrouter.client.ArchRouterException;
import io.archrouter.client.CallSettings;
import io.archrouter.client.Conversation;
import io.archrouter.client.Parameters;
import io.archrouter.client.RoutingClient;
import io.archrouter.client.Selection;
import io.archrouter.v1.Decision;
import io.archrouter.v1.Message;
import io.archrouter.v1.ModelTarget;
import io.archrouter.v1.Role;
import io.archrouter.v1.SelectRouteRequest;
import io.grpc.ChannelCredentials;
import io.grpc.TlsChannelCredentials;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;

/** Runs the vectors of clients/conformance, which run.py beside them explains. */
public final class Main {
  private static final int TRIES_OF_TIMED_VECTORS = 3; // the processor may be another's for longer than is allowed
  private static final Gson GSON = new Gson();
  private static final Set<String> NOT_OBSERVED = Set.of("afterS", "withinS");

  private Main() {}

  /** Prints one line of JSON a vector. */
  public static void main(String[] arguments) throws IOException {
    warmUp();
    List<Path> files;
    try (Stream<Path> all = Files.list(Path.of(environment("VECTORS")))) {
      files = all.filter(file -> file.toString().endsWith(".json")).sorted().toList();
    }
    for (Path file : files) {
      for (JsonElement vector : JsonParser.parseString(Files.readString(file)).getAsJsonArray()) {
        report(vector.getAsJsonObject());
      }
    }
  }

  /** Loads classes, which takes longer than a vector may. */
  private static void warmUp() {
    try (RoutingClient client = RoutingClient.builder(environment("EMBEDDED")).build()) {
      client.serverInfo(CallSettings.NONE.withTimeout(Duration.ofSeconds(20)));
    }
    for (int i = 0; i < 5; i++) {
      try (RoutingClient client = RoutingClient.builder(environment("DEAD")).build()) {
        client.selectModels(SelectRouteRequest.getDefaultInstance(), List.of());
      }
    }
  }

  private static void report(JsonObject vector) {
    JsonObject line = new JsonObject();
    line.add("name", vector.get("name"));
    String why = run(vector);
    boolean timed = vector.getAsJsonObject("expect").has("withinS");
    for (int tries = 1; timed && !why.isEmpty() && tries < TRIES_OF_TIMED_VECTORS; tries++) {
      why = run(vector);
    }
    line.addProperty("why", why);
    System.out.println(GSON.toJson(line));
  }

  /** Says why the vector fails; empty: it passes. */
  private static String run(JsonObject vector) {
    JsonObject expected = vector.getAsJsonObject("expect");
    long start = System.nanoTime();
    JsonObject observed;
    try {
      observed = observe(vector);
    } catch (IllegalArgumentException | IllegalStateException | InvalidProtocolBufferException refused) {
      boolean wanted = expected.has("error") && refused.getMessage().contains(expected.get("error").getAsString());
      return wanted ? "" : "refused: " + refused.getMessage();
    }
    double elapsedS = (System.nanoTime() - start) / 1e9;
    for (String key : expected.keySet()) {
      if (!NOT_OBSERVED.contains(key) && !agrees(key, expected.get(key), observed.get(key))) {
        return key + ": " + observed;
      }
    }
    boolean inTime = elapsedS >= number(expected, "afterS", 0) && elapsedS <= number(expected, "withinS", 1e9);
    return inTime ? "" : "took " + elapsedS + " s";
  }

  private static boolean agrees(String key, JsonElement expected, JsonElement observed) {
    if (observed == null) {
      return false;
    }
    if (key.equals("metadata")) {
      return observed.getAsJsonObject().entrySet().containsAll(expected.getAsJsonObject().entrySet());
    }
    if (key.equals("request")) {
      try {
        return request(expected).equals(request(observed));
      } catch (InvalidProtocolBufferException malformed) {
        return false;
      }
    }
    return expected.equals(observed) || isNumber(expected) && expected.getAsDouble() == observed.getAsDouble();
  }

  private static boolean isNumber(JsonElement element) {
    return element.isJsonPrimitive() && element.getAsJsonPrimitive().isNumber();
  }

  /** Describes what happened in the words of the vectors. */
  private static JsonObject observe(JsonObject vector) throws InvalidProtocolBufferException {
    if (vector.has("call")) {
      SelectRouteRequest request = request(vector);
      try (RoutingClient client = client(vector)) {
        JsonObject observed = ask(client, vector, request);
        observed.addProperty("failOpens", client.failOpens());
        return observed;
      }
    }
    JsonObject observed = new JsonObject();
    if (vector.has("chat")) {
      Conversation conversation = Conversation.parse(vector.get("chat").toString(), limits(vector));
      String sent = JsonFormat.printer().print(after(vector, conversation, text(vector, "routeTicket")));
      observed.add("request", JsonParser.parseString(sent));
      observed.addProperty("skippedParts", conversation.skippedParts());
      observed.addProperty("cutMessages", conversation.cutMessages());
      observed.addProperty("droppedMessages", conversation.droppedMessages());
    } else {
      client(vector).close();
    }
    return observed;
  }

  private static JsonObject ask(RoutingClient client, JsonObject vector, SelectRouteRequest request) {
    CallSettings settings = CallSettings.NONE;
    if (vector.has("traceparent")) {
      settings = settings.withTrace(text(vector, "traceparent"), text(vector, "tracestate"));
    }
    JsonObject observed = new JsonObject();
    try {
      Selection selection;
      if (text(vector, "call").equals("selectRoute")) {
        selection = new Selection.FromService(client.selectRoute(request, settings));
      } else {
        selection = client.selectModels(request, fallback(vector), settings);
      }
      describe(selection, observed);
    } catch (ArchRouterException error) {
      observed.addProperty("source", "error");
      describe(error, observed);
    }
    return observed;
  }

  private static void describe(Selection selection, JsonObject observed) {
    JsonArray models = new JsonArray();
    selection.models().forEach(model -> models.add(model.getModel()));
    observed.add("models", models);
    Map<String, Object> parameters = new TreeMap<>(Parameters.parametersAsMap(selection.models().get(0)));
    observed.addProperty("parameters", GSON.toJson(parameters));
    if (selection instanceof Selection.Fallback fallback) {
      observed.addProperty("source", "fallback");
      describe(fallback.cause(), observed);
    } else if (selection instanceof Selection.FromService service) {
      Decision decision = service.decision();
      observed.addProperty("source", "service");
      observed.addProperty("routeId", decision.getRouteId());
      observed.addProperty("kept", decision.getKept());
    }
  }

  private static void describe(ArchRouterException error, JsonObject observed) {
    observed.addProperty("code", error.code().name());
    observed.addProperty("reason", error.reason());
    observed.addProperty("decisionId", error.decisionId());
    observed.add("metadata", GSON.toJsonTree(error.metadata()));
    error.retryAfter().ifPresent(delay -> observed.addProperty("retryAfterS", delay.toNanos() / 1e9));
  }

  private static RoutingClient client(JsonObject vector) {
    String target = vector.has("server") ? environment(text(vector, "server").toUpperCase(Locale.ROOT)) : text(vector, "target");
    RoutingClient.Builder builder = RoutingClient.builder(target);
    if (vector.has("timeoutS")) {
      builder.timeout(Duration.ofNanos((long) (vector.get("timeoutS").getAsDouble() * 1e9)));
    }
    if (vector.has("token")) {
      builder.token(text(vector, "token"));
    }
    if (vector.has("tls")) {
      builder.credentials(credentials(vector.getAsJsonArray("tls")));
    }
    return builder.build();
  }

  private static ChannelCredentials credentials(JsonArray given) {
    Path folder = Path.of(environment("CERTIFICATES"));
    TlsChannelCredentials.Builder builder = TlsChannelCredentials.newBuilder();
    try {
      if (given.contains(new JsonPrimitive("authority"))) {
        builder.trustManager(folder.resolve("authority.pem").toFile());
      }
      if (given.contains(new JsonPrimitive("certificate"))) {
        builder.keyManager(folder.resolve("certificate.pem").toFile(), folder.resolve("key.pem").toFile());
      }
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
    return builder.build();
  }

  private static SelectRouteRequest request(JsonObject vector) throws InvalidProtocolBufferException {
    String padding = "x ".repeat((int) number(vector, "paddingCharacters", 0) / 2);
    if (vector.has("chat")) {
      String chat = vector.get("chat").toString();
      if (!padding.isEmpty()) {
        chat = "[{\"role\": \"user\", \"content\": \"" + padding + "\"}]";
      }
      return after(vector, Conversation.parse(chat, limits(vector)), ticketOfBefore(vector));
    }
    SelectRouteRequest.Builder request = request(vector.get("request")).toBuilder();
    if (!padding.isEmpty()) {
      request.addMessages(Message.newBuilder().setRole(Role.ROLE_USER).setContent(padding));
    }
    if (vector.has("script")) {
      request.setCorrelationId(text(vector, "name"));
    }
    return request.build();
  }

  /** Asks about a conversation that goes on after a decision. */
  private static SelectRouteRequest after(JsonObject vector, Conversation conversation, String ticket) {
    return ticket.isEmpty()
        ? conversation.request(text(vector, "previousRouteId"))
        : conversation.requestWithTicket(ticket);
  }

  /** Has the conversation of before decided, if there is one, and returns the decision's ticket. */
  private static String ticketOfBefore(JsonObject vector) {
    if (!vector.has("ticketOf")) {
      return "";
    }
    Conversation before = Conversation.parse(vector.get("ticketOf").toString(), limits(vector));
    try (RoutingClient client = client(vector)) {
      return client.selectRoute(before.request(""), CallSettings.NONE).getRouteTicket();
    }
  }

  private static SelectRouteRequest request(JsonElement json) throws InvalidProtocolBufferException {
    SelectRouteRequest.Builder request = SelectRouteRequest.newBuilder();
    JsonFormat.parser().merge(json.toString(), request);
    return request.build();
  }

  private static Conversation.Limits limits(JsonObject vector) {
    if (!vector.has("limits")) {
      return Conversation.Limits.DEFAULT;
    }
    JsonObject limits = vector.getAsJsonObject("limits");
    return new Conversation.Limits((int) number(limits, "messages", 0), (int) number(limits, "messageCharacters", 0));
  }

  private static List<ModelTarget> fallback(JsonObject vector) {
    List<ModelTarget> models = new ArrayList<>();
    if (vector.has("fallback")) {
      vector.getAsJsonArray("fallback")
          .forEach(name -> models.add(ModelTarget.newBuilder().setModel(name.getAsString()).build()));
    }
    return models;
  }

  private static String text(JsonObject object, String key) {
    return object.has(key) ? object.get(key).getAsString() : "";
  }

  private static double number(JsonObject object, String key, double otherwise) {
    return object.has(key) ? object.get(key).getAsDouble() : otherwise;
  }

  private static String environment(String name) {
    return System.getenv("CONFORMANCE_" + name);
  }
}
