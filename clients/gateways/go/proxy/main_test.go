package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"archrouter.internal/archrouter"
	"archrouter.internal/archrouter/archroutertest"
	"archrouter.internal/archrouter/archrouterv1"
)

// upstream answers with the name of the model it was asked for, and fails for models that are down.
type upstream struct {
	down  []string
	asked []string
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct{ Model string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	u.asked = append(u.asked, body.Model)
	if slices.Contains(u.down, body.Model) {
		http.Error(w, "busy", http.StatusTooManyRequests)
		return
	}
	_, _ = fmt.Fprint(w, body.Model)
}

func start(t *testing.T, router *archroutertest.Server, u *upstream) string {
	models := httptest.NewServer(u)
	t.Cleanup(models.Close)
	front := httptest.NewServer(&gateway{
		router.Client(t), models.URL, archrouter.Models("own/default"), models.Client(),
	})
	t.Cleanup(front.Close)
	return front.URL
}

func post(t *testing.T, url, route, messages string) (status int, answer, nextRoute string) {
	t.Helper()
	body := fmt.Sprintf(`{"model": "auto", "messages": %s}`, messages)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set(routeHeader, route)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(text)), response.Header.Get(routeHeader)
}

// An agent's conversation of six turns goes to the expected models: tool results keep the route, new text may change it.
func TestAgentConversation(t *testing.T) {
	router := archroutertest.Start(t)
	router.Answer(func(request *archrouterv1.SelectRouteRequest) (*archrouterv1.Decision, error) {
		route := "chat"
		switch options := request.GetOptions(); {
		case options.GetTurnKind() != archrouterv1.TurnKind_TURN_KIND_USER && options.GetPreviousRouteId() != "":
			route = options.GetPreviousRouteId()
		case strings.Contains(request.GetMessages()[len(request.GetMessages())-1].GetContent(), "fix"):
			route = "code"
		}
		return archroutertest.Decide(route, "m/"+route)(request)
	})
	url := start(t, router, &upstream{})
	turns := []struct{ message, model string }{
		{`{"role": "user", "content": "hello"}`, "m/chat"},
		{`{"role": "user", "content": "fix my build"}`, "m/code"},
		{`{"role": "tool", "tool_call_id": "1", "content": "exit status 1"}`, "m/code"},
		{`{"role": "tool", "tool_call_id": "2", "content": "exit status 0"}`, "m/code"},
		{`{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}`, "m/code"},
		{`{"role": "user", "content": "thanks"}`, "m/chat"},
	}

	var messages []string
	route := ""
	for i, turn := range turns {
		messages = append(messages, turn.message)
		var model string
		_, model, route = post(t, url, route, "["+strings.Join(messages, ",")+"]")
		if model != turn.model {
			t.Errorf("turn %d went to %s, not %s", i, model, turn.model)
		}
		messages = append(messages, `{"role": "assistant", "content": null, "tool_calls": []}`)
	}
}

// A model that is overloaded is passed over; when all are, the last one's answer is the caller's.
func TestWalksDownTheModels(t *testing.T) {
	router := archroutertest.Start(t)
	router.Answer(archroutertest.Decide("chat", "m/first", "m/second"))
	models := &upstream{down: []string{"m/first"}}
	url := start(t, router, models)

	status, model, _ := post(t, url, "", `[{"role": "user", "content": "hello"}]`)
	if status != http.StatusOK || model != "m/second" {
		t.Errorf("%d %s", status, model)
	}

	models.down = append(models.down, "m/second")
	if status, answer, _ := post(t, url, "", `[{"role": "user", "content": "hello"}]`); status != http.StatusTooManyRequests {
		t.Errorf("%d %s", status, answer)
	}
}

// While the router is at fault, the gateway's own models answer.
func TestFailsOpen(t *testing.T) {
	router := archroutertest.Start(t)
	router.Answer(archroutertest.Fail(codes.ResourceExhausted, archrouterv1.ErrorReason_ERROR_REASON_OVERLOADED, time.Second))
	url := start(t, router, &upstream{})

	if _, model, _ := post(t, url, "", `[{"role": "user", "content": "hello"}]`); model != "own/default" {
		t.Error(model)
	}
}

// A conversation that cannot be read is the caller's fault, and no model is asked.
func TestRefusesWhatItCannotRead(t *testing.T) {
	models := &upstream{}
	url := start(t, archroutertest.Start(t), models)

	status, answer, _ := post(t, url, "", `[{"role": "robot", "content": "beep"}]`)
	if status != http.StatusBadRequest || !strings.Contains(answer, "messages[0].role") || len(models.asked) > 0 {
		t.Errorf("%d %s %v", status, answer, models.asked)
	}
}
