package archrouter

import (
	_ "embed"
	"encoding/json"
	"time"
)

//go:embed service_config.json
var publishedServiceConfig []byte

const jitter = 1.2 // gRPC varies each wait by a fifth

// ServiceConfig is the gRPC service config for connections that the caller makes: round_robin over all addresses, and
// UNAVAILABLE and CANCELLED tried again. It has no attempt that could start only after timeout, so that a call whose retries are used
// up fails for the reason it has and not at its deadline.
func ServiceConfig(timeout time.Duration) string {
	var config struct {
		LoadBalancing json.RawMessage `json:"loadBalancingConfig"`
		Methods       []struct {
			Name  json.RawMessage `json:"name"`
			Retry *retryPolicy    `json:"retryPolicy,omitempty"`
		} `json:"methodConfig"`
	}
	if err := json.Unmarshal(publishedServiceConfig, &config); err != nil {
		panic(err) // a file of this module, read by every test
	}
	for i := range config.Methods {
		policy := config.Methods[i].Retry
		policy.MaxAttempts = policy.attemptsWithin(timeout)
		if policy.MaxAttempts < 2 { // gRPC takes no policy that never retries
			config.Methods[i].Retry = nil
		}
	}
	text, err := json.Marshal(config)
	if err != nil {
		panic(err)
	}
	return string(text)
}

type retryPolicy struct {
	MaxAttempts       int             `json:"maxAttempts"`
	InitialBackoff    string          `json:"initialBackoff"`
	MaxBackoff        string          `json:"maxBackoff"`
	BackoffMultiplier float64         `json:"backoffMultiplier"`
	Codes             json.RawMessage `json:"retryableStatusCodes"`
}

func (p retryPolicy) attemptsWithin(timeout time.Duration) int {
	backoff, longest := mustDuration(p.InitialBackoff), mustDuration(p.MaxBackoff)
	waited := 0.0
	for attempts := 1; attempts < p.MaxAttempts; attempts++ {
		waited += jitter * min(backoff, longest)
		if waited >= timeout.Seconds() {
			return attempts
		}
		backoff *= p.BackoffMultiplier
	}
	return p.MaxAttempts
}

func mustDuration(text string) float64 {
	duration, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return duration.Seconds()
}
