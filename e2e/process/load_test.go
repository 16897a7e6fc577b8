//go:build e2e && linux

package process

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// load sends requests when they are due, whatever the service does.
type load struct {
	t      *testing.T
	client *http.Client
	method func(n int) (method, body string)
	url    string

	stop chan struct{}
	wg   sync.WaitGroup

	mu     sync.Mutex
	rate   float64         // requests/s
	took   []time.Duration // less what the app itself says it took
	failed []string
	seen   map[string]time.Time // when each process first answered
}

// newLoad begins to send so many requests a second.
func newLoad(t *testing.T, url string, rate float64, method func(n int) (method, body string)) *load {
	l := &load{
		t: t, url: url, rate: rate, method: method, stop: make(chan struct{}), seen: map[string]time.Time{},
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}, Timeout: 30 * time.Second},
	}
	l.wg.Go(l.send)
	t.Cleanup(l.end)
	return l
}

func gets(int) (method, body string) { return http.MethodGet, "" }

// mixed are requests of which every other one may not be sent twice.
func mixed(n int) (method, body string) {
	if n%2 == 0 {
		return http.MethodGet, ""
	}
	return http.MethodPost, strings.Repeat("x", 1000)
}

func (l *load) send() {
	due := time.Now()
	for n := 0; ; n++ {
		l.mu.Lock()
		due = due.Add(time.Duration(float64(time.Second) / l.rate))
		l.mu.Unlock()
		select {
		case <-l.stop:
			return
		case <-time.After(time.Until(due)):
		}
		method, body := l.method(n)
		l.wg.Go(func() { l.one(method, body) })
	}
}

func (l *load) one(method, body string) {
	began := time.Now()
	text, app, why := l.exchange(method, body)
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if why != "" {
		l.failed = append(l.failed, why)
		return
	}
	l.took = append(l.took, now.Sub(began)-app)
	if _, known := l.seen[text]; !known {
		l.seen[text] = now
	}
}

// exchange is one request; app is how long the app took, why says what went wrong.
func (l *load) exchange(method, body string) (text string, app time.Duration, why string) {
	req, err := http.NewRequest(method, l.url, strings.NewReader(body))
	if err != nil {
		return "", 0, err.Error()
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return "", 0, err.Error()
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil {
		app, err = time.ParseDuration(resp.Header.Get("Took"))
	}
	if resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status + ": " + string(got))
	}
	if err != nil {
		return "", 0, err.Error()
	}
	return string(got), app, ""
}

// set sets the rate, and forgets who has answered.
func (l *load) set(rate float64) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate, l.seen = rate, map[string]time.Time{}
	return time.Now()
}

// answering are when the processes first answered since set, in that order.
func (l *load) answering() (all []time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range l.seen {
		all = append(all, at)
	}
	slices.SortFunc(all, time.Time.Compare)
	return all
}

// end ends it, once.
func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.wg.Wait()
	l.client.CloseIdleConnections()
}

// median of some times.
func median(all []time.Duration) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// TestScalings: 50 changes of the count under steady load, and no request fails.
// How slow the slowest was is said.
func TestScalings(t *testing.T) {
	d := start(t, "")
	l := newLoad(t, d.url("/?for=20ms"), 60, mixed)
	began := time.Now()
	for n, last := 0, 1; n < 50; n++ {
		count := 1 + rand.IntN(5)
		if count == last {
			count = 1 + last%5
		}
		d.hold(count)
		last = count
		time.Sleep(150 * time.Millisecond)
	}
	l.end()
	if len(l.failed) > 0 || len(l.took) < 100 {
		t.Errorf("%d of %d requests failed: %q", len(l.failed), len(l.took)+len(l.failed), l.failed)
	}
	slowest := slices.Sorted(slices.Values(l.took))
	t.Logf("50 scalings in %s, %d requests, %d failed; the slowest took %s more than the app, p99 %s, median %s",
		time.Since(began).Round(time.Second), len(l.took), len(l.failed), slowest[len(slowest)-1], slowest[len(slowest)*99/100], median(l.took))
}

// TestStepInLoad: a step in the load brings new replicas that answer, and costs no
// request. How long that takes at an interval of a second is said.
func TestStepInLoad(t *testing.T) {
	d := start(t, "    max-reversals: 0\n")
	l := newLoad(t, d.url("/"), 5, gets)
	var first, all []time.Duration
	for range 20 {
		d.hold(1) // such a fall of the load would be taken for a fault, and held
		d.eventually("one replica is left", func() bool { return len(d.servers()) == 1 })
		time.Sleep(1200 * time.Millisecond) // until no reading has the load before
		d.resume()
		time.Sleep(time.Second + time.Duration(rand.IntN(1000))*time.Millisecond) // at any time between two steps
		began := l.set(110)
		d.eventually("three replicas answer", func() bool { return len(l.answering()) >= 3 })
		answering := l.answering()
		first, all = append(first, answering[1].Sub(began)), append(all, answering[2].Sub(began))
		l.set(5)
	}
	l.end()
	if len(l.failed) > 0 {
		t.Errorf("%d requests failed: %q", len(l.failed), l.failed)
	}
	t.Logf("20 steps: the first new replica answered after %s in the median, %s at most; all that were needed after %s, %s at most",
		median(first), slices.Max(first), median(all), slices.Max(all))
}
