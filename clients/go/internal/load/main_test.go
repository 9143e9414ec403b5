package main

import (
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// A server that answers one call at a time, each after a while.
func slowServer(t *testing.T, each time.Duration) *grpc.ClientConn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	turn := make(chan struct{}, 1)
	server := grpc.NewServer(grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		var body []byte
		if err := stream.RecvMsg(&body); err != nil {
			return err
		}
		turn <- struct{}{}
		time.Sleep(each)
		<-turn
		return stream.SendMsg(&body)
	}))
	go func() { _ = server.Serve(listener) }() // ends with Stop
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// In an open loop calls begin when they are due, however slow the server is, and its queue is in what they took.
func TestOpenLoopCountsTheTimeThatCallsWait(t *testing.T) {
	l := &load{
		connections: []*grpc.ClientConn{slowServer(t, 20*time.Millisecond)}, method: "/a/b", bodies: [][]byte{{1}},
		timeout: 10 * time.Second, start: time.Now(),
	}

	l.open([]phase{{rate: 100, duration: 500 * time.Millisecond}, {rate: 1, duration: 10 * time.Millisecond}})

	var longest time.Duration
	for _, one := range l.calls {
		if one.duration < 0 || one.code != "OK" {
			t.Errorf("a call took %v and ended with %s", one.duration, one.code)
		}
		longest = max(longest, one.duration)
	}
	if len(l.calls) < 30 || longest < 200*time.Millisecond {
		t.Errorf("%d calls, of which the slowest took %v", len(l.calls), longest)
	}
}

// In a closed loop so many calls are in flight and no more.
func TestClosedLoopKeepsSoManyInFlight(t *testing.T) {
	l := &load{
		connections: []*grpc.ClientConn{slowServer(t, 5*time.Millisecond)}, method: "/a/b", bodies: [][]byte{{1}, {2}},
		timeout: 10 * time.Second, start: time.Now(),
	}
	var most int

	l.closed(3, 200*time.Millisecond)

	for _, one := range l.calls {
		in := 0
		for _, other := range l.calls {
			if other.due <= one.due && other.due+other.duration > one.due {
				in++
			}
		}
		most = max(most, in)
	}
	if most > 3 || len(l.calls) < 10 {
		t.Errorf("%d calls, at most %d at a time", len(l.calls), most)
	}
}

func TestPlanThatCannotBeReadIsTold(t *testing.T) {
	for _, plan := range []string{"70", "fast:1s", "70:long", "0:1s", "70:1s,"} {
		if _, err := parse(plan); err == nil {
			t.Errorf("%q was taken", plan)
		}
	}
	if phases, err := parse("70:1s,140.5:2s"); err != nil || len(phases) != 2 || phases[1].rate != 140.5 {
		t.Errorf("%v, %v", phases, err)
	}
}
