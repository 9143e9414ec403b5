package archrouter_test

import (
	"context"
	"fmt"
	"log"

	"archrouter.internal/archrouter"
)

func ExampleClient_SelectModels() {
	client, err := archrouter.New("127.0.0.1:50051")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	chat := []byte(`[{"role": "user", "content": "my import job dies, what's wrong?"}]`)
	conversation, err := archrouter.ParseConversation(chat, archrouter.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	result, err := client.SelectModels(context.Background(), conversation.Request(""), archrouter.Models("openai/gpt-4.1"))
	if err != nil {
		log.Fatal(err) // the request, or the token, is at fault
	}
	fmt.Println(result.Source, result.Models[0].GetModel(), archrouter.Parameters(result.Models[0]))
}
