// Command consumer asks for one decision: all that a Go caller needs.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"archrouter.internal/archrouter"
)

func main() {
	client, err := archrouter.New(os.Args[1], archrouter.WithTimeout(5*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	chat := []byte(`[{"role": "user", "content": "my flask app returns 500, here is the traceback: KeyError user"}]`)
	conversation, err := archrouter.ParseConversation(chat, archrouter.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	fallback := archrouter.Models("openai/gpt-4.1")
	result, err := client.SelectModels(context.Background(), conversation.Request(""), fallback)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Source, result.Models[0].GetModel(), archrouter.Parameters(result.Models[0]))
}
