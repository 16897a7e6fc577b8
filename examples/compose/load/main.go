// Command load sends the example requests at a stated rate that rises and falls:
//
//	go run ./load -steps 30:20s,180:30s,10:30s
//
// It is open-loop, as users are: it does not slow down when the service does.
// It aims at this machine only, and ends by itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	highest = 1000             // requests/s
	longest = 10 * time.Minute // of all steps together
	waiting = 1000             // requests under way at once
)

func main() {
	log.SetFlags(0)
	target := flag.String("url", "http://127.0.0.1:8000/", "an address of this machine")
	steps := flag.String("steps", "30:20s,180:30s,10:30s", "requests per second and how long, step after step")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *target, *steps); err != nil {
		log.Fatal("load: ", err)
	}
}

type step struct {
	rate float64 // requests/s
	long time.Duration
}

func parse(text string) ([]step, error) {
	var steps []step
	var sum time.Duration
	for part := range strings.SplitSeq(text, ",") {
		rate, long, _ := strings.Cut(part, ":")
		r, err := strconv.ParseFloat(rate, 64)
		if err != nil || !(r > 0 && r <= highest) {
			return nil, fmt.Errorf("step %q: want requests per second, above 0 and at most %d", part, highest)
		}
		d, err := time.ParseDuration(long)
		if err != nil || d <= 0 {
			return nil, fmt.Errorf("step %q: want a time behind the colon, such as 30s", part)
		}
		if sum += d; sum > longest {
			return nil, fmt.Errorf("the steps last longer than %v", longest)
		}
		steps = append(steps, step{r, d})
	}
	return steps, nil
}

func run(ctx context.Context, target, text string) error {
	steps, err := parse(text)
	if err != nil {
		return err
	}
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && !ip.IsLoopback() {
		return fmt.Errorf("%s is not an address of this machine: want 127.0.0.1 or localhost", u.Host)
	}
	s := sender{
		url:    u.String(),
		places: make(chan struct{}, waiting),
		client: &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: waiting}},
	}
	for _, step := range steps {
		log.Printf("load: %g requests/s for %v", step.rate, step.long)
		s.send(ctx, step)
	}
	s.group.Wait()
	log.Printf("load: %d answered, %d refused (503), %d failed", s.answered.Load(), s.refused.Load(), s.failed.Load())
	if s.failed.Load() > 0 {
		return errors.New("requests failed")
	}
	return nil
}

type sender struct {
	url                       string
	client                    *http.Client
	places                    chan struct{}
	group                     sync.WaitGroup
	answered, refused, failed atomic.Int64
	first                     sync.Once // the first failure is shown
}

func (s *sender) fail(why any) {
	s.failed.Add(1)
	s.first.Do(func() { log.Printf("load: first failure, at %s: %v", time.Now().Format(time.TimeOnly), why) })
}

// send starts the requests of one step, each at its own instant. Those that a
// busy machine made late follow at once: the rate stays as stated.
func (s *sender) send(ctx context.Context, step step) {
	apart := time.Duration(float64(time.Second) / step.rate)
	start := time.Now()
	for at := time.Duration(0); at < step.long; at += apart {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(start.Add(at))):
		}
		select {
		case s.places <- struct{}{}:
			s.group.Go(s.one)
		default:
			s.fail("too many requests wait already")
		}
	}
}

func (s *sender) one() {
	defer func() { <-s.places }()
	resp, err := s.client.Get(s.url)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	switch {
	case err != nil:
		s.fail(err)
	case resp.StatusCode == http.StatusOK:
		s.answered.Add(1)
	case resp.StatusCode == http.StatusServiceUnavailable:
		s.refused.Add(1)
	default:
		s.fail(resp.Status)
	}
}
