// Command rolling asks a service of several replicas for decisions, at a steady rate and with the retries of the client's
// default deadline, until its standard input ends. It prints each failed call, and at the end how many calls there were.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"archrouter.internal/archrouter"
	"archrouter.internal/archrouter/archrouterv1"
)

func main() {
	servers := flag.String("servers", "", "`HOST:PORT,…` of the replicas")
	rate := flag.Float64("rate", 100, "calls a second")
	timeout := flag.Duration("timeout", archrouter.DefaultTimeout, "deadline of a call; a longer one is tried no more often")
	flag.Parse()
	replicas := manual.NewBuilderWithScheme("replicas")
	var state resolver.State
	for address := range strings.SplitSeq(*servers, ",") {
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: address}}})
	}
	replicas.InitialState(state)
	client, err := archrouter.New("replicas:///", archrouter.WithTimeout(*timeout), archrouter.WithDialOptions(
		grpc.WithResolvers(replicas),
		grpc.WithDefaultServiceConfig(archrouter.ServiceConfig(archrouter.DefaultTimeout)),
	))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	var calls sync.WaitGroup
	var count, failed atomic.Int64
	request := &archrouterv1.SelectRouteRequest{
		Messages: []*archrouterv1.Message{{Role: archrouterv1.Role_ROLE_USER, Content: "Fix the crash in this function"}},
	}
	ticks := time.NewTicker(time.Duration(float64(time.Second) / *rate))
	defer ticks.Stop()
	for {
		select {
		case <-ended:
			calls.Wait()
			fmt.Printf("calls %d failed %d\n", count.Load(), failed.Load())
			return
		case <-ticks.C:
		}
		calls.Go(func() {
			count.Add(1)
			began := time.Now()
			_, err := client.SelectRoute(context.Background(), request)
			var failure *archrouter.Error
			if errors.As(err, &failure) {
				failed.Add(1)
				fmt.Printf("%s after %v: %v\n", began.Format("15:04:05.000000"), time.Since(began), failure)
			}
		})
	}
}
