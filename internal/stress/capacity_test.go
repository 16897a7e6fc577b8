package stress

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// queueing is a server of known capacity: so many at a time, each for so long.
func queueing(t *testing.T, slots int, each time.Duration) *server {
	t.Helper()
	free := make(chan struct{}, slots)
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		free <- struct{}{}
		time.Sleep(each)
		<-free
		ok(w, r)
	})
}

// TestFindCapacity: the knee of a server that is known to carry 400/s.
func TestFindCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := queueing(t, 4, 10*time.Millisecond)
		var tried []Trial
		c, err := findCapacity(t.Context(), Search{
			Config: Config{Target: target(t, "http://127.0.0.1/"), Workers: 256, Queue: 10000}, Step: 5 * time.Second, Errors: 0.01,
			Tried: func(one Trial) { tried = append(tried, one) },
		}, s.run(t))
		if err != nil {
			t.Fatal(err)
		}
		if c.Rate < 375 || c.Rate > 400 || c.Limit < 50 || c.Limit > 56 || c.Bound != "" || len(tried) != len(c.Trials) || len(tried) > 14 {
			t.Errorf("%+v", c)
		}
		if got := c.Target(1); got < 262 || got > 280 {
			t.Errorf("target %g", got)
		}
	})
}

// TestFindCapacityEnds: it ends where there is nothing to be found.
func TestFindCapacityEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		search := Search{Config: Config{Target: target(t, "http://127.0.0.1/"), Workers: 4, Queue: 10}, Step: time.Second, Errors: 0.01}
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		if _, err := findCapacity(t.Context(), search, s.run(t)); err == nil || !strings.Contains(err.Error(), "nothing succeeded") {
			t.Errorf("%v", err)
		}
		begun := time.Now()
		s = serve(t, func(w http.ResponseWriter, r *http.Request) {
			if time.Since(begun) > 1050*time.Millisecond { // fails once it has been looked at
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			time.Sleep(10 * time.Millisecond)
			ok(w, r)
		})
		search.Workers = 1
		c, err := findCapacity(t.Context(), search, s.run(t))
		if err != nil || c.Rate != 0 || len(c.Trials) > 10 || !strings.HasSuffix(c.Trials[0].Why, "% failed") || !strings.Contains(Advice([]*Capacity{c})[0], "not even the lowest") {
			t.Errorf("%v %+v", err, c)
		}
	})
}

// TestAdvice: the target is what each carries when all do, and where more of
// them help little that is said.
func TestAdvice(t *testing.T) {
	all := []*Capacity{{Replicas: 1, Rate: 100, Limit: 10}, {Replicas: 2, Rate: 190, Limit: 10}, {Replicas: 5, Rate: 200, Limit: 10, Cores: 0.5}}
	lines := strings.Join(Advice(all), "\n")
	for _, want := range []string{"from 2 replicas to 5 replicas the rate rises by 5% rather than 150%", "--rps-target=28 (70% of 40/s that each of 5 replicas carried)", "0.5 cores"} {
		if !strings.Contains(lines, want) {
			t.Errorf("%q is missing in\n%s", want, lines)
		}
	}
	if strings.Contains(lines, "from 1 replica to") || Proposed(all) != 28 {
		t.Error(lines, Proposed(all))
	}
	var page bytes.Buffer
	if err := WriteCapacityHTML(&page, "http://x/", all, Advice(all), time.Now()); err != nil || !strings.Contains(page.String(), "5 replicas") {
		t.Errorf("%v\n%s", err, page.String())
	}
	if got := Advice([]*Capacity{{Rate: 7, Bound: errors.New("bound").Error()}}); !strings.Contains(got[0], "--rps-target=4.9 (70% of 7/s)") || got[1] != "bound" {
		t.Errorf("%q", got)
	}
}
