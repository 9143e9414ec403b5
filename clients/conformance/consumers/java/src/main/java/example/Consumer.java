package example;

import io.archrouter.client.CallSettings;
import io.archrouter.client.Conversation;
import io.archrouter.client.Parameters;
import io.archrouter.client.RoutingClient;
import io.archrouter.client.Selection;
import io.archrouter.v1.ModelTarget;
import java.time.Duration;
import java.util.List;

/** Asks for one decision: all that a Java caller needs. */
public final class Consumer {
  private static final String CHAT =
      "[{\"role\": \"user\", \"content\": \"my flask app returns 500, here is the traceback: KeyError user\"}]";

  public static void main(String[] arguments) {
    try (RoutingClient client = RoutingClient.builder(arguments[0]).timeout(Duration.ofSeconds(5)).build()) {
      List<ModelTarget> fallback = List.of(ModelTarget.newBuilder().setModel("openai/gpt-4.1").build());
      Selection selection = client.selectModels(Conversation.parse(CHAT).request(""), fallback, CallSettings.NONE);
      ModelTarget model = selection.models().get(0);
      String source = selection instanceof Selection.FromService ? "service" : "fallback";
      System.out.println(source + " " + model.getModel() + " " + Parameters.parametersAsMap(model));
    }
  }
}
