package autoscale_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// The scenarios under testdata are the decision's specification, one line a
// run. testdata/README.md describes the language.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.scenario")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	count := 0
	for _, file := range files {
		for _, s := range readScenarios(t, file) {
			count++
			t.Run(s.name, s.run)
		}
	}
	if count < 40 {
		t.Errorf("%d scenarios, want at least 40", count)
	}
}

type scenario struct {
	file, name string
	lines      []line
}

type line struct {
	number int
	text   string
}

func readScenarios(t *testing.T, file string) (all []scenario) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	scan := bufio.NewScanner(f)
	for n := 1; scan.Scan(); n++ {
		text, _, _ := strings.Cut(scan.Text(), "#")
		text = strings.TrimSpace(text)
		if name, ok := strings.CutPrefix(text, "scenario "); ok {
			all = append(all, scenario{file: file, name: name})
			continue
		}
		if text == "" {
			continue
		}
		if len(all) == 0 {
			t.Fatalf("%s:%d: a scenario line comes first", file, n)
		}
		last := &all[len(all)-1]
		last.lines = append(last.lines, line{n, text})
	}
	if err := scan.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// world is what a scenario changes from line to line.
type world struct {
	epoch    time.Time
	offset   time.Duration // how far the wall clock was moved
	boot     string
	signal   string
	settings string
	kind     autoscale.Kind
	policy   autoscale.Policy
	delegate *autoscale.Delegate
	host     autoscale.Host
	strain   struct{ failed, flying float64 } // what every sample tells besides
	replicas []autoscale.Replica
	born     int
	state    autoscale.State
}

func (s scenario) run(t *testing.T) {
	w := &world{
		epoch: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), boot: "boot-1", signal: "page", settings: "v1",
		kind: autoscale.Gauge, policy: autoscale.Policy{Min: 1, Max: 10, Target: 40, Tolerance: 0.1, Cooldown: 2 * time.Minute, Mode: autoscale.Auto},
	}
	for _, l := range s.lines {
		fail := func(format string, args ...any) {
			t.Helper()
			t.Fatalf("%s:%d: %s\n    %s", s.file, l.number, fmt.Sprintf(format, args...), l.text)
		}
		words := split(l.text)
		switch words[0] {
		case "policy":
			w.setPolicy(words[1:], fail)
		case "counter":
			w.kind = autoscale.Counter
		case "at":
			w.at(words[1:], fail)
		default:
			fail("unknown word %q", words[0])
		}
	}
}

// split cuts a line into words; double quotes keep blanks together.
func split(text string) (words []string) {
	var word strings.Builder
	quoted := false
	for _, r := range text + " " {
		switch {
		case r == '"':
			quoted = !quoted
		case r == ' ' && !quoted:
			if word.Len() > 0 {
				words = append(words, word.String())
				word.Reset()
			}
		default:
			word.WriteRune(r)
		}
	}
	return words
}

type failure func(format string, args ...any)

func (w *world) setPolicy(words []string, fail failure) {
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		number, _ := strconv.ParseFloat(value, 64)
		var err error
		switch key {
		case "min":
			w.policy.Min = int(number)
		case "max":
			w.policy.Max = int(number)
		case "target":
			w.policy.Target = number
		case "tolerance":
			w.policy.Tolerance = number
		case "on-doubt":
			w.policy.OnDoubt = int(number)
		case "inflight":
			w.policy.InFlight = number
		case "max-reversals":
			w.policy.MaxReversals = int(number)
		case "cooldown":
			w.policy.Cooldown, err = time.ParseDuration(value)
		case "max-up":
			w.policy.MaxUp, err = autoscale.ParseLimit(value)
		case "max-down":
			w.policy.MaxDown, err = autoscale.ParseLimit(value)
		case "mode":
			w.policy.Mode = autoscale.Mode(value)
		default:
			fail("unknown policy key %q", key)
		}
		if err != nil {
			fail("%v", err)
		}
	}
	if err := w.policy.Validate(); err != nil {
		fail("%v", err)
	}
}

// setCount starts or ends replicas so that n run, as of now.
func (w *world) setCount(n int, now time.Time) {
	for len(w.replicas) < n {
		id := string(rune('a' + w.born))
		w.born++
		w.replicas = append(w.replicas, autoscale.Replica{ID: id, Name: "app-" + id, Started: now, Health: autoscale.Healthy})
	}
	w.replicas = w.replicas[:n]
}

