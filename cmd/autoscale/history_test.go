package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/store"
)

// inUTC has the machine's zone be UTC for one test.
func inUTC(t *testing.T) {
	t.Helper()
	was := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = was })
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// raise is a run that went from 1 to 3 replicas.
func raise(service string) store.Record {
	return store.Record{
		Time: noon.Add(6 * time.Second), Workload: store.Key{Provider: "compose", Engine: "e", Project: "bot", Service: service, Dir: "/srv/bot"},
		Reading: autoscale.Reading{Metric: "http_requests_per_second", Kind: autoscale.Gauge, Scope: autoscale.ScopeReplica, Samples: []autoscale.Sample{
			{Name: "bot-app-1", Time: noon, Value: 110, Verdict: autoscale.OK},
			{Name: "bot-app-2", Time: noon, Verdict: autoscale.Unreachable, Detail: "connection refused"},
		}},
		Decision: autoscale.Decision{
			At: noon, From: 1, To: 3, Want: 3, Load: 110, Verdict: autoscale.Partial, Reason: "LoadAboveTarget",
			Steps: []autoscale.Step{
				{Stage: "judge", To: 1, Reason: "ReadingDoubtful", Detail: "reading is partial"},
				{Stage: "recommend", To: 3, Reason: "LoadAboveTarget", Detail: "more than the 44 rps that 1 replica may carry, so 3 replicas"},
			},
			Next: autoscale.Next{Up: &autoscale.Change{To: 4, RPS: 132}, Down: &autoscale.Change{To: 2, RPS: 72, HeldUntil: noon.Add(time.Minute)}},
		},
		Outcome: store.Outcome{Result: "failed", Count: 2, Error: "compose: bot-app-3 exited"},
	}
}

func TestStory(t *testing.T) {
	inUTC(t)
	want := `2026-11-24 12:00:00  app in bot: 1 -> 3 replicas

  load      110 rps, partial: http_requests_per_second, a gauge, of each replica
            bot-app-1  110  12:00:00  ok
            bot-app-2  -    12:00:00  unreachable: connection refused

  why       judge      1  ReadingDoubtful  reading is partial
            recommend  3  LoadAboveTarget  more than the 44 rps that 1 replica may carry, so 3 replicas
  next      4 replicas above 132 rps; 2 at 72 rps or less, held until 12:01:00
  outcome   failed, 2 replicas run
  error     compose: bot-app-3 exited
`
	if got := story(raise("app")); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got := line(raise("app")); !strings.HasPrefix(got, "2026-11-24 12:00:00 app: 1 -> 3 replicas: reading is partial; ") || !strings.HasSuffix(got, "[failed, 2 replicas run: compose: bot-app-3 exited]") {
		t.Error(got)
	}
}

