// Command idle holds a connection without calls, pings it every 10 s, the least that gRPC for Go allows, and fails when
// the server ends it: gRPC's own servers do after three such pings.
package main

import (
	"context"
	"flag"
	"log"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"archrouter.internal/archrouter"
)

func main() {
	server := flag.String("server", "127.0.0.1:50051", "`HOST:PORT` of the service")
	idle := flag.Duration("for", 2*time.Minute, "how long to say nothing")
	flag.Parse()
	conn, err := grpc.NewClient(*server,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithIdleTimeout(0), // gRPC would let go of it by itself
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, PermitWithoutStream: true}),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := ask(conn); err != nil {
		log.Fatalf("the first call: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), *idle)
	defer cancel()
	if conn.WaitForStateChange(ctx, connectivity.Ready) {
		log.Fatalf("the connection was ended, it is %v", conn.GetState())
	}
	if err := ask(conn); err != nil {
		log.Fatalf("the call after %v: %v", *idle, err)
	}
}

func ask(conn *grpc.ClientConn) error {
	client, err := archrouter.FromConn(conn, archrouter.WithTimeout(5*time.Second))
	if err != nil {
		return err
	}
	_, err = client.ServerInfo(context.Background())
	return err
}
