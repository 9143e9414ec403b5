// Command conformance runs the vectors of clients/conformance, which run.py beside them explains.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"archrouter.internal/archrouter"
	"archrouter.internal/archrouter/archrouterv1"
)

type vector struct {
	Name              string
	Call              string
	Server            string
	Target            string
	Token             string
	Traceparent       string
	Tracestate        string
	TimeoutS          float64
	Request           json.RawMessage
	Chat              json.RawMessage
	PreviousRouteID   string
	RouteTicket       string
	TicketOf          json.RawMessage
	Limits            archrouter.Limits
	PaddingCharacters int
	Fallback          []string
	TLS               []string
	Script            json.RawMessage
	Expect            expectation
}

// expectation lists what has to hold; what is nil or 0 is not looked at.
type expectation struct {
	Error                                      string
	Request                                    json.RawMessage
	SkippedParts, CutMessages, DroppedMessages int
	Source, Code                               string
	Reason, DecisionID, RouteID, Parameters    *string
	Models                                     []string
	Metadata                                   map[string]string
	Kept                                       *bool
	FailOpens                                  *uint64
	RetryAfterS, AfterS, WithinS               float64
}

const triesOfTimedVectors = 3 // another process may take the processor for longer than a vector allows

func main() {
	files, err := filepath.Glob(filepath.Join(os.Getenv("CONFORMANCE_VECTORS"), "*.json"))
	if err != nil || len(files) == 0 {
		log.Fatal("CONFORMANCE_VECTORS names no folder of vectors")
	}
	for _, file := range files {
		var vectors []vector
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &vectors)
		}
		if err != nil {
			log.Fatalf("%s: %v", file, err)
		}
		for _, v := range vectors {
			report(v.Name, v.try())
		}
	}
}

func report(name string, failure error) {
	line := map[string]string{"name": name, "why": ""}
	if failure != nil {
		line["why"] = failure.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		log.Fatal(err)
	}
}

func (v vector) try() error {
	err := v.run()
	for try := 1; err != nil && v.Expect.WithinS > 0 && try < triesOfTimedVectors; try++ {
		err = v.run()
	}
	return err
}

func (v vector) run() error {
	if v.Expect.Error != "" {
		return v.expectError()
	}
	if v.Call == "" {
		return v.compareConversation()
	}
	request, err := v.request()
	if err != nil {
		return err
	}
	client, err := v.client()
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	header := http.Header{}
	header.Set("traceparent", v.Traceparent)
	header.Set("tracestate", v.Tracestate)
	ctx := archrouter.ContextWithTrace(context.Background(), header)
	start := time.Now()
	result, err := v.ask(ctx, client, request)
	return v.compare(result, err, time.Since(start).Seconds(), client.FailOpens())
}

func (v vector) expectError() error {
	var err error
	if v.Chat != nil {
		_, err = archrouter.ParseConversation(v.Chat, v.Limits)
	} else {
		_, err = v.client()
	}
	if err == nil || !strings.Contains(err.Error(), v.Expect.Error) {
		return fmt.Errorf("the error is %v", err)
	}
	return nil
}

func (v vector) compareConversation() error {
	conversation, err := archrouter.ParseConversation(v.Chat, v.Limits)
	if err != nil {
		return err
	}
	expected := &archrouterv1.SelectRouteRequest{}
	if err := protojson.Unmarshal(v.Expect.Request, expected); err != nil {
		return err
	}
	request := v.after(conversation, v.RouteTicket)
	if !proto.Equal(expected, request) {
		return fmt.Errorf("the request is %v", request)
	}
	counts := [3]int{conversation.SkippedParts, conversation.CutMessages, conversation.DroppedMessages}
	if counts != [3]int{v.Expect.SkippedParts, v.Expect.CutMessages, v.Expect.DroppedMessages} {
		return fmt.Errorf("skipped, cut and dropped are %v", counts)
	}
	return nil
}

func (v vector) client() (*archrouter.Client, error) {
	servers := map[string]string{
		"embedded": os.Getenv("CONFORMANCE_EMBEDDED"),
		"scripted": os.Getenv("CONFORMANCE_SCRIPTED"),
		"dead":     os.Getenv("CONFORMANCE_DEAD"),
		"tls":      os.Getenv("CONFORMANCE_TLS"),
		"mutual":   os.Getenv("CONFORMANCE_MUTUAL"),
		"":         v.Target,
	}
	var opts []archrouter.Option
	if v.TimeoutS > 0 {
		opts = append(opts, archrouter.WithTimeout(seconds(v.TimeoutS)))
	}
	if v.Token != "" {
		opts = append(opts, archrouter.WithToken(v.Token))
	}
	if v.TLS != nil {
		config, err := v.tlsConfig()
		if err != nil {
			return nil, err
		}
		opts = append(opts, archrouter.WithTLS(config))
	}
	return archrouter.New(servers[v.Server], opts...)
}