// work lets every replica be busy on so many cores since the last run.
func (w *world) work(busy float64, now time.Time) {
	for i := range w.replicas {
		used := &w.replicas[i].Usage
		since := w.replicas[i].Started
		if !used.Time.IsZero() {
			since = used.Time
		}
		used.Time, used.CPU, used.Cores = now, used.CPU+time.Duration(busy*float64(now.Sub(since))), 1
		if w.host.Cores > 0 {
			used.Cores = 0
		}
	}
}

func (w *world) at(words []string, fail failure) {
	after, err := time.ParseDuration(words[0])
	if err != nil {
		fail("%v", err)
	}
	arrow := slices.Index(words, "->")
	if arrow < 0 || arrow+1 >= len(words) {
		fail("no expectation: -> N [Reason] [key=value …]")
	}
	o := autoscale.Observation{Reading: autoscale.Reading{Metric: "m", Kind: w.kind, Scope: autoscale.ScopeService}}
	moveFails := false
	for _, word := range words[1:arrow] {
		key, value, _ := strings.Cut(word, "=")
		now := w.epoch.Add(after + w.offset)
		switch key {
		case "fails":
			moveFails = true
		case "clock":
			moved, err := time.ParseDuration(value)
			if err != nil {
				fail("%v", err)
			}
			w.offset += moved
		case "boot":
			w.boot = value
		case "signal":
			w.signal = value
		case "settings":
			w.settings = value
		case "pause": // pause=10m, pause=3:10m holds at 3
			count, length, held := strings.Cut(value, ":")
			if !held {
				count, length = "0", value
			}
			end, err := time.ParseDuration(length)
			if err != nil {
				fail("%v", err)
			}
			n, _ := strconv.Atoi(count)
			w.state.Pause = &autoscale.Pause{Replicas: n, Since: now, Until: now.Add(end), By: "ops", Reason: "migration"}
		case "resume":
			w.state.Pause = nil
		case "hpa":
			w.delegate = &autoscale.Delegate{Name: "HPA app-hpa", Acts: value == "acts"}
		case "state":
			w.state = autoscale.State{}
		case "killed":
			to, _ := strconv.Atoi(value)
			w.state.Moving = &to
		case "cpu": // cpu=0.8: each replica's use of its one core since the last run
			busy, err := strconv.ParseFloat(value, 64)
			if err != nil {
				fail("%v", err)
			}
			w.work(busy, now)
		case "cores":
			w.host.Cores, err = strconv.ParseFloat(value, 64)
			if err != nil {
				fail("%v", err)
			}
		case "free": // free=500:100, in MB of 2000: and what a replica uses
			var free, each uint64
			if _, err := fmt.Sscanf(value, "%d:%d", &free, &each); err != nil {
				fail("%v", err)
			}
			w.host.Memory, w.host.Free = 2000e6, free*1e6
			for i := range w.replicas {
				w.replicas[i].Usage.Memory = int64(each * 1e6)
			}
		case "failed": // failed=0.1: the share of the requests
			w.strain.failed, _ = strconv.ParseFloat(value, 64)
		case "flying": // flying=30: requests being answered
			w.strain.flying, _ = strconv.ParseFloat(value, 64)
		case "restart":
			for i := range w.replicas {
				if value == "all" || w.replicas[i].ID == value {
					w.replicas[i].Started = now.Add(-time.Second)
				}
			}
		case "replicas":
			n, err := strconv.Atoi(value)
			if err != nil {
				fail("%v", err)
			}
			started := now.Add(-time.Minute)
			if !w.state.Known() {
				started = now.Add(-time.Hour)
			}
			w.setCount(n, started)
		default:
			o.Reading.Samples = append(o.Reading.Samples, w.samples(key, value, now, &o, fail)...)
		}
	}
	now := w.epoch.Add(after + w.offset)
	o.At = autoscale.Instant{Time: now, Uptime: time.Hour + after, Boot: w.boot}
	o.Signal, o.Settings, o.Delegate, o.Host = w.signal, w.settings, w.delegate, w.host
	for i := range o.Reading.Samples {
		s := &o.Reading.Samples[i]
		s.Answered, s.Failed, s.InFlight = s.Value, w.strain.failed*s.Value, w.strain.flying
	}
	o.Current, o.Replicas = len(w.replicas), slices.Clone(w.replicas)
	w.decide(o, words[arrow+1:], moveFails, fail)
}

