package io.archrouter.client;

import io.archrouter.v1.Decision;
import io.archrouter.v1.ModelTarget;
import java.util.List;

/** Models to use, and where they come from. */
public sealed interface Selection {
  /** Models to use, best first. */
  List<ModelTarget> models();

  /**
   * The service decided.
   *
   * @param decision what it decided
   */
  record FromService(Decision decision) implements Selection {
    @Override
    public List<ModelTarget> models() {
      return decision.getModelsList();
    }
  }

  /**
   * The service did not answer, and the caller's own models stand in.
   *
   * @param models the caller's models
   * @param cause why there is no decision
   */
  record Fallback(List<ModelTarget> models, ArchRouterException cause) implements Selection {}
}