func (v vector) tlsConfig() (*tls.Config, error) {
	file := func(name string) string { return filepath.Join(os.Getenv("CONFORMANCE_CERTIFICATES"), name+".pem") }
	config := &tls.Config{}
	if slices.Contains(v.TLS, "authority") {
		authority, err := os.ReadFile(file("authority"))
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(authority)
	}
	if slices.Contains(v.TLS, "certificate") {
		pair, err := tls.LoadX509KeyPair(file("certificate"), file("key"))
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func (v vector) request() (*archrouterv1.SelectRouteRequest, error) {
	padding := strings.Repeat("x ", v.PaddingCharacters/2)
	if v.Chat != nil {
		chat := v.Chat
		if padding != "" {
			chat = fmt.Appendf(nil, `[{"role": "user", "content": %q}]`, padding)
		}
		conversation, err := archrouter.ParseConversation(chat, v.Limits)
		if err != nil {
			return nil, err
		}
		ticket, err := v.ticket()
		return v.after(conversation, ticket), err
	}
	request := &archrouterv1.SelectRouteRequest{}
	if err := protojson.Unmarshal(v.Request, request); err != nil {
		return nil, err
	}
	if padding != "" {
		message := &archrouterv1.Message{Role: archrouterv1.Role_ROLE_USER, Content: padding}
		request.Messages = append(request.Messages, message)
	}
	if v.Script != nil {
		request.CorrelationId = v.Name
	}
	return request, nil
}

// after asks about a conversation that goes on after a decision.
func (v vector) after(conversation *archrouter.Conversation, ticket string) *archrouterv1.SelectRouteRequest {
	if ticket != "" {
		return conversation.RequestWithTicket(ticket)
	}
	return conversation.Request(v.PreviousRouteID)
}

// ticket has the conversation of before decided, if there is one, and returns the decision's ticket.
func (v vector) ticket() (string, error) {
	if v.TicketOf == nil {
		return "", nil
	}
	before, err := archrouter.ParseConversation(v.TicketOf, v.Limits)
	if err != nil {
		return "", err
	}
	client, err := v.client()
	if err != nil {
		return "", err
	}
	defer func() { _ = client.Close() }()
	decision, err := client.SelectRoute(context.Background(), before.Request(""))
	return decision.GetRouteTicket(), err
}

func (v vector) ask(
	ctx context.Context, client *archrouter.Client, request *archrouterv1.SelectRouteRequest,
) (archrouter.Result, error) {
	if v.Call == "selectModels" {
		return client.SelectModels(ctx, request, archrouter.Models(v.Fallback...))
	}
	decision, err := client.SelectRoute(ctx, request)
	return archrouter.Result{
		Models: decision.GetModels(), Source: archrouter.SourceService, Decision: decision,
	}, err
}

func (v vector) compare(result archrouter.Result, err error, elapsed float64, failOpens uint64) error {
	expected := v.Expect
	source, failure := string(result.Source), result.Cause
	if err != nil {
		source = "error"
		if !errors.As(err, &failure) {
			return fmt.Errorf("the error has no type: %w", err)
		}
	}
	checks := []error{
		equal("source", expected.Source, source),
		optional("route", expected.RouteID, result.Decision.GetRouteId()),
		optional("kept", expected.Kept, result.Decision.GetKept()),
		optional("fail-opens", expected.FailOpens, failOpens),
	}
	if failure == nil {
		failure = &archrouter.Error{}
	} else {
		checks = append(checks, equal("code", expected.Code, codeName(failure)))
	}
	checks = append(checks,
		optional("reason", expected.Reason, failure.Reason),
		optional("decision id", expected.DecisionID, failure.DecisionID),
	)
	if expected.Metadata != nil && !maps.Equal(expected.Metadata, subset(failure.Metadata, expected.Metadata)) {
		checks = append(checks, fmt.Errorf("metadata is %v", failure.Metadata))
	}
	if expected.RetryAfterS > 0 {
		checks = append(checks, equal("retry after", seconds(expected.RetryAfterS), failure.RetryAfter))
	}
	if names := modelNames(result); expected.Models != nil && !slices.Equal(expected.Models, names) {
		checks = append(checks, fmt.Errorf("models are %v", names))
	}
	if expected.Parameters != nil {
		text, err := json.Marshal(archrouter.Parameters(result.Models[0]))
		checks = append(checks, err, equal("parameters", *expected.Parameters, string(text)))
	}
	if elapsed < expected.AfterS || expected.WithinS > 0 && elapsed > expected.WithinS {
		checks = append(checks, fmt.Errorf("took %.3f s", elapsed))
	}
	if err := errors.Join(checks...); err != nil {
		return fmt.Errorf("%w (%v)", err, failure)
	}
	return nil
}

func equal[T comparable](what string, expected, actual T) error {
	if expected != actual {
		return fmt.Errorf("%s is %v, not %v", what, actual, expected)
	}
	return nil
}

func optional[T comparable](what string, expected *T, actual T) error {
	if expected == nil || reflect.DeepEqual(*expected, actual) {
		return nil
	}
	return fmt.Errorf("%s is %v, not %v", what, actual, *expected)
}

func subset(metadata, keys map[string]string) map[string]string {
	found := map[string]string{}
	for key := range keys {
		if value, ok := metadata[key]; ok {
			found[key] = value
		}
	}
	return found
}

// codeName spells a code as the protocol does: DEADLINE_EXCEEDED, where Go prints DeadlineExceeded.
func codeName(failure *archrouter.Error) string {
	name := regexp.MustCompile("([a-z])([A-Z])").ReplaceAllString(failure.Code.String(), "${1}_$2")
	return strings.Replace(strings.ToUpper(name), "CANCELED", "CANCELLED", 1)
}

func modelNames(result archrouter.Result) []string {
	names := []string{}
	for _, target := range result.Models {
		names = append(names, target.GetModel())
	}
	return names
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
