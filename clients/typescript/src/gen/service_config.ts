// Generated from clients/service_config.json. DO NOT EDIT.
export const publishedServiceConfig = {
  "loadBalancingConfig": [{"round_robin": {}}],
  "methodConfig": [
    {
      "name": [{"service": "archrouter.v1.RoutingService"}],
      "retryPolicy": {
        "maxAttempts": 5,
        "initialBackoff": "0.1s",
        "maxBackoff": "1.55s",
        "backoffMultiplier": 7,
        "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"]
      }
    }
  ]
};
