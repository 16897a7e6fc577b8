package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/history"
	"github.com/five-keys/autoscale/internal/store"
)

// writeLoad writes half a day of load with a burst every three hours.
func writeLoad(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("seconds_since_start,rps\n")
	for i := range 12 * 60 {
		rps := 300 + 200*math.Sin(2*math.Pi*float64(i)/720)
		if i%180 < 5 {
			rps *= 1.8
		}
		fmt.Fprintf(&b, "%d,%g\n", i*60, rps)
	}
	path := filepath.Join(t.TempDir(), "load.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// simulated runs a simulate command.
func simulated(t *testing.T, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(t.Context(), append([]string{"simulate"}, args...), streams{out: &o, err: &e})
	return status, o.String(), e.String()
}

// simulation is what a script reads of --output=json, by the contract's names.
type simulation struct {
	Version     int
	Clairvoyant float64 `json:"clairvoyant_replica_hours"`
	Policies    []struct {
		Name      string
		Hours     float64 `json:"replica_hours"`
		Ratio     float64 `json:"cost_ratio"`
		Violated  float64 `json:"violated_share"`
		Changes   float64 `json:"changes_per_day"`
		Reversals float64 `json:"reversals_per_day"`
		Cooldown  float64 `json:"cooldown_s"`
		Target    float64 `json:"rps_target"`
		Worst     []struct {
			At float64 `json:"at_s"`
		} `json:"worst_minutes"`
	}
	Curve          []struct{ Flags string }
	Recommendation *struct {
		Flags    string
		Violated float64 `json:"violated_share"`
		Target   float64 `json:"rps_target"`
		Cooldown float64 `json:"cooldown_s"`
		Keeps    bool
		Unseen   struct{ Count, Kept int }
	}
	Warnings []string
}

func readSimulation(t *testing.T, args ...string) (s simulation) {
	t.Helper()
	status, out, errs := simulated(t, append(args, "--output=json")...)
	if status != 0 || errs != "" {
		t.Fatalf("%q: status %d, %s", args, status, errs)
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("%v of %s", err, out)
	}
	return s
}

var usualModel = []string{"--capacity=50", "--min=1", "--max=30", "--rps-target=35"}

// TestSimulate: several policies, their figures, and the same ones again.
func TestSimulate(t *testing.T) {
	args := append([]string{"--trace", writeLoad(t), "--policy", "gentle: --rps-target=20 --cooldown=10m"}, usualModel...)
	s := readSimulation(t, args...)
	if s.Version != 1 || len(s.Policies) != 2 || s.Policies[0].Name != "autoscale" || s.Policies[1].Name != "gentle" || s.Policies[1].Cooldown != 600 || s.Policies[1].Target != 20 || len(s.Warnings) > 0 {
		t.Errorf("%+v", s)
	}
	for _, p := range s.Policies {
		if math.Abs(p.Ratio-p.Hours/s.Clairvoyant) > 1e-9 || p.Ratio < 1.1 || p.Violated < 0 || p.Violated > 0.1 || p.Changes <= 0 || p.Reversals <= 0 {
			t.Errorf("%+v", p)
		}
	}
	if a, b := s.Policies[0], s.Policies[1]; a.Violated <= b.Violated || a.Hours >= b.Hours || len(a.Worst) == 0 || int(a.Worst[0].At)%10800 > 300 {
		t.Errorf("%+v\n%+v", a, b)
	}
	first := fmt.Sprint(s)
	if again := fmt.Sprint(readSimulation(t, args...)); again != first {
		t.Errorf("the same flags give other figures:\n%s\n%s", first, again)
	}
	if other := fmt.Sprint(readSimulation(t, append(args, "--seed=2")...)); other == first {
		t.Error("another seed gives the same figures")
	}
	status, out, errs := simulated(t, args...)
	if status != 0 || errs != "" || !strings.Contains(out, "clairvoyant") || !strings.Contains(out, "Worst minutes, autoscale:") || !strings.Contains(out, "load.csv: 12 hours") {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
}

// TestSimulateRecommend: what is proposed keeps what was asked for, is among what
// was tried, and it says how sure it is; the page has it all.
func TestSimulateRecommend(t *testing.T) {
	page := filepath.Join(t.TempDir(), "report.html")
	args := []string{"--trace", writeLoad(t), "--capacity=50", "--min=1", "--max=30", "--recommend", "--slo-violations=0.5%", "--html", page}
	s := readSimulation(t, args...)
	r := s.Recommendation
	if r == nil || !r.Keeps || r.Violated > 0.005 || r.Unseen.Count == 0 || len(s.Policies) != 0 || len(s.Curve) < 40 {
		t.Fatalf("%+v", s)
	}
	again := readSimulation(t, "--trace", args[1], "--capacity=50", "--min=1", "--max=30", fmt.Sprintf("--rps-target=%v", r.Target), fmt.Sprintf("--cooldown=%v", r.Cooldown))
	if again.Policies[0].Violated != r.Violated {
		t.Errorf("the proposed flags violate %g, not %g", again.Policies[0].Violated, r.Violated)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, says := range []string{"What it would have cost: load.csv", "How sure is that?", "Cost against violations", "recommended", "The worst minutes", "a replica answers at most"} {
		if !strings.Contains(string(text), says) {
			t.Errorf("the page does not say %q", says)
		}
	}
	_, out, _ := simulated(t, args...)
	if !strings.Contains(out, r.Flags) || !strings.Contains(out, "How sure is that? ") || !strings.Contains(out, "What it costs to violate less:") {
		t.Error(out)
	}
	// What no setting can keep is said to be so.
	_, out, _ = simulated(t, "--trace", args[1], "--capacity=50", "--min=1", "--max=6", "--recommend", "--slo-violations=0.01%")
	if !strings.Contains(out, "None of the settings tried keeps 0.01 %") || !strings.Contains(out, "violated even with all --max replicas") {
		t.Error(out)
	}
}

// TestSimulateSaturated: a target that is never exceeded, since no more is answered,
// is warned of, unless something else shows that the replicas are at their end.
func TestSimulateSaturated(t *testing.T) {
	args := []string{"--trace", writeLoad(t), "--capacity=50", "--min=1", "--max=30", "--rps-target=48"}
	s := readSimulation(t, append(args, "--saturation=none")...)
	if len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "hardly ever raises") || s.Policies[0].Violated < 0.5 {
		t.Errorf("%+v", s)
	}
	for _, more := range [][]string{{"--offered"}, {"--saturation=errors"}, {"--saturation=cpu,errors"}, {"--saturation=inflight", "--inflight-target=20"}, {"--saturation=cpu", "--metrics-scope=replica"}} {
		if s = readSimulation(t, append(args, more...)...); len(s.Warnings) != 0 || s.Policies[0].Violated > 0.2 {
			t.Errorf("%q: %+v", more, s)
		}
	}
}

// TestSimulateLogs: requests of a log are taken as they came.
func TestSimulateLogs(t *testing.T) {
	var b strings.Builder
	for i := range 600 {
		at := time.Date(2026, 11, 24, 10, 0, i, 0, time.UTC).Format("02/Jan/2006:15:04:05 -0700")
		for range 10 {
			fmt.Fprintf(&b, "10.0.0.1 - - [%s] \"GET / HTTP/1.1\" 200 13\n", at)
		}
	}
	path := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	_, out, errs := simulated(t, append([]string{"--trace", path}, usualModel...)...)
	if !strings.Contains(out, "access.log: 9.98 minutes, 5,990 requests, 10 rps at the mean") || strings.Contains(out, "noise") {
		t.Errorf("%s%s", out, errs)
	}
}

// TestSimulateHistory: the policy of a daemon's service on the load that it saw.
func TestSimulateHistory(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "autoscale.yaml")
	if err := os.WriteFile(config, []byte("interval: 10s\nservices:\n  shop:\n    provider: compose\n    min: 2\n    max: 9\n    rps-target: 30\n    cooldown: 3m\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--config", config, "--capacity=50", "--last=2h"}
	if status, _, errs := simulated(t, args...); status != statusDoubt || !strings.Contains(errs, "the daemon of") {
		t.Errorf("before anything was seen: status %d, %s", status, errs)
	}
	kept, err := history.OpenStore(filepath.Join(dir, "autoscale-state", "history.db"), 24*time.Hour, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now().Add(-time.Hour).Truncate(time.Second)
	for i := range 360 {
		at := began.Add(time.Duration(i) * 10 * time.Second)
		d := autoscale.Decision{At: at, From: 3, To: 3, Want: 3, Load: 80, Verdict: autoscale.OK}
		if i%50 == 7 { // what cannot be trusted is passed over
			d.Load, d.Verdict = 0, autoscale.Unreachable
		}
		if err := kept.Append("shop", store.Record{Time: at, Decision: d}); err != nil {
			t.Fatal(err)
		}
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	s := readSimulation(t, args...)
	if len(s.Policies) != 1 || s.Policies[0].Name != "shop" || s.Policies[0].Target != 30 || s.Policies[0].Cooldown != 180 {
		t.Errorf("%+v", s)
	}
	_, out, errs := simulated(t, args...)
	if !strings.Contains(out, "service shop: 60 minutes, 28") {
		t.Errorf("%s%s", out, errs)
	}
	if status, _, errs := simulated(t, "--config", config, "--service=none", "--capacity=50"); status != statusUsage || !strings.Contains(errs, "has shop") {
		t.Errorf("status %d, %s", status, errs)
	}
}

func TestSimulateMisuse(t *testing.T) {
	load := writeLoad(t)
	for args, says := range map[string]string{
		"": "missing flags: --capacity",
		"--capacity=50 --min=1 --max=2 --rps-target=3":                                                             "no load: name a recording",
		"--trace LOAD --capacity=0 --min=1 --max=2 --rps-target=3":                                                 "--capacity=0: give the requests per second",
		"--trace LOAD --capacity=50 --min=1 --max=2":                                                               "--rps-target=0: give the requests",
		"--trace LOAD --capacity=50 --rps-target=3":                                                                "--max=0",
		"--trace LOAD --prometheus-url=http://x --prometheus-query=x --capacity=50 --min=1 --max=2 --rps-target=3": "one of the two",
		"--prometheus-url=http://x --capacity=50 --min=1 --max=2 --rps-target=3":                                   "go together",
		"--trace LOAD --capacity=50 --min=1 --max=2 --rps-target=3 --recommend":                                    "--recommend and --slo-violations go together",
		"--trace LOAD --capacity=50 --min=1 --max=2 --rps-target=3 --slo-violations=2":                             "is no share",
		"--trace LOAD --capacity=50 --min=1 --max=2 --rps-target=3 --policy=x":                                     "give a name, a colon and flags",
		"--trace LOAD --capacity=50 --min=1 --max=2 --rps-target=3 --policy=x:--service=y":                         "unknown flag --service",
		"--trace LOAD --capacity=50 --min=1 --max=2 --rps-target=3 --policy=x:--min=5":                             "--min=5 is above --max=2",
		"--trace LOAD --capacity=50 --min=1 --max=2 --rps-target=3 --last=xd":                                      "is no time",
		"--trace LOAD --capacity=50 --min=1 --max=2 --rps-target=3 --interval=0.5":                                 "--interval=500ms",
		"--trace LOAD --capacity=50 --min=1 --max=2 --rps-target=3 --scale=0 --noise=2 --query-step=0 --last=1":    "--scale=0: give",
	} {
		words := strings.Fields(strings.ReplaceAll(args, "LOAD", load))
		if status, out, errs := simulated(t, words...); status != statusUsage || out != "" || !strings.Contains(errs, says) || !strings.Contains(errs, "see: autoscale simulate --help") {
			t.Errorf("%s: status %d, %s%s", args, status, out, errs)
		}
	}
	if status, _, errs := simulated(t, append([]string{"--trace", filepath.Join(t.TempDir(), "none")}, usualModel...)...); status != statusDoubt || !strings.Contains(errs, "no such file") {
		t.Errorf("no file: status %d, %s", status, errs)
	}
}

// TestBar: how far a simulation is, by what was read or simulated, and how long it
// will take; nothing of a short one, and nothing left behind.
func TestBar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		b := &bar{out: &out, from: &loadFrom{bytes: 1000}, began: time.Now()}
		b.read(100)
		b.show(time.Hour)
		b.end()
		if out.Len() > 0 {
			t.Errorf("at once: %q", out.String())
		}
		time.Sleep(10 * time.Second)
		b.read(150)
		b.show(36 * time.Hour)
		if want := "\r███████" + strings.Repeat("░", barWidth-7) + "  25 %  1.5 days, 30s left\x1b[K"; out.String() != want {
			t.Errorf("%q, want %q", out.String(), want)
		}
		b.show(37 * time.Hour) // too soon after the other
		b.end()
		if text := out.String(); !strings.HasSuffix(text, "left\x1b[K\r\x1b[K") || strings.Count(text, "days") != 1 {
			t.Errorf("in the end: %q", text)
		}
		out.Reset()
		b = &bar{out: &out, from: &loadFrom{length: 10 * 24 * time.Hour}, began: time.Now().Add(-3 * time.Second)}
		b.show(9 * 24 * time.Hour)
		if !strings.Contains(out.String(), " 90 %  9.0 days, 1s left") {
			t.Errorf("by time: %q", out.String())
		}
		b = &bar{from: &loadFrom{}, began: time.Now().Add(-time.Minute)}
		b.show(time.Hour) // nobody looks
		b.end()
	})
}