func TestStatusTable(t *testing.T) {
	inUTC(t)
	r := raise("app")
	state := autoscale.State{
		At: autoscale.Instant{Time: noon}, Gap: 2 * time.Minute, Count: 2, Doubts: 3,
		Failure: &autoscale.Failure{Count: 2, Until: noon.Add(4 * time.Minute)},
	}
	got := table([]standingOf{standingBy(r.Workload, state, &r, &r, noon.Add(10*time.Minute))}, noon.Add(10*time.Minute))
	want := `SERVICE  PROJECT  REPLICAS  LOAD     READING  LAST RUN              NEXT
app      bot      2         110 rps  partial  12:00:00 (10m0s ago)  4 replicas above 132 rps; 2 at 72 rps or less, held until 12:01:00
app: the last 3 runs could not trust the reading, and nothing goes down meanwhile; autoscale doctor with the same flags looks for the remedy: bot-app-2 is unreachable: connection refused
app: new replicas did not start (2 times in a row); the next attempt is made after 12:04:00
app: the last run failed: compose: bot-app-3 exited
app: last move: 1 -> 2 replicas at 2026-11-24 12:00:00
`
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// TestNothingRead: no load is told where nothing was read.
func TestNothingRead(t *testing.T) {
	r := raise("app")
	r.Decision.Load, r.Decision.Verdict, r.Outcome.Count = 0, autoscale.Unreachable, 1
	if got := story(r); !strings.Contains(got, "load      unknown, unreachable") || !strings.Contains(got, "failed, 1 replica runs\n") {
		t.Error(got)
	}
	got := table([]standingOf{standingBy(r.Workload, autoscale.State{Doubts: 1}, &r, &r, noon)}, noon)
	if strings.Contains(got, "0 rps  ") || !strings.Contains(got, "app: the last run could not trust the reading, and ") {
		t.Error(got)
	}
	r.Decision.Verdict = autoscale.OK
	if got := story(r); !strings.Contains(got, "load      0 rps, ok") {
		t.Error(got)
	}
}

// TestOneZone: a decision of a run in another zone is told in that one, by its
// name, since its texts hold times of it.
func TestOneZone(t *testing.T) {
	inUTC(t)
	r := raise("app")
	r.Decision.At = noon.In(time.FixedZone("", 3*3600))
	got := story(r)
	for _, says := range []string{"2026-11-24 15:00:00 +03:00  app in bot", "bot-app-1  110  15:00:00  ok", "held until 15:01:00"} {
		if !strings.Contains(got, says) {
			t.Errorf("no %q in\n%s", says, got)
		}
	}
	if got := line(r); !strings.HasPrefix(got, "2026-11-24 15:00:00 +03:00 app: ") || !strings.HasSuffix(strings.Split(got, " [")[0], "held until 15:01:00") {
		t.Error(got)
	}
	got = table([]standingOf{standingBy(r.Workload, autoscale.State{At: autoscale.Instant{Time: noon}}, &r, &r, noon)}, noon)
	if !strings.Contains(got, "12:00:00 (0s ago)") || !strings.Contains(got, "held until 12:01:00") {
		t.Error(got)
	}
}

// TestSilence: a schedule that stopped is told of; a few runs by hand and then
// none are not.
func TestSilence(t *testing.T) {
	for name, c := range map[string]struct {
		gaps []time.Duration // between the runs
		age  time.Duration   // of the last one
		says string
	}{
		"by hand, a second apart": {[]time.Duration{time.Second, time.Second, time.Second, time.Second}, time.Hour, ""},
		"by hand, twice":          {[]time.Duration{20 * time.Second}, time.Hour, ""},
		"by hand, now and then":   {[]time.Duration{20 * time.Second, 50 * time.Second, 11 * time.Second}, time.Hour, ""},
		"the first run":           {nil, time.Hour, ""},
		"a moment late":           {[]time.Duration{time.Minute, time.Minute, time.Minute}, 4 * time.Minute, ""},
		"in time":                 {[]time.Duration{time.Hour}, 2 * time.Hour, ""},
		"cron":                    {[]time.Duration{2 * time.Minute}, 10 * time.Minute, "no run for 10m0s; the ones before came every 2m0s: does the schedule still run?"},
		"a quick timer":           {[]time.Duration{time.Hour, 15 * time.Second, 16 * time.Second, 15 * time.Second}, 10 * time.Minute, "no run for 10m0s; the ones before came every 16s: does the schedule still run?"},
	} {
		journal := store.Open(t.TempDir() + "/state.json").Journal()
		state := autoscale.State{At: autoscale.Instant{Time: noon}}
		key := raise("app").Workload
		for i := range len(c.gaps) + 1 {
			if i > 0 {
				state.Gap = c.gaps[i-1]
				state.At.Time = state.At.Time.Add(state.Gap)
			}
			r := raise("app")
			r.Decision.At = state.At.Time
			if err := journal.Append(r); err != nil {
				t.Fatal(err)
			}
		}
		if got := silence(journal, key, state, state.At.Time.Add(c.age)); got != c.says {
			t.Errorf("%s: %q, want %q", name, got, c.says)
		}
	}
}

// TestLookBack: status and explain of a folder in which two services ran, and of
// one in which nothing did.
func TestLookBack(t *testing.T) {
	inUTC(t)
	dir := t.TempDir()
	of := "--project-dir=" + dir
	for _, command := range []string{"status", "explain"} {
		if status, out, errs := runs(t, command, of); status != statusDoubt || out != "" || !strings.Contains(errs, "dry runs are not kept") {
			t.Errorf("%s: %d %s%s", command, status, out, errs)
		}
	}
	file := store.Open(dir + "/tools/.autoscale_state.json")
	for i, service := range []string{"app", "web", "app"} {
		r := raise(service)
		r.Decision.At = noon.Add(time.Duration(i) * time.Minute)
		if i == 2 {
			r.Decision.To, r.Decision.Want, r.Outcome, r.Decision.Verdict = 1, 1, store.Outcome{Result: "unchanged", Count: 1}, autoscale.OK
		}
		if err := file.Journal().Append(r); err != nil {
			t.Fatal(err)
		}
		if _, err := file.Save(r.Workload, autoscale.State{At: autoscale.Instant{Time: r.Decision.At}, Count: 2}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args   []string
		status int
		lines  int // of the standard output; 0 for any
		says   string
	}{
		{[]string{"status"}, statusDone, 0, "\nweb  "},
		{[]string{"status", "--service=app", "--provider=compose", "--min=1", "--max=5", "--rps-target=40"}, statusDone, 0, "\napp  "},
		{[]string{"status", "--service=ap"}, statusDoubt, 0, `service "ap" by ` + file.Path() + "; it knows app, web"},
		{[]string{"explain", "--service=ap"}, statusDoubt, 0, "it knows app, web"},
		{[]string{"explain"}, statusDone, 0, "2026-11-24 12:01:00  web in bot: 1 -> 3 replicas"},
		{[]string{"explain"}, statusDone, 0, "\n\n2026-11-24 12:02:00  app in bot: 1 replica kept"},
		{[]string{"explain", "--output=json"}, statusDone, 2, `"service":"web"`},
		{[]string{"explain", "--service=web"}, statusDone, 0, "2026-11-24 12:01:00  web in bot: 1 -> 3 replicas"},
		{[]string{"explain", "--last=9"}, statusDone, 3, "12:01:00 web: 1 -> 3"},
		{[]string{"explain", "--changes"}, statusDone, 2, "12:00:00 app: 1 -> 3"},
		{[]string{"explain", "--changes", "--last=1", "--service=app"}, statusDone, 0, "2026-11-24 12:00:00  app in bot: 1 -> 3 replicas"},
		{[]string{"explain", "--changes", "--last", "1", "--output=json", "--service=app"}, statusDone, 1, `"service":"app"`},
		{[]string{"explain", "--at=2026-11-24 12:00"}, statusDone, 0, "then      2026-11-24 12:02:00 app"},
		{[]string{"explain", "--at=2026-11-24 12:01"}, statusDone, 0, "then      2026-11-24 12:02:00 app: 1 replica kept: reading is partial; more than the 44 rps that 1 replica may carry, so 3 replicas. Next: 4 replicas above 132 rps; 2 at 72 rps or less, held until 12:01:00\n\n2026-11-24 12:01:00  web in bot: 1 -> 3 replicas"},
		{[]string{"explain", "--at=2026-11-24 12:01", "--output=json"}, statusDone, 2, `"service":"web"`},
		{[]string{"explain", "--at=2026-11-24 12:01", "--service=app"}, statusDone, 0, "2026-11-24 12:00:00  app in bot"},
		{[]string{"explain", "--at=2026-11-24 11:00"}, statusDoubt, 0, "no decision is recorded before 2026-11-24 11:00:59; the first is of 2026-11-24 12:00:00"},
		{[]string{"explain", "--at=noonish"}, statusUsage, 0, "is no moment"},
		{[]string{"explain", "--at=12:00", "--follow"}, statusUsage, 0, "leave --follow"},
		{[]string{"explain", "--last=0"}, statusUsage, 0, "--last=0"},
	} {
		status, out, errs := runs(t, append(c.args, of)...)
		if status != c.status || !strings.Contains("\n"+out+errs, c.says) || c.lines > 0 && strings.Count(out, "\n") != c.lines {
			t.Errorf("%q: status %d, want %q in\n%s%s", c.args, status, c.says, out, errs)
		}
	}
	_, out, _ := runs(t, "explain", "--last=9", "--output=json", of)
	for line := range strings.Lines(out) {
		var r store.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Workload.Project != "bot" {
			t.Errorf("%v %s", err, line)
		}
	}
	_, out, _ = runs(t, "status", "--output=json", of)
	var all standings
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all.Services) != 2 || fmt.Sprint(all.Services[0].Moved) == "<nil>" {
		t.Errorf("%v %s", err, out)
	}
}

// TestStatusFails: what status cannot do stands in its object.
func TestStatusFails(t *testing.T) {
	dir := t.TempDir()
	newer := dir + "/newer.json"
	if err := os.WriteFile(newer, []byte(`{"version": 99, "entries": {}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for says, args := range map[string][]string{
		"is no folder":               {"--project-dir=" + dir + "/none"},
		"written by a newer":         {"--project-dir=" + dir, "--state-file=" + newer},
		"no decision was made yet":   {"--project-dir=" + dir},
		`of service "web" by ` + dir: {"--project-dir=" + dir, "--service=web"},
	} {
		if status, out, errs := runs(t, append([]string{"status"}, args...)...); status != statusDoubt || out != "" || !strings.Contains(errs, says) {
			t.Errorf("%q: %d %s%s", args, status, out, errs)
		}
		status, out, errs := runs(t, append([]string{"status", "--output=json"}, args...)...)
		var found standings
		if err := json.Unmarshal([]byte(out), &found); err != nil || status != statusDoubt || errs != "" || found.Version != 1 || found.Status != status || found.Services == nil || found.Warnings == nil || !strings.Contains(found.Error, says) {
			t.Errorf("%q: %d %v %s%s", args, status, err, out, errs)
		}
	}
}

// TestExplainFollow: a decision is told as it comes, what another service's
// rollback leaves is not told again, and Ctrl-C is no failure.
func TestExplainFollow(t *testing.T) {
	inUTC(t)
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		journal := store.Open(dir + "/tools/.autoscale_state.json").Journal()
		decide := func(service string) {
			t.Helper()
			r := raise(service)
			r.Time = time.Now()
			if err := journal.Append(r); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * followPoll)
		}
		decide("app")
		decide("app")
		ctx, cancel := context.WithCancel(t.Context())
		var out, errs bytes.Buffer
		status := make(chan int)
		go func() {
			status <- run(ctx, []string{"explain", "--follow", "--service=app", "--project-dir=" + dir}, streams{out: &out, err: &errs})
		}()
		time.Sleep(followPoll / 2)
		decide("web")
		decide("app")
		if err := journal.Forget(raise("web").Workload); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * followPoll)
		cancel()
		if got := <-status; got != statusDone || errs.Len() > 0 || strings.Count(out.String(), "12:00:00 app: 1 -> 3 replicas") != 2 || strings.Count(out.String(), "\n") != 2 {
			t.Errorf("status %d\n%s%s", got, out.String(), errs.String())
		}
	})
}
