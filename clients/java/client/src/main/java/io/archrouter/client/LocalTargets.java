package io.archrouter.client;

import java.util.regex.Pattern;

/** Targets whose traffic does not leave this host. */
final class LocalTargets {
  private static final Pattern LOCAL =
      Pattern.compile(
          "unix(-abstract)?:.*"
              + "|(dns:/{0,3}|passthrough:/{0,3}|ipv[46]:)?"
              + "(localhost|127(\\.\\d{1,3}){3}|\\[::1\\])(:\\d+)?");

  private LocalTargets() {}

  static boolean contains(String target) {
    return LOCAL.matcher(target).matches();
  }
}
