package archrouter

import (
	"encoding/json"
	"fmt"
	"strings"

	"archrouter.internal/archrouter/archrouterv1"
)

// Limits of a conversation: `limits.max_messages` and `limits.max_message_characters` of the server. Zero values stand
// for the server's defaults.
type Limits struct {
	// Messages at most, 256 by default.
	Messages int
	// MessageCharacters of one message at most, 100,000 by default.
	MessageCharacters int
}

const (
	defaultMaxMessages          = 256
	defaultMaxMessageCharacters = 100_000
)

// Conversation is what the service reads of an OpenAI-style chat.
type Conversation struct {
	// Messages, oldest first, within the limits.
	Messages []*archrouterv1.Message
	// TurnKind is what made the caller ask: a user's new text, a tool's result, or nothing that can be read.
	TurnKind archrouterv1.TurnKind
	// SkippedParts counts content parts that are no text, e.g. images.
	SkippedParts int
	// CutMessages counts messages that lost their middle to Limits.
	CutMessages int
	// DroppedMessages counts the oldest messages, lost to Limits.
	DroppedMessages int
}

// ParseConversation reads the JSON list `messages` of an OpenAI-style chat request. The text of content parts is kept and
// other parts are counted; null content, e.g. beside tool calls, is empty text; developer counts as system and function
// as tool. A user's message without any text, e.g. an image, is left out, and such a turn keeps the previous route.
// A message that is too long loses its middle, a conversation that is too long its oldest messages, but never the latest
// text of the user. An unknown role or a content of another type is an error that names the field.
func ParseConversation(messages []byte, limits Limits) (*Conversation, error) {
	var chat []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	}
	if err := json.Unmarshal(messages, &chat); err != nil {
		return nil, fmt.Errorf("archrouter: messages: %w", err)
	}
	limits = limits.orDefault()
	conversation := &Conversation{TurnKind: archrouterv1.TurnKind_TURN_KIND_USER}
	for i, message := range chat {
		role, ok := roles[message.Role]
		if !ok {
			return nil, fmt.Errorf("archrouter: messages[%d].role is %q; it must be user, assistant, system, "+
				"developer, tool or function", i, message.Role)
		}
		text, skipped, err := textOf(message.Content)
		if err != nil {
			return nil, fmt.Errorf("archrouter: messages[%d].content: %w", i, err)
		}
		conversation.SkippedParts += skipped
		conversation.TurnKind = turnKind(role, text, skipped)
		if role == archrouterv1.Role_ROLE_USER && skipped > 0 && strings.TrimSpace(text) == "" {
			continue
		}
		text, cut := limits.cut(text)
		if cut {
			conversation.CutMessages++
		}
		conversation.Messages = append(conversation.Messages, &archrouterv1.Message{Role: role, Content: text})
	}
	conversation.drop(limits.Messages)
	return conversation, nil
}

// Request asks about the conversation. previousRouteID is the route of its decision before this one, empty when there is
// none: tool results, and turns that hold no text, keep it.
func (c *Conversation) Request(previousRouteID string) *archrouterv1.SelectRouteRequest {
	return &archrouterv1.SelectRouteRequest{
		Messages: c.Messages,
		Options:  &archrouterv1.RoutingOptions{PreviousRouteId: previousRouteID, TurnKind: c.TurnKind},
	}
}

// RequestWithTicket asks about the conversation. routeTicket is that of its decision before this one, empty when there is
// none; it takes the place of the route and holds over reloads and replicas.
func (c *Conversation) RequestWithTicket(routeTicket string) *archrouterv1.SelectRouteRequest {
	request := c.Request("")
	request.Options.RouteTicket = routeTicket
	return request
}

var roles = map[string]archrouterv1.Role{
	"user":      archrouterv1.Role_ROLE_USER,
	"assistant": archrouterv1.Role_ROLE_ASSISTANT,
	"system":    archrouterv1.Role_ROLE_SYSTEM,
	"developer": archrouterv1.Role_ROLE_SYSTEM,
	"tool":      archrouterv1.Role_ROLE_TOOL,
	"function":  archrouterv1.Role_ROLE_TOOL,
}

func turnKind(role archrouterv1.Role, text string, skipped int) archrouterv1.TurnKind {
	switch {
	case role == archrouterv1.Role_ROLE_TOOL:
		return archrouterv1.TurnKind_TURN_KIND_TOOL_RESULT
	case role == archrouterv1.Role_ROLE_USER && skipped > 0 && strings.TrimSpace(text) == "":
		return archrouterv1.TurnKind_TURN_KIND_RETRY // nothing new can be read: the server keeps the route
	default:
		return archrouterv1.TurnKind_TURN_KIND_USER
	}
}

func textOf(content json.RawMessage) (text string, skipped int, err error) {
	if len(content) == 0 || string(content) == "null" {
		return "", 0, nil
	}
	if content[0] != '[' {
		if err := json.Unmarshal(content, &text); err != nil {
			return "", 0, fmt.Errorf("it must be text, a list of parts or null")
		}
		return text, 0, nil
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(content, &parts); err != nil {
		return "", 0, fmt.Errorf("it must be text, a list of parts or null")
	}
	var texts []string
	for _, part := range parts {
		if part.Type == "text" {
			texts = append(texts, part.Text)
		} else {
			skipped++
		}
	}
	return strings.Join(texts, "\n"), skipped, nil
}

func (l Limits) orDefault() Limits {
	if l.Messages <= 0 {
		l.Messages = defaultMaxMessages
	}
	if l.MessageCharacters <= 0 {
		l.MessageCharacters = defaultMaxMessageCharacters
	}
	return l
}

func (l Limits) cut(text string) (string, bool) {
	if len(text) <= l.MessageCharacters { // bytes are never fewer than characters
		return text, false
	}
	characters := []rune(text)
	if len(characters) <= l.MessageCharacters {
		return text, false
	}
	tail := l.MessageCharacters / 2
	head := l.MessageCharacters - tail
	return string(characters[:head]) + string(characters[len(characters)-tail:]), true
}

func (c *Conversation) drop(maximum int) {
	surplus := len(c.Messages) - maximum
	if surplus <= 0 {
		return
	}
	latest := -1
	for i, message := range c.Messages {
		if message.GetRole() == archrouterv1.Role_ROLE_USER && strings.TrimSpace(message.GetContent()) != "" {
			latest = i
		}
	}
	kept := c.Messages[surplus:]
	if latest >= 0 && latest < surplus {
		kept = append([]*archrouterv1.Message{c.Messages[latest]}, kept[1:]...)
	}
	c.Messages, c.DroppedMessages = kept, surplus
}
