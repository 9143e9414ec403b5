package archrouter_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"archrouter.internal/archrouter"
	"archrouter.internal/archrouter/archroutertest"
	"archrouter.internal/archrouter/archrouterv1"
)

func hello() *archrouterv1.SelectRouteRequest {
	return &archrouterv1.SelectRouteRequest{
		Messages: []*archrouterv1.Message{{Role: archrouterv1.Role_ROLE_USER, Content: "hello"}},
	}
}

// A decision of the service is the result, and the request arrives as it was sent.
func TestSelectModelsReturnsTheDecision(t *testing.T) {
	server := archroutertest.Start(t)
	server.Answer(archroutertest.Decide("chat", "m/chat", "m/second"))

	result, err := server.Client(t).SelectModels(t.Context(), hello(), archrouter.Models("own/default"))
	if err != nil {
		t.Fatal(err)
	}

	if result.Source != archrouter.SourceService || result.Models[0].GetModel() != "m/chat" || result.Cause != nil {
		t.Errorf("result: %+v", result)
	}
	if requests := server.Requests(); len(requests) != 1 || requests[0].GetMessages()[0].GetContent() != "hello" {
		t.Errorf("requests: %v", requests)
	}
}

// While the service is at fault the fallback is the result, with the cause; each such call is counted.
func TestSelectModelsFailsOpenAndCounts(t *testing.T) {
	server := archroutertest.Start(t)
	overloaded := archrouterv1.ErrorReason_ERROR_REASON_OVERLOADED
	server.Answer(archroutertest.Fail(codes.ResourceExhausted, overloaded, 500*time.Millisecond))
	client := server.Client(t)

	result, err := client.SelectModels(t.Context(), hello(), archrouter.Models("own/default"))
	if err != nil {
		t.Fatal(err)
	}

	if result.Source != archrouter.SourceFallback || result.Models[0].GetModel() != "own/default" {
		t.Errorf("result: %+v", result)
	}
	if result.Cause.RetryAfter != 500*time.Millisecond || result.Cause.DecisionID != archroutertest.DecisionID {
		t.Errorf("cause: %+v", result.Cause)
	}
	if client.FailOpens() != 1 {
		t.Errorf("fail-opens: %d", client.FailOpens())
	}
}

// An error is found with errors.As, keeps gRPC's own, and says code and reason.
func TestErrorIsTyped(t *testing.T) {
	server := archroutertest.Start(t)
	server.Answer(archroutertest.Fail(codes.NotFound, archrouterv1.ErrorReason_ERROR_REASON_POLICY_SET_NOT_FOUND, 0))

	_, err := server.Client(t).SelectRoute(t.Context(), hello())

	var failure *archrouter.Error
	if !errors.As(err, &failure) || failure.Reason != "ERROR_REASON_POLICY_SET_NOT_FOUND" {
		t.Fatalf("error: %v", err)
	}
	if status.Code(errors.Unwrap(err)) != codes.NotFound || !strings.Contains(err.Error(), failure.Reason) {
		t.Errorf("error: %v", err)
	}
}

// The caller's own cancellation is no fault of the service.
func TestCancellationIsRaised(t *testing.T) {
	server := archroutertest.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	_, err := server.Client(t).SelectModels(ctx, hello(), archrouter.Models("own/default"))

	var failure *archrouter.Error
	if !errors.As(err, &failure) || failure.Code != codes.Canceled {
		t.Errorf("error: %v", err)
	}
}

// A request that cannot be sent is the caller's to mend, although gRPC calls it INTERNAL.
func TestMalformedTextIsRaised(t *testing.T) {
	server := archroutertest.Start(t)
	request := hello()
	request.Messages[0].Content = "\xff"

	_, err := server.Client(t).SelectModels(t.Context(), request, archrouter.Models("own/default"))

	if err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("error: %v", err)
	}
}

// What no call could keep is refused when the client is made, each with the remedy.
func TestNewRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		target string
		option archrouter.Option
		word   string
	}{
		"no deadline":       {"router:50051", archrouter.WithTimeout(0), "above 0"},
		"no TLS config":     {"router:50051", archrouter.WithTLS(nil), "tls.Config"},
		"token in the open": {"dns:///router:50051", archrouter.WithToken("secret"), "WithTLS"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := archrouter.New(test.target, test.option)
			if err == nil || !strings.Contains(err.Error(), test.word) || strings.Contains(err.Error(), "secret") {
				t.Errorf("error: %v", err)
			}
		})
	}
}

// A token may travel over TLS, on this host, and where the caller says that the network encrypts.
func TestNewTakesTokens(t *testing.T) {
	for name, test := range map[string]struct {
		target string
		option archrouter.Option
	}{
		"TLS":         {"router:50051", archrouter.WithTLS(&tls.Config{})},
		"localhost":   {"localhost:50051", archrouter.WithTimeout(time.Second)},
		"IPv6":        {"dns:///[::1]:50051", archrouter.WithTimeout(time.Second)},
		"Unix socket": {"unix:/run/router.sock", archrouter.WithTimeout(time.Second)},
		"sidecar":     {"router:50051", archrouter.WithPlaintextToken()},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := archrouter.New(test.target, archrouter.WithToken("secret"), test.option)
			if err != nil {
				t.Fatal(err)
			}
			if err := client.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// The config retries as often as fits between a call's start and its deadline.
func TestServiceConfigFitsTheDeadline(t *testing.T) {
	for timeout, expected := range map[time.Duration]int{
		100 * time.Millisecond:    0,
		archrouter.DefaultTimeout: 2,
		time.Second:               3,
		3 * time.Second:           4,
		5 * time.Second:           5,
	} {
		var config struct {
			MethodConfig []struct{ RetryPolicy struct{ MaxAttempts int } }
		}
		if err := json.Unmarshal([]byte(archrouter.ServiceConfig(timeout)), &config); err != nil {
			t.Fatal(err)
		}
		if attempts := config.MethodConfig[0].RetryPolicy.MaxAttempts; attempts != expected {
			t.Errorf("%v: %d attempts, not %d", timeout, attempts, expected)
		}
	}
}