// samples reads load=180, load=unreachable, a=20, a=absent, a=100,120 (two
// readings of a counter, 2 s apart) and a=100@11:59:00 (process start).
func (w *world) samples(key, value string, now time.Time, o *autoscale.Observation, fail failure) (all []autoscale.Sample) {
	process := key
	if key != "load" {
		o.Reading.Scope = autoscale.ScopeReplica
		if !slices.ContainsFunc(w.replicas, func(r autoscale.Replica) bool { return r.ID == key }) {
			fail("no replica %q", key)
		}
	}
	value, start, hasStart := strings.Cut(value, "@")
	var started time.Time
	if hasStart {
		at, err := time.ParseDuration(start)
		if err != nil {
			fail("%v", err)
		}
		started = w.epoch.Add(at + w.offset)
	}
	parts := strings.Split(value, ",")
	for i, part := range parts {
		s := autoscale.Sample{Process: process, Name: "app-" + key, Started: started, Verdict: autoscale.OK,
			Time: now.Add(-2 * time.Second * time.Duration(len(parts)-1-i))}
		number, err := strconv.ParseFloat(part, 64)
		if err != nil {
			s.Verdict, s.Detail = autoscale.Verdict(part), "it is "+part
		} else {
			s.Value = number
		}
		all = append(all, s)
	}
	return all
}

func (w *world) decide(o autoscale.Observation, want []string, moveFails bool, fail failure) {
	before := mustJSON(w.state)
	d, next := autoscale.Decide(w.policy, w.state, o)
	if mustJSON(w.state) != before {
		fail("Decide changed the state it was given")
	}
	w.again(o, d, next, fail)
	w.expect(d, want, fail)
	reached := d.To
	if moveFails {
		reached = d.From
	}
	if d.To != d.From {
		next = next.Settle(d, o.At.Time, reached, w.settings, moveFails)
	}
	w.setCount(reached, o.At.Time)
	w.state = next
}

// again decides once more on the state as a file would hold it: one-shot and
// daemon must come to the same number.
func (w *world) again(o autoscale.Observation, d autoscale.Decision, next autoscale.State, fail failure) {
	var fromFile autoscale.State
	if err := json.Unmarshal([]byte(mustJSON(w.state)), &fromFile); err != nil {
		fail("%v", err)
	}
	d2, next2 := autoscale.Decide(w.policy, fromFile, o)
	if !reflect.DeepEqual(d, d2) || mustJSON(next) != mustJSON(next2) {
		fail("a state through JSON decides differently:\n%+v\n%+v", d, d2)
	}
}

func (w *world) expect(d autoscale.Decision, want []string, fail failure) {
	if got := strconv.Itoa(d.To); got != want[0] {
		fail("to %s, want %s: %s", got, want[0], d.Sentence())
	}
	for _, word := range want[1:] {
		key, value, pair := strings.Cut(word, "=")
		switch {
		case !pair:
			if string(d.Reason) != word {
				fail("reason %s, want %s: %s", d.Reason, word, d.Sentence())
			}
		case key == "says":
			if !strings.Contains(d.Sentence(), value) {
				fail("does not say %q: %s", value, d.Sentence())
			}
		case key == "next":
			if d.Next.String() != value {
				fail("next %q, want %q", d.Next, value)
			}
		case key == "warns":
			if !strings.Contains(strings.Join(d.Warnings, "\n"), value) || value == "" && len(d.Warnings) > 0 {
				fail("does not warn %q: %q", value, d.Warnings)
			}
		case key == "want":
			if strconv.Itoa(d.Want) != value {
				fail("wants %d: %s", d.Want, d.Sentence())
			}
		case key == "verdict":
			if string(d.Verdict) != value {
				fail("verdict %s: %s", d.Verdict, d.Sentence())
			}
		default:
			fail("unknown expectation %q", word)
		}
	}
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
