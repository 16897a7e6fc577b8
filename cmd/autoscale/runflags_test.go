package main

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// runLine is the command of a line, less "run", and which flags stand in it.
func runLine(t *testing.T, args ...string) (*runCommand, *kong.Context) {
	t.Helper()
	c := &cli{}
	parser, err := kong.New(c, kong.Name("autoscale"), kongGroups(), kongVars(), kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	lookBack(parser)
	line, err := parser.Parse(append([]string{"run"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	return &c.Run, line
}

// ofRun are the fields that are no service's, or, the last, stand elsewhere in a
// file.
var ofRun = []string{"Provider", "StateFile", "DryRun", "Output", "Textfile", "Notify"}

// What flags say of a service is what decisions are made by: none is lost on its
// way through the file that stands for them.
func TestFlagsBecomeFile(t *testing.T) {
	dir := t.TempDir()
	set := map[string]bool{}
	for _, source := range []map[string]string{
		{"metrics-url": "http://u:p@127.0.0.1:1/m?k=v", "metrics-scope": "service", "rps-metric": "other", "rps-metric-type": "gauge", "metrics-header": "A: b", "inflight-target": "5", "inflight-metric": "busy"},
		{"prometheus-url": "http://u:p@127.0.0.1:1/", "prometheus-query": "sum(rate(a[1m]))", "metrics-header": "A: b"},
		{"access-log": "a.log", "rps-metric": `requests{path!="/b"}`},
	} {
		becomesFile(t, dir, source, set)
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[flags]()) {
		if field.IsExported() && !set[field.Name] && !slices.Contains(ofRun, field.Name) {
			t.Errorf("the test does not set %s", field.Name)
		}
	}
}

// becomesFile is TestFlagsBecomeFile for one way to read the load; set gets the names
// of the flags' fields that were held against what became of them.
func becomesFile(t *testing.T, dir string, source map[string]string, set map[string]bool) {
	t.Helper()
	all := map[string]string{
		"service": "shop", "min": "2", "max": "9", "rps-target": "7.5", "cooldown": "33", "tolerance": "0.2", "max-up": "3", "max-down": "25%", "on-doubt": "4", "max-reversals": "9", "slo-violations": "0.2%", "capacity": "10", "change-cost": "30",
		"compose-file": "o.yml", "file": "c.yml", "project-name": "p", "env-file": "e", "profile": "x", "docker": "podman", "wait": "77",
		"upstream-file": "u.conf", "upstream-format": "haproxy", "upstream-port": "81", "upstream-network": "n", "on-change": "true", "drain": "44",
		"namespace": "ns", "context": "ctx", "kubeconfig": "/k", "cpu-target": "12", "hpa-file": "h.yaml", "kubectl": "kc",
		"project-dir": dir, "start": "true", "notify": "ntfy://ntfy.invalid/topic", "apply": "always", "mode": "raise-only",
	}
	maps.Copy(all, source)
	args := []string{"--provider=compose"}
	for name, value := range all {
		args = append(args, "--"+name+"="+value)
	}
	c, _ := runLine(t, args...)
	s := c.serviceOf(dir, nil)
	f, err := c.byFlags(append(stated(all), "provider"))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f.Services[0].Identity(), func() string { s.DirGiven = true; return s.Identity() }()) {
		t.Error("byFlags has another service")
	}
	want, got := reflect.ValueOf(c.flags), reflect.ValueOf(*flagsOf(f, s, false))
	for i := range want.NumField() {
		field := want.Type().Field(i)
		if !field.IsExported() || slices.Contains(ofRun, field.Name) {
			continue
		}
		set[field.Name] = set[field.Name] || !want.Field(i).IsZero()
		if !reflect.DeepEqual(got.Field(i).Interface(), want.Field(i).Interface()) {
			t.Errorf("%s is %v, and was %v", field.Name, got.Field(i), want.Field(i))
		}
	}
}

func stated(all map[string]string) (names []string) {
	for name := range all {
		names = append(names, name)
	}
	return names
}

// A run by flags says what is missing, and what does not belong there.
func TestRunFlags(t *testing.T) {
	dir := t.TempDir()
	good := []string{"--min=1", "--max=5", "--rps-target=40", "--project-dir=" + dir}
	for wrong, says := range map[string]string{
		"":                                              `missing flags: --provider=compose|k8s|process, --min=N, --max=N, --rps-target=RPS`,
		"--provider=process":                            "the command is missing",
		"--provider=process -- ./none":                  "the command ./none cannot be run",
		"--provider=compose -- sh":                      "it runs no command; leave sh away",
		"--provider=compose --proxy=:1":                 "--proxy is for --provider=process",
		"--config=a.yaml -- sh":                         "--config names a file that says all",
		"--listen=0.0.0.0:1 -- sh":                      "--listen=0.0.0.0:1: give an address of this machine alone",
		"--interval=0.5 -- sh":                          "--interval=500ms: at least 1s",
		"--output=json -- sh":                           "a daemon has --log=json",
		"--apply=never -- sh":                           "--apply means nothing with --provider=process",
		"--rps-metric=x -- sh":                          "--rps-metric is about a metrics page",
		"--dry-run -- sh":                               "--dry-run starts nothing",
		"--proxy=8080 -- sh":                            "--proxy=8080: give host:port",
		"--cooldown=-1 -- sh":                           "--cooldown=-1s",
		"--metrics-url=http://x:x/ -- sh":               "--metrics-url",
		"--metrics-url=http://{replica}/ --min=0 -- sh": "--min=0: without a replica nobody would see",
	} {
		args := append([]string{"run"}, good...)
		if wrong == "" {
			args = []string{"run", "--cooldown=1"}
		}
		if status, _, errs := runs(t, append(args, strings.Fields(wrong)...)...); status != statusUsage || !strings.Contains(errs, says) {
			t.Errorf("%s: status %d, wants %q\n%s", wrong, status, says, errs)
		}
	}
	if status, _, errs := runs(t, "run", "autoscale.yaml"); status != statusUsage || !strings.Contains(errs, "--config=autoscale.yaml") {
		t.Errorf("a bare file: %d\n%s", status, errs)
	}
	if status, _, errs := runs(t, "--provider=process", "--min=1", "--max=2", "--rps-target=1"); status != statusUsage || !strings.Contains(errs, "autoscale run --provider=process") {
		t.Errorf("one decision: %d\n%s", status, errs)
	}
	if status, out, errs := runs(t, append(append([]string{"run", "--check", "--min=0"}, good[1:]...), "--", "sh", "-c", "exit")...); status != statusDone || !strings.Contains(out, "provider: process") {
		t.Errorf("from zero: %d\n%s%s", status, out, errs)
	}
}
