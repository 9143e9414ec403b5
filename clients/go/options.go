package archrouter

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
)

// DefaultTimeout is the deadline of a call whose client was given none.
const DefaultTimeout = 300 * time.Millisecond

// reconnect is how often a replica that is away is looked for: gRPC's own waits grow to two minutes, in which one that
// is back gets no call.
var reconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
	MinConnectTimeout: 20 * time.Second, // gRPC's own
}

type options struct {
	timeout        time.Duration
	tls            *tls.Config
	token          string
	plaintextToken bool
	dial           []grpc.DialOption
}

// Option changes how a client calls.
type Option func(*options) error

// WithTimeout sets the deadline of each call, retries included; an earlier deadline of the context stands.
func WithTimeout(timeout time.Duration) Option {
	return func(o *options) error {
		if timeout <= 0 {
			return fmt.Errorf("archrouter: the timeout is %v; it must be above 0", timeout)
		}
		o.timeout = timeout
		return nil
	}
}

// WithTLS secures the connection; an empty config trusts the system's certificates.
func WithTLS(config *tls.Config) Option {
	return func(o *options) error {
		if config == nil {
			return errors.New("archrouter: WithTLS needs a config; &tls.Config{} trusts the system's certificates")
		}
		o.tls = config
		return nil
	}
}

// WithToken sends a bearer token with each call. Without TLS, [New] refuses a target that is not this host.
func WithToken(token string) Option {
	return func(o *options) error {
		o.token = token
		return nil
	}
}

// WithPlaintextToken lets the token leave this host without TLS, e.g. because a sidecar encrypts.
func WithPlaintextToken() Option {
	return func(o *options) error {
		o.plaintextToken = true
		return nil
	}
}

// WithDialOptions passes options on to gRPC, after the client's own.
func WithDialOptions(dial ...grpc.DialOption) Option {
	return func(o *options) error {
		o.dial = append(o.dial, dial...)
		return nil
	}
}

func newOptions(opts []Option) (options, error) {
	o := options{timeout: DefaultTimeout}
	for _, opt := range opts {
		if err := opt(&o); err != nil {
			return options{}, err
		}
	}
	return o, nil
}

func (o options) dialOptions(target string) ([]grpc.DialOption, error) {
	security := plaintext
	if o.tls != nil {
		security = grpc.WithTransportCredentials(credentials.NewTLS(o.tls))
	}
	dial := []grpc.DialOption{
		security, grpc.WithDefaultServiceConfig(ServiceConfig(o.timeout)), grpc.WithConnectParams(reconnect),
	}
	if o.token != "" {
		if o.tls == nil && !o.plaintextToken && !isLocal(target) {
			return nil, fmt.Errorf("archrouter: the token would travel to %s in plaintext; use WithTLS, "+
				"or WithPlaintextToken where the network encrypts", target)
		}
		dial = append(dial, grpc.WithPerRPCCredentials(bearer(o.token)))
	}
	return append(dial, o.dial...), nil
}

// bearer is checked against plaintext once, in dialOptions.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return false }

func isLocal(target string) bool {
	if strings.HasPrefix(target, "unix:") || strings.HasPrefix(target, "unix-abstract:") {
		return true
	}
	for _, scheme := range []string{"dns:///", "passthrough:///", "ipv4:", "ipv6:", "dns:"} {
		target = strings.TrimPrefix(target, scheme)
	}
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		host = strings.Trim(target, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
