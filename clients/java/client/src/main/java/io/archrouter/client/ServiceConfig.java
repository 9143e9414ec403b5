package io.archrouter.client;

import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The gRPC service config that all clients of the service share. */
public final class ServiceConfig {
  private static final double JITTER = 1.2; // gRPC varies each wait by a fifth

  private ServiceConfig() {}

  /**
   * The config for {@code ManagedChannelBuilder.defaultServiceConfig}: round_robin over all addresses, and UNAVAILABLE
   * and CANCELLED tried again. It has no attempt that could start only after the deadline, so that a call whose retries
   * are used up fails for the reason it has and not at its deadline.
   *
   * @param timeout deadline of the calls
   */
  public static Map<String, Object> within(Duration timeout) {
    Map<String, Object> config = new LinkedHashMap<>(published());
    List<Map<String, Object>> methods = new ArrayList<>();
    for (Object method : (List<?>) config.get("methodConfig")) {
      Map<String, Object> fitted = copy((Map<?, ?>) method);
      Map<String, Object> retry = copy((Map<?, ?>) fitted.remove("retryPolicy"));
      double attempts = attemptsWithin(timeout.toNanos() / 1e9, retry);
      if (attempts > 1) { // gRPC takes no policy that never retries
        retry.put("maxAttempts", attempts);
        fitted.put("retryPolicy", retry);
      }
      methods.add(fitted);
    }
    config.put("methodConfig", methods);
    return config;
  }

  private static double attemptsWithin(double timeoutS, Map<String, Object> policy) {
    double most = (Double) policy.get("maxAttempts");
    double backoffS = seconds(policy.get("initialBackoff"));
    double waitedS = 0;
    for (int attempts = 1; attempts < most; attempts++) {
      waitedS += JITTER * Math.min(backoffS, seconds(policy.get("maxBackoff")));
      if (waitedS >= timeoutS) {
        return attempts;
      }
      backoffS *= (Double) policy.get("backoffMultiplier");
    }
    return most;
  }

  private static double seconds(Object text) {
    return Double.parseDouble(((String) text).replaceFirst("s$", ""));
  }

  private static Map<String, Object> published() {
    try (InputStream stream = ServiceConfig.class.getResourceAsStream("service_config.json");
        Reader reader = new InputStreamReader(stream, StandardCharsets.UTF_8)) {
      return new Gson().fromJson(reader, new TypeToken<Map<String, Object>>() {}.getType());
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
  }

  private static Map<String, Object> copy(Map<?, ?> map) {
    Map<String, Object> copy = new LinkedHashMap<>();
    map.forEach((key, value) -> copy.put((String) key, value));
    return copy;
  }
}
