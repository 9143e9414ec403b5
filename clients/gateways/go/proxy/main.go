// Command gateway takes OpenAI-style chat requests, asks ArchRouter which models should answer, and forwards each to an
// upstream, walking down the models while they are overloaded or broken.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"archrouter.internal/archrouter"
	"archrouter.internal/archrouter/archrouterv1"
)

const (
	// routeHeader is in each answer; an agent sends it back with its next turn, and so keeps its route in tool loops.
	routeHeader  = "Archrouter-Route"
	sourceHeader = "Archrouter-Source"
	maxBodyBytes = 8 << 20
)

type gateway struct {
	router   *archrouter.Client
	upstream string // base URL of an OpenAI-style API
	fallback []*archrouterv1.ModelTarget
	client   *http.Client
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address to serve on")
	target := flag.String("router", "127.0.0.1:50051", "HOST:PORT of ArchRouter")
	upstream := flag.String("upstream", "", "base URL of the models' API")
	fallback := flag.String("fallback", "openai/gpt-4.1", "models while ArchRouter is away, best first, with commas")
	flag.Parse()
	router, err := archrouter.New(*target)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Addr: *listen,
		Handler: &gateway{
			router, *upstream, archrouter.Models(strings.Split(*fallback, ",")...), http.DefaultClient,
		},
		ReadHeaderTimeout: 10 * time.Second,
	}
	log.Fatal(server.ListenAndServe())
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := map[string]json.RawMessage{}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBodyBytes)).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	conversation, err := archrouter.ParseConversation(body["messages"], archrouter.Limits{})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx := archrouter.ContextWithTrace(r.Context(), r.Header)
	result, err := g.router.SelectModels(ctx, conversation.Request(r.Header.Get(routeHeader)), g.fallback)
	if err != nil {
		http.Error(w, err.Error(), statusOf(err))
		return
	}
	w.Header().Set(routeHeader, result.Decision.GetRouteId())
	w.Header().Set(sourceHeader, string(result.Source))
	if result.Cause != nil {
		log.Printf("failed open: %v", result.Cause)
	}
	g.forward(w, r, body, result.Models)
}

// forward sends the request to the first model that takes it; the last one's answer is passed on whatever it is.
func (g *gateway) forward(
	w http.ResponseWriter, r *http.Request, body map[string]json.RawMessage, models []*archrouterv1.ModelTarget,
) {
	for i, model := range models {
		response, err := g.send(r, body, model)
		if err == nil && (!isTheModels(response.StatusCode) || i == len(models)-1) {
			defer func() { _ = response.Body.Close() }()
			relay(w, response)
			return
		}
		if err == nil {
			_ = response.Body.Close()
		}
		log.Printf("%s does not answer, taking the next model", model.GetModel())
	}
	http.Error(w, "no model answers", http.StatusBadGateway)
}

func (g *gateway) send(
	r *http.Request, body map[string]json.RawMessage, model *archrouterv1.ModelTarget,
) (*http.Response, error) {
	rewritten := map[string]any{"model": model.GetModel()}
	for name, value := range archrouter.Parameters(model) {
		rewritten[name] = value
	}
	for name, value := range body { // what the caller asks for stands above the policy's parameters
		if name != "model" {
			rewritten[name] = value
		}
	}
	text, err := json.Marshal(rewritten)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(r.Context(), r.Method, g.upstream+r.URL.Path, strings.NewReader(string(text)))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", r.Header.Get("Authorization"))
	return g.client.Do(request)
}

func isTheModels(status int) bool { return status == http.StatusTooManyRequests || status >= 500 }

// relay passes an answer on as it comes, so that streams stream.
func relay(w http.ResponseWriter, response *http.Response) {
	w.Header().Set("Content-Type", response.Header.Get("Content-Type"))
	w.WriteHeader(response.StatusCode)
	flusher := http.NewResponseController(w)
	chunk := make([]byte, 32<<10)
	for {
		n, err := response.Body.Read(chunk)
		if _, broken := w.Write(chunk[:n]); broken != nil || err != nil {
			if err != nil && !errors.Is(err, io.EOF) {
				log.Printf("the answer broke off: %v", err)
			}
			return
		}
		_ = flusher.Flush() // of no use where the server buffers, which is no failure
	}
}

// statusOf tells a bad request from a gateway that is set up wrong.
func statusOf(err error) int {
	var failure *archrouter.Error
	if errors.As(err, &failure) && failure.Code == codes.InvalidArgument {
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}
