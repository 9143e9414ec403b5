package archrouter

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"archrouter.internal/archrouter/archrouterv1"
)

// Client calls the routing service. It is safe for concurrent use.
type Client struct {
	stub      archrouterv1.RoutingServiceClient
	conn      *grpc.ClientConn // nil when the connection is the caller's
	options   options
	failOpens atomic.Uint64
}

// New makes a client of the service at target, "host:port" or any other gRPC name such as "dns:///router:50051".
// It connects with the first call, in plaintext unless [WithTLS] is given.
func New(target string, opts ...Option) (*Client, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	dial, err := o.dialOptions(target)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(target, dial...)
	if err != nil {
		return nil, err
	}
	return &Client{stub: archrouterv1.NewRoutingServiceClient(conn), conn: conn, options: o}, nil
}

// FromConn makes a client over a connection that the caller made and closes. Only [WithTimeout] applies: security,
// token and retries belong to the connection, see [ServiceConfig].
func FromConn(conn grpc.ClientConnInterface, opts ...Option) (*Client, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	if o.tls != nil || o.token != "" || o.dial != nil {
		return nil, errors.New("archrouter: FromConn takes WithTimeout only; the rest belongs to the connection")
	}
	return &Client{stub: archrouterv1.NewRoutingServiceClient(conn), options: o}, nil
}

// Close closes the connection that [New] made; calls in flight fail.
func (c *Client) Close() error {
	if c.conn == nil {
		return nil
	}
	return c.conn.Close()
}

// SelectRoute returns the decision on one conversation, or an [*Error].
func (c *Client) SelectRoute(
	ctx context.Context, request *archrouterv1.SelectRouteRequest, opts ...grpc.CallOption,
) (*archrouterv1.Decision, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.timeout)
	defer cancel()
	var trailer metadata.MD
	response, err := c.stub.SelectRoute(ctx, request, append(opts, grpc.Trailer(&trailer))...)
	if err != nil {
		return nil, newError(ctx, err, trailer)
	}
	return response.GetDecision(), nil
}

// BatchSelectRoutes returns one result for each request, in order; a result is a response or an error of its own.
func (c *Client) BatchSelectRoutes(
	ctx context.Context, requests []*archrouterv1.SelectRouteRequest, opts ...grpc.CallOption,
) ([]*archrouterv1.SelectRouteResult, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.timeout)
	defer cancel()
	var trailer metadata.MD
	batch := &archrouterv1.BatchSelectRoutesRequest{Requests: requests}
	response, err := c.stub.BatchSelectRoutes(ctx, batch, append(opts, grpc.Trailer(&trailer))...)
	if err != nil {
		return nil, newError(ctx, err, trailer)
	}
	return response.GetResults(), nil
}

// ServerInfo returns what the server is and what it accepts.
func (c *Client) ServerInfo(ctx context.Context, opts ...grpc.CallOption) (*archrouterv1.GetServerInfoResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.timeout)
	defer cancel()
	var trailer metadata.MD
	request := &archrouterv1.GetServerInfoRequest{}
	response, err := c.stub.GetServerInfo(ctx, request, append(opts, grpc.Trailer(&trailer))...)
	if err != nil {
		return nil, newError(ctx, err, trailer)
	}
	return response, nil
}

// Source says where the models of a [Result] come from.
type Source string

const (
	// SourceService means that the service decided.
	SourceService Source = "service"
	// SourceFallback means that the service did not answer and the caller's own models stand in.
	SourceFallback Source = "fallback"
)

// Result is the answer of [Client.SelectModels].
type Result struct {
	// Models to use, best first.
	Models []*archrouterv1.ModelTarget
	// Source of the models.
	Source Source
	// Decision behind the models; nil for SourceFallback.
	Decision *archrouterv1.Decision
	// Cause why there is no decision; nil for SourceService.
	Cause *Error
}

// SelectModels returns the models that should answer one conversation, or fallback when the service is at fault: it is
// away, overloaded, too slow or broken. What the caller has to mend, e.g. a bad request or a token, is an [*Error],
// because a fallback would hide it for good.
func (c *Client) SelectModels(
	ctx context.Context,
	request *archrouterv1.SelectRouteRequest,
	fallback []*archrouterv1.ModelTarget,
	opts ...grpc.CallOption,
) (Result, error) {
	decision, err := c.SelectRoute(ctx, request, opts...)
	if err == nil {
		return Result{Models: decision.GetModels(), Source: SourceService, Decision: decision}, nil
	}
	var failure *Error
	if !errors.As(err, &failure) || !failure.FailsOpen() {
		return Result{}, err
	}
	if _, malformed := proto.Marshal(request); malformed != nil {
		return Result{}, err // e.g. text that is not UTF-8: gRPC reports it as INTERNAL
	}
	c.failOpens.Add(1)
	return Result{Models: fallback, Source: SourceFallback, Cause: failure}, nil
}

// FailOpens counts the calls of [Client.SelectModels] that returned the fallback.
func (c *Client) FailOpens() uint64 { return c.failOpens.Load() }

// ContextWithTrace passes the W3C trace context of an incoming HTTP request on to the service. A connection that
// OpenTelemetry instruments needs no such help.
func ContextWithTrace(ctx context.Context, header http.Header) context.Context {
	for _, name := range []string{"traceparent", "tracestate"} {
		if value := header.Get(name); value != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, name, value)
		}
	}
	return ctx
}

// Models names models without parameters, best first, e.g. for a fallback.
func Models(names ...string) []*archrouterv1.ModelTarget {
	targets := make([]*archrouterv1.ModelTarget, len(names))
	for i, name := range names {
		targets[i] = &archrouterv1.ModelTarget{Model: name}
	}
	return targets
}

var plaintext = grpc.WithTransportCredentials(insecure.NewCredentials())
