import { publishedServiceConfig } from "./gen/service_config.js";

const JITTER = 1.2; // gRPC varies each wait by a fifth

/**
 * The gRPC service config, JSON: round_robin over all addresses, and UNAVAILABLE and CANCELLED tried again. It has no
 * attempt that could start only after the deadline, so that a call whose retries are used up fails for the reason it has
 * and not at its deadline.
 *
 * @param timeoutMs - Deadline of the calls.
 */
export function serviceConfig(timeoutMs: number): string {
  const methodConfig = publishedServiceConfig.methodConfig.map(({ name, retryPolicy }) => {
    const maxAttempts = attemptsWithin(timeoutMs / 1000, retryPolicy);
    // gRPC takes no policy that never retries.
    return maxAttempts < 2 ? { name } : { name, retryPolicy: { ...retryPolicy, maxAttempts } };
  });
  return JSON.stringify({ ...publishedServiceConfig, methodConfig });
}

type RetryPolicy = (typeof publishedServiceConfig.methodConfig)[number]["retryPolicy"];

function attemptsWithin(timeoutS: number, policy: RetryPolicy): number {
  let backoffS = Number.parseFloat(policy.initialBackoff);
  let waitedS = 0;
  for (let attempts = 1; attempts < policy.maxAttempts; attempts++) {
    waitedS += JITTER * Math.min(backoffS, Number.parseFloat(policy.maxBackoff));
    if (waitedS >= timeoutS) {
      return attempts;
    }
    backoffS *= policy.backoffMultiplier;
  }
  return policy.maxAttempts;
}
