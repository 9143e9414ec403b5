// Command load calls one gRPC method as often as it is told, whatever becomes of the calls (an open loop), or with so
// many calls at a time (a closed one), and writes a line for each call: when it was due, how long after that it ended,
// and with which code. Time counts from when a call was due and not from when it was sent, so that a server that keeps
// the generator waiting looks as slow as it is.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// raw sends and receives messages that are bytes already.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = data
	return nil
}

func (raw) Name() string { return "proto" }

type call struct {
	due, duration time.Duration
	code          string
}

type phase struct {
	rate     float64
	duration time.Duration
}

type load struct {
	connections []*grpc.ClientConn
	method      string
	bodies      [][]byte
	timeout     time.Duration
	start       time.Time
	mutex       sync.Mutex
	calls       []call
}

func main() {
	target := flag.String("target", "127.0.0.1:50051", "`HOST:PORT` of the server")
	method := flag.String("method", "/archrouter.v1.RoutingService/SelectRoute", "`/SERVICE/METHOD`")
	file := flag.String("bodies", "", "`FILE` of encoded requests, each behind its length in four bytes, big-endian; sent in turn")
	plan := flag.String("plan", "", "`RATE:DURATION,…`: calls a second, at random times, and how long; one after the other (open loop)")
	concurrency := flag.Int("concurrency", 0, "calls at a time (closed loop)")
	duration := flag.Duration("for", 10*time.Second, "how long the closed loop begins calls")
	connections := flag.Int("connections", 4, "connections, used in turn")
	timeout := flag.Duration("timeout", 5*time.Second, "deadline of a call")
	flag.Parse()
	bodies, err := read(*file)
	if err != nil {
		log.Fatal(err)
	}
	phases, err := parse(*plan)
	if err != nil {
		log.Fatal(err)
	}
	if (len(phases) > 0) == (*concurrency > 0) {
		log.Fatal("load: give one of -plan and -concurrency")
	}
	l := &load{method: *method, bodies: bodies, timeout: *timeout}
	for range *connections {
		conn, err := grpc.NewClient(*target, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
		if err != nil {
			log.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		conn.Connect()
		l.connections = append(l.connections, conn)
	}
	l.start = time.Now()
	if len(phases) > 0 {
		l.open(phases)
	} else {
		l.closed(*concurrency, *duration)
	}
	out := bufio.NewWriter(os.Stdout)
	for _, one := range l.calls {
		fmt.Fprintf(out, "%.6f,%.6f,%s\n", one.due.Seconds(), one.duration.Seconds(), one.code)
	}
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
}

// open begins calls at the times of a Poisson process, the same for the same plan.
func (l *load) open(phases []phase) {
	var calls sync.WaitGroup
	chance := rand.New(rand.NewPCG(1, 2))
	number, end := 0, time.Duration(0)
	for _, one := range phases {
		next := end
		end += one.duration
		for {
			next += time.Duration(chance.ExpFloat64() / one.rate * float64(time.Second))
			if next >= end {
				break
			}
			time.Sleep(time.Until(l.start.Add(next)))
			due, body := next, number // of this call: the loop goes on before it begins
			calls.Go(func() { l.call(body, due) })
			number++
		}
	}
	calls.Wait()
}

// closed keeps so many calls in flight.
func (l *load) closed(concurrency int, duration time.Duration) {
	var callers sync.WaitGroup
	var next atomic.Int64
	for range concurrency {
		callers.Go(func() {
			for due := time.Since(l.start); due < duration; due = time.Since(l.start) {
				l.call(int(next.Add(1)), due)
			}
		})
	}
	callers.Wait()
}

func (l *load) call(number int, due time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), l.timeout)
	defer cancel()
	var answer []byte
	conn := l.connections[number%len(l.connections)]
	err := conn.Invoke(ctx, l.method, &l.bodies[number%len(l.bodies)], &answer, grpc.ForceCodec(raw{}))
	ended := call{due, time.Since(l.start) - due, status.Code(err).String()}
	l.mutex.Lock()
	l.calls = append(l.calls, ended)
	l.mutex.Unlock()
}

func parse(plan string) ([]phase, error) {
	var phases []phase
	for part := range strings.SplitSeq(plan, ",") {
		if plan == "" {
			break
		}
		rate, duration, _ := strings.Cut(part, ":")
		var one phase
		var err error
		if one.rate, err = strconv.ParseFloat(rate, 64); err != nil || one.rate <= 0 {
			return nil, fmt.Errorf("load: %q is no RATE:DURATION, such as 70:10s", part)
		}
		if one.duration, err = time.ParseDuration(duration); err != nil {
			return nil, fmt.Errorf("load: %q is no RATE:DURATION, such as 70:10s", part)
		}
		phases = append(phases, one)
	}
	return phases, nil
}

func read(name string) ([][]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var bodies [][]byte
	for reader := bufio.NewReader(file); ; {
		var size uint32
		if err := binary.Read(reader, binary.BigEndian, &size); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(reader, body); err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	if len(bodies) == 0 {
		return nil, fmt.Errorf("load: %s holds no request", name)
	}
	return bodies, nil
}
