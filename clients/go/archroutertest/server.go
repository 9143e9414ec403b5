// Package archroutertest has a routing service for the tests of callers: in process, without a network.
package archroutertest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"archrouter.internal/archrouter"
	"archrouter.internal/archrouter/archrouterv1"
)

// DecisionID is that of every call of a [Server].
const DecisionID = "0192d5c0-7f2e-7c4b-9a51-3f0b6d1e8a77"

// Answer is how a [Server] answers one SelectRoute.
type Answer func(*archrouterv1.SelectRouteRequest) (*archrouterv1.Decision, error)

// Server is a routing service that answers as it is told: UNIMPLEMENTED until [Server.Answer] is called.
type Server struct {
	archrouterv1.UnimplementedRoutingServiceServer
	listener *bufconn.Listener
	mutex    sync.Mutex
	answer   Answer
	requests []*archrouterv1.SelectRouteRequest
}

// Start runs a server until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{listener: bufconn.Listen(1 << 20)}
	server := grpc.NewServer()
	archrouterv1.RegisterRoutingServiceServer(server, s)
	go func() { _ = server.Serve(s.listener) }() // ends with Stop
	t.Cleanup(server.Stop)
	return s
}

// Client returns a client of the server, which lives as long as the test.
func (s *Server) Client(t testing.TB, opts ...archrouter.Option) *archrouter.Client {
	t.Helper()
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return s.listener.DialContext(ctx) }
	opts = append(opts, archrouter.WithDialOptions(
		grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()),
	))
	client, err := archrouter.New("passthrough:///localhost", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// Answer sets how the server answers from now on.
func (s *Server) Answer(answer Answer) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.answer = answer
}

// Requests returns the SelectRoute requests so far.
func (s *Server) Requests() []*archrouterv1.SelectRouteRequest {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return append([]*archrouterv1.SelectRouteRequest(nil), s.requests...)
}

// SelectRoute implements the service.
func (s *Server) SelectRoute(
	ctx context.Context, request *archrouterv1.SelectRouteRequest,
) (*archrouterv1.SelectRouteResponse, error) {
	s.mutex.Lock()
	s.requests = append(s.requests, proto.CloneOf(request))
	answer := s.answer
	s.mutex.Unlock()
	if err := grpc.SetTrailer(ctx, metadata.Pairs("archrouter-decision-id", DecisionID)); err != nil {
		return nil, err
	}
	if answer == nil {
		return nil, status.Error(codes.Unimplemented, "archroutertest: Server.Answer was not called")
	}
	decision, err := answer(request)
	if err != nil {
		return nil, err
	}
	return &archrouterv1.SelectRouteResponse{Decision: decision, CorrelationId: request.GetCorrelationId()}, nil
}

// Decide answers with a route and its models, best first.
func Decide(routeID string, models ...string) Answer {
	return func(*archrouterv1.SelectRouteRequest) (*archrouterv1.Decision, error) {
		return &archrouterv1.Decision{
			DecisionId: DecisionID,
			Outcome:    archrouterv1.Outcome_OUTCOME_MATCHED,
			RouteId:    routeID,
			Models:     archrouter.Models(models...),
			Confidence: 1,
			Tier:       archrouterv1.Tier_TIER_COMPACT,
			Usage:      &archrouterv1.Usage{},
		}, nil
	}
}

// Fail answers with a failure of the service. ERROR_REASON_UNSPECIFIED leaves the reason out, as a failure of the
// transport does; a retryAfter of 0 gives no advice.
func Fail(code codes.Code, reason archrouterv1.ErrorReason, retryAfter time.Duration) Answer {
	return func(*archrouterv1.SelectRouteRequest) (*archrouterv1.Decision, error) {
		failure := status.New(code, "told to fail")
		var details []protoadapt.MessageV1
		if reason != archrouterv1.ErrorReason_ERROR_REASON_UNSPECIFIED {
			details = append(details, &errdetails.ErrorInfo{Reason: reason.String(), Domain: "archrouter"})
		}
		if retryAfter > 0 {
			details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(retryAfter)})
		}
		detailed, err := failure.WithDetails(details...)
		if err != nil {
			return nil, err
		}
		return nil, detailed.Err()
	}
}
