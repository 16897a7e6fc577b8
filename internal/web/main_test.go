package web

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/store"
)

// Streams and servers leave no goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ Daemon = (*control.Daemon)(nil)

// known is a Daemon of snapshots that a test says.
type known struct {
	shots []control.Snapshot
	block chan struct{} // where set, snapshots come once it is closed

	mu     sync.Mutex
	name   string
	paused *autoscale.Pause
	pause  func(ctx context.Context) error
	calls  int
}

func (k *known) Snapshots() []control.Snapshot {
	if k.block != nil {
		<-k.block
	}
	return k.shots
}

func (k *known) Pause(ctx context.Context, name string, p *autoscale.Pause) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls++
	k.name, k.paused = name, p
	if k.pause != nil {
		return k.pause(ctx)
	}
	return nil
}

// remembered is a History that a test says; asked is what it was asked for.
type remembered struct {
	points  []Point
	records []store.Record
	events  []Event
	err     error
	asked   string
}

func (h *remembered) Points(service string, from, to time.Time, step time.Duration) ([]Point, error) {
	h.asked = fmt.Sprint(service, " ", span(from, to), " ", step)
	return h.points, h.err
}

func (h *remembered) Records(service string, from, to time.Time, limit int, changes bool) iter.Seq2[store.Record, error] {
	h.asked = fmt.Sprint(service, " ", span(from, to), " ", limit, " ", changes)
	return func(yield func(store.Record, error) bool) {
		for _, r := range h.records {
			if !yield(r, nil) {
				return
			}
		}
		if h.err != nil {
			yield(store.Record{}, h.err)
		}
	}
}

func (h *remembered) Events(service string, since time.Time, limit int) ([]Event, error) {
	h.asked = fmt.Sprintf("%q %s %d", service, since.UTC().Format(time.RFC3339), limit)
	return h.events, h.err
}

func span(from, to time.Time) string {
	return from.UTC().Format(time.RFC3339) + " " + to.UTC().Format(time.RFC3339)
}

// sound is a service that is as it should be, at now.
func sound(name string, now time.Time) control.Snapshot {
	return control.Snapshot{
		Service: control.Service{Name: name, Provider: "compose", Target: "app", Interval: 15 * time.Second},
		Since:   now.Add(-time.Hour), Ran: now.Add(-5 * time.Second), Took: 250 * time.Millisecond, Succeeded: now.Add(-5 * time.Second),
		Replicas: 3, Steps: 240, Failed: 2, Doubtful: 1, Raised: 4, Lowered: 3,
		Reasons: map[autoscale.Reason]uint64{autoscale.DesiredWithinRange: 230, autoscale.LoadAboveTarget: 4, autoscale.LoadBelowTarget: 3},
		Read:    now.Add(-5 * time.Second), Stepped: control.Spent{Count: 240, Took: time.Minute},
		Reading: control.Spent{Count: 238, Took: 30 * time.Second}, Moving: control.Spent{Count: 7, Took: 20 * time.Second},
		Last: control.Step{
			Project: "shop", Policy: autoscale.Policy{Min: 1, Max: 8, Target: 40, Tolerance: 0.1, Cooldown: 2 * time.Minute, Mode: autoscale.Auto},
			Report: control.Report{
				Replicas: []autoscale.Replica{
					{ID: "a", Name: "app-1", Started: now.Add(-time.Hour), Health: autoscale.Healthy, Usage: autoscale.Usage{Time: now.Add(-5 * time.Second), CPU: 90 * time.Second, Memory: 50 << 20}},
					{ID: "b", Name: "app-2", Started: now.Add(-time.Hour), Health: autoscale.Healthy},
				},
				Decision: autoscale.Decision{
					At: now.Add(-5 * time.Second), From: 3, To: 3, Want: 3, Load: 110, Verdict: autoscale.OK, Reason: autoscale.DesiredWithinRange,
					Steps: []autoscale.Step{{Stage: autoscale.StageJudge, To: 3, Reason: autoscale.ReadingTrusted, Detail: "110 rps"}},
				},
				Reading: autoscale.Reading{Metric: "http_requests_per_second", Kind: autoscale.Gauge, Scope: autoscale.ScopeService, Samples: []autoscale.Sample{
					{Process: "page", Name: "page", Time: now.Add(-5 * time.Second), Value: 110, Verdict: autoscale.OK},
				}},
			},
		},
	}
}

// fresh is a service that has not made a step, at now.
func fresh(name string, now time.Time) control.Snapshot {
	return control.Snapshot{Service: control.Service{Name: name, Provider: "compose", Target: "app", Interval: 15 * time.Second}, Since: now.Add(-time.Second)}
}

// failing is a service whose engine does not answer, at now.
func failing(name string, now time.Time) control.Snapshot {
	s := sound(name, now)
	s.Succeeded = now.Add(-20 * time.Minute)
	s.Last = control.Step{Err: errors.New("docker ps: no answer"), Policy: s.Last.Policy, Project: "shop"}
	return s
}

// doubtful is a service whose metrics page does not answer, and which a person
// holds, at now.
func doubtful(name string, now time.Time) control.Snapshot {
	s := sound(name, now)
	s.Last.Report.Decision.Verdict, s.Last.Report.Decision.Load = autoscale.Unreachable, 0
	s.Read, s.Succeeded = now.Add(-90*time.Second), now.Add(-90*time.Second)
	s.Last.Pause = &autoscale.Pause{Replicas: 3, Since: now.Add(-time.Minute), Until: now.Add(time.Hour), By: "deploy@web1", Reason: "migration"}
	return s
}

const secret = "correct horse battery staple"

// served is a Server that answers without a network.
func served(t *testing.T, d Daemon, h History) *Server {
	t.Helper()
	s, err := New(Config{Listen: "127.0.0.1:9292", Token: secret, Version: "1.2.3", Host: "web1"}, d, h)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends a request with the headers given as "Name: value".
func ask(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1:9292"+target, strings.NewReader(body))
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		if name == "Host" {
			r.Host = value
		} else {
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// bearer shows the token.
const bearer = "Authorization: Bearer " + secret

// many are so many sound services, in the order of their names.
func many(n int, now time.Time) *known {
	k := &known{}
	for i := range n {
		k.shots = append(k.shots, sound(fmt.Sprintf("service-%04d", i), now))
	}
	return k
}
