// Command extproc is an external processor of Envoy (ext_proc): it reads OpenAI-style chat requests, asks ArchRouter which
// models should answer, writes the first one's name into the body and into a header, and lets Envoy route by that header.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"archrouter.internal/archrouter"
	"archrouter.internal/archrouter/archrouterv1"
)

const (
	// modelHeader tells Envoy's routes which model was chosen; modelsHeader lists all of them, best first.
	modelHeader  = "archrouter-model"
	modelsHeader = "archrouter-models"
	// routeHeader comes back with an agent's next turn, which so keeps its route in tool loops.
	routeHeader  = "archrouter-route"
	sourceHeader = "archrouter-source"
)

type processor struct {
	extprocv3.UnimplementedExternalProcessorServer
	router   *archrouter.Client
	fallback []*archrouterv1.ModelTarget
}

func main() {
	listen := flag.String("listen", "127.0.0.1:50052", "address to serve ext_proc on")
	target := flag.String("router", "127.0.0.1:50051", "HOST:PORT of ArchRouter")
	fallback := flag.String("fallback", "openai/gpt-4.1", "models while ArchRouter is away, best first, with commas")
	flag.Parse()
	router, err := archrouter.New(*target)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	models := archrouter.Models(strings.Split(*fallback, ",")...)
	extprocv3.RegisterExternalProcessorServer(server, &processor{router: router, fallback: models})
	log.Fatal(server.Serve(listener))
}

// exchange is what one HTTP request and its answer share.
type exchange struct {
	headers http.Header
	result  archrouter.Result
}

// Process answers the messages of one HTTP request: its headers, its body, and the headers of its answer.
func (p *processor) Process(stream extprocv3.ExternalProcessor_ProcessServer) error {
	var now exchange
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) || status.Code(err) == codes.Canceled {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(p.answer(stream.Context(), &now, message)); err != nil {
			return err
		}
	}
}

func (p *processor) answer(
	ctx context.Context, now *exchange, message *extprocv3.ProcessingRequest,
) *extprocv3.ProcessingResponse {
	switch part := message.GetRequest().(type) {
	case *extprocv3.ProcessingRequest_RequestHeaders:
		now.headers = headersOf(part.RequestHeaders)
		return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestHeaders{
			RequestHeaders: &extprocv3.HeadersResponse{Response: &extprocv3.CommonResponse{
				HeaderMutation: set(modelHeader, "", modelsHeader, ""), // which only this program may set
			}},
		}}
	case *extprocv3.ProcessingRequest_RequestBody:
		return p.route(ctx, now, part.RequestBody.GetBody())
	case *extprocv3.ProcessingRequest_ResponseHeaders:
		return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseHeaders{
			ResponseHeaders: &extprocv3.HeadersResponse{Response: &extprocv3.CommonResponse{
				HeaderMutation: set(routeHeader, now.result.Decision.GetRouteId(), sourceHeader, string(now.result.Source)),
			}},
		}}
	default: // Envoy sends only what its configuration asks for
		return &extprocv3.ProcessingResponse{}
	}
}

// route asks about the conversation in the body. A body that holds none is refused, as the models' API would.
func (p *processor) route(ctx context.Context, now *exchange, body []byte) *extprocv3.ProcessingResponse {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(body, &fields); err != nil {
		return refuse(typev3.StatusCode_BadRequest, err)
	}
	conversation, err := archrouter.ParseConversation(fields["messages"], archrouter.Limits{})
	if err != nil {
		return refuse(typev3.StatusCode_BadRequest, err)
	}
	ctx = archrouter.ContextWithTrace(ctx, now.headers)
	now.result, err = p.router.SelectModels(ctx, conversation.Request(now.headers.Get(routeHeader)), p.fallback)
	if err != nil {
		return refuse(statusOf(err), err)
	}
	if now.result.Cause != nil {
		log.Printf("failed open: %v", now.result.Cause)
	}
	rewritten, err := rewrite(fields, now.result.Models[0])
	if err != nil {
		return refuse(typev3.StatusCode_InternalServerError, err)
	}
	names := make([]string, len(now.result.Models))
	for i, model := range now.result.Models {
		names[i] = model.GetModel()
	}
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestBody{
		RequestBody: &extprocv3.BodyResponse{Response: &extprocv3.CommonResponse{
			HeaderMutation: set(
				modelHeader, names[0], modelsHeader, strings.Join(names, ","), "content-length", strconv.Itoa(len(rewritten)),
			),
			BodyMutation:    &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_Body{Body: rewritten}},
			ClearRouteCache: true, // so that Envoy chooses the cluster by modelHeader
		}},
	}}
}

// rewrite names the model; what the caller asks for stands above the policy's parameters.
func rewrite(fields map[string]json.RawMessage, model *archrouterv1.ModelTarget) ([]byte, error) {
	body := archrouter.Parameters(model)
	if body == nil {
		body = map[string]any{}
	}
	for name, value := range fields {
		body[name] = value
	}
	body["model"] = model.GetModel()
	return json.Marshal(body)
}

func headersOf(message *extprocv3.HttpHeaders) http.Header {
	headers := http.Header{}
	for _, header := range message.GetHeaders().GetHeaders() {
		value := header.GetValue()
		if len(header.GetRawValue()) > 0 {
			value = string(header.GetRawValue())
		}
		headers.Add(header.GetKey(), value)
	}
	return headers
}

// set overwrites headers, given as names and values in turns; an empty value removes the header.
func set(namesAndValues ...string) *extprocv3.HeaderMutation {
	mutation := &extprocv3.HeaderMutation{}
	for i := 0; i < len(namesAndValues); i += 2 {
		name, value := namesAndValues[i], namesAndValues[i+1]
		if value == "" {
			mutation.RemoveHeaders = append(mutation.RemoveHeaders, name)
			continue
		}
		mutation.SetHeaders = append(mutation.SetHeaders, &corev3.HeaderValueOption{
			Header:       &corev3.HeaderValue{Key: name, RawValue: []byte(value)},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		})
	}
	return mutation
}

func refuse(code typev3.StatusCode, err error) *extprocv3.ProcessingResponse {
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ImmediateResponse{
		ImmediateResponse: &extprocv3.ImmediateResponse{
			Status: &typev3.HttpStatus{Code: code}, Body: []byte(err.Error() + "\n"),
		},
	}}
}

// statusOf tells a bad request from a gateway that is set up wrong.
func statusOf(err error) typev3.StatusCode {
	var failure *archrouter.Error
	if errors.As(err, &failure) && failure.Code == codes.InvalidArgument {
		return typev3.StatusCode_BadRequest
	}
	return typev3.StatusCode_InternalServerError
}
