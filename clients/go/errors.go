package archrouter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"archrouter.internal/archrouter/archrouterv1"
)

const (
	errorDomain   = "archrouter"
	decisionIDKey = "archrouter-decision-id"
)

// Error is a call that failed.
type Error struct {
	// Code is the gRPC status code.
	Code codes.Code
	// Message is for people; its wording may change.
	Message string
	// Reason is the name of the archrouterv1.ErrorReason; empty when the failure is not the service's own word, e.g.
	// because nothing listens at the target or the request is too large for the transport.
	Reason string
	// Metadata is what the service says beside the reason.
	Metadata map[string]string
	// RetryAfter is how long to wait before the next call; 0 when the service advises nothing.
	RetryAfter time.Duration
	// DecisionID finds the call in the service's log; empty when the service did not answer.
	DecisionID string

	cause     error
	cancelled bool // by the caller
}

// Error says code, reason and message.
func (e *Error) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("archrouter: %v: %s", e.Code, e.Message)
	}
	return fmt.Sprintf("archrouter: %v (%s): %s", e.Code, e.Reason, e.Message)
}

// Unwrap returns gRPC's error, with details that Error does not know.
func (e *Error) Unwrap() error { return e.cause }

// FailsOpen says whether the service is at fault, so that the caller's own models are the better answer. A request that
// is too large for the transport and an overloaded server have one code; only the latter comes with a reason. A server
// that stops may cancel a call, as the caller may.
func (e *Error) FailsOpen() bool {
	switch e.Code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Internal, codes.Unknown, codes.DataLoss, codes.Aborted:
		return true
	case codes.Canceled:
		return !e.cancelled
	case codes.ResourceExhausted:
		return e.Reason == archrouterv1.ErrorReason_ERROR_REASON_OVERLOADED.String()
	default:
		return false
	}
}

func newError(ctx context.Context, cause error, trailer metadata.MD) *Error {
	s := status.Convert(cause)
	e := &Error{Code: s.Code(), Message: s.Message(), cause: cause, cancelled: errors.Is(ctx.Err(), context.Canceled)}
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == errorDomain {
				e.Reason, e.Metadata = d.GetReason(), d.GetMetadata()
			}
		case *errdetails.RetryInfo:
			e.RetryAfter = d.GetRetryDelay().AsDuration()
		}
	}
	if ids := trailer.Get(decisionIDKey); len(ids) > 0 {
		e.DecisionID = ids[0]
	}
	return e
}
