package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// runs runs the program in its own process.
func runs(t *testing.T, args ...string) (status int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status = run(t.Context(), args, streams{out: &stdout, err: &stderr})
	return status, stdout.String(), stderr.String()
}

// TestFlags: what is wrong in itself ends with 2, names the flag, and touches
// nothing.
func TestFlags(t *testing.T) {
	dir := t.TempDir()
	good := []string{"--provider=compose", "--min=1", "--max=5", "--rps-target=40", "--project-dir=" + dir, "--apply=never"}
	for wrong, says := range map[string]string{
		"--provider=swarm":                  `"swarm": give compose or k8s`,
		"--min=-1":                          "--min=-1",
		"--min=6":                           "--min=6 is above --max=5",
		"--min=one":                         `"one" is no whole number`,
		"--max=0":                           "--max=0",
		"--rps-target=0":                    "--rps-target=0",
		"--rps-target=-4":                   "--rps-target=-4",
		"--rps-target=NaN":                  "--rps-target=NaN",
		"--rps-target=Inf":                  "--rps-target=+Inf",
		"--rps-target=many":                 `"many" is no number`,
		"--tolerance=1":                     "--tolerance=1",
		"--tolerance=NaN":                   "--tolerance=NaN",
		"--cooldown=-1":                     "--cooldown=-1s",
		"--cooldown=2min":                   "is no time",
		"--cooldown=NaN":                    "is no time",
		"--max-up=0":                        "is no limit",
		"--max-down=-10%":                   "is no share",
		"--on-doubt=0":                      "give hold, or the number",
		"--max-reversals=-1":                "--max-reversals=-1",
		"--inflight-target=-1":              "--inflight-target=-1",
		"--inflight-target=5":               "belong together",
		"--inflight-metric=in_flight":       "belong together",
		"--upstream-file=a":                 "belong together",
		"--upstream-format=apache":          "--upstream-format",
		"--upstream-port=8000":              "are about a list",
		"--upstream-port=-1":                "--upstream-port=-1",
		"--on-change=nginx":                 "--apply=never: which replicas",
		"--on-change=a && b":                "&& is for a shell",
		"--drain=-1":                        "--drain=-1s",
		"--min=0":                           "--metrics-scope=service",
		"--metrics-url=ftp://x/":            "ftp",
		"--metrics-url=http://{replica}/":   "--apply=never: {replica} needs the engine",
		"--metrics-scope=all":               "--metrics-scope",
		"--rps-metric=http_requests{code=}": "--rps-metric",
		"--rps-metric-type=histogram":       "--rps-metric-type",
		"--metrics-header=no colon":         "--metrics-header",
		"--mode=dry":                        "--mode",
		"--apply=maybe":                     "--apply",
		"--output=yaml":                     "--output",
		"--notify=http://x/":                "--notify number 1: \"http\" is none of",
		"--notify=telegram://secret":        "--notify number 1: telegram: its token",
		"--textfile=/a/app.txt":             "call it /a/app.prom",
		"--service=":                        "--service is empty",
		"--unknown":                         "unknown flag --unknown",
	} {
		status, out, errs := runs(t, append(good, wrong)...)
		if status != statusUsage || out != "" || !strings.Contains(errs, says) || !strings.Contains(errs, "see: autoscale --help") {
			t.Errorf("%s: status %d, %q, %q; want it to say %q", wrong, status, out, errs, says)
		}
	}
	for wrong, says := range map[string]string{
		"--prometheus-url=http://p:9090":                                               "--prometheus-url and --prometheus-query belong together",
		"--prometheus-query=up":                                                        "--prometheus-url and --prometheus-query belong together",
		"--prometheus-url=p:9090 --prometheus-query=up":                                "it has to be the server's URL",
		"--prometheus-url=http://p --prometheus-query=http_requests_total":             "is a counter, which only grows",
		"--prometheus-url=http://p --prometheus-query=up --metrics-url=http://h/":      "--prometheus-url and --metrics-url both say where the load is read",
		"--prometheus-url=http://p --prometheus-query=up --access-log=a":               "--prometheus-url and --access-log both say",
		"--prometheus-url=http://p --prometheus-query=up --rps-metric=x":               "--rps-metric is about a metrics page",
		"--prometheus-url=http://p --prometheus-query=up --metrics-scope=service":      "--metrics-scope is about a metrics page",
		"--prometheus-url=http://p --prometheus-query=up --rps-metric-type=gauge":      "--rps-metric-type is about a metrics page",
		"--prometheus-url=http://p --prometheus-query=up --inflight-metric=x":          "--inflight-metric is about a metrics page",
		"--prometheus-url=http://p --prometheus-query=up --metrics-header=no-colon":    "--metrics-header number 1",
		"--access-log=a --metrics-url=http://h/":                                       "--access-log and --metrics-url both say",
		"--access-log=a --metrics-header=A:b":                                          "--metrics-header is about a metrics page",
		"--access-log=a --rps-metric=hits_total":                                       "of an access log it picks requests",
		`--access-log=a --rps-metric=requests{user="x"}`:                               "method, path, host, code are known, not user",
		`--access-log=a --rps-metric=requests{path=~"("}`:                              "--rps-metric",
		"--access-log=a --provider=k8s":                                                "--access-log: on Kubernetes the HPA reads a metric of the pods",
		"--prometheus-url=http://p --prometheus-query=up --provider=k8s --min=0":       "--min=0",
		"--prometheus-url=http://p --prometheus-query=up --provider=k8s --rps-metric=": "--rps-metric",
	} {
		status, out, errs := runs(t, append(good, strings.Fields(wrong)...)...)
		if status != statusUsage || out != "" || !strings.Contains(errs, says) {
			t.Errorf("%s: status %d, %q, %q; want it to say %q", wrong, status, out, errs, says)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestOtherCalls(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{nil, statusUsage, "no flags; see: autoscale --help"},
		{[]string{"--help"}, statusDone, "Usage: autoscale --provider=compose|k8s --min=N"},
		{[]string{"version"}, statusDone, "autoscale "},
		{[]string{"--version"}, statusDone, "autoscale "},
		{[]string{"proxies"}, statusUsage, `this version has no command "proxies"`},
		{[]string{"proxies"}, statusUsage, "it has: scale (the default), run, doctor, schedule, "},
		{[]string{"stauts"}, statusUsage, `no command "stauts"; did you mean status?`},
		{[]string{"schedule", "instal"}, statusUsage, "unexpected argument \"instal\"; did you mean schedule install? (there are print, install, remove, status)\nautoscale: see: autoscale schedule --help\n"},
		{[]string{"schedule", "at-night"}, statusUsage, "unexpected argument \"at-night\"; schedule is followed by one of print, install, remove, status\n"},
		{[]string{"explain", "00:30"}, statusUsage, "unexpected argument \"00:30\"; did you mean --at 00:30?\nautoscale: see: autoscale explain --help\n"},
		{[]string{"explain", "5"}, statusUsage, `unexpected argument "5"; did you mean --last 5?`},
		{[]string{"explain", "all"}, statusUsage, "unexpected argument \"all\"\n"},
		{[]string{"explain", "--last=0"}, statusUsage, "see: autoscale explain --help"},
		{[]string{"status", "--everything"}, statusUsage, "see: autoscale status --help"},
		{[]string{"schedule", "install"}, statusUsage, "see: autoscale schedule install --help"},
		{[]string{"--min=1", "app"}, statusUsage, "unexpected argument \"app\"\nautoscale: see: autoscale --help\n"},
		{[]string{"scale", "3"}, statusUsage, "unexpected argument \"3\"\nautoscale: see: autoscale --help\n"},
		{[]string{"--help"}, statusDone, "Show this help."},
		{[]string{"--provider=compose"}, statusUsage, "missing flags: --max=N, --min=N, --rps-target=RPS"},
	} {
		if status, out, errs := runs(t, c.args...); status != c.status || !strings.Contains(out+errs, c.says) {
			t.Errorf("%q: status %d: %s%s", c.args, status, out, errs)
		}
	}
}

// TestOwnFlagsFirst: a command's help begins with what only that command has.
func TestOwnFlagsFirst(t *testing.T) {
	for command, own := range map[string][]string{
		"doctor": {"--fix", "--yes"}, "rollback": {"--replicas", "--restore"},
		"explain": {"--at", "--changes", "--state-file", "--output"}, "status": {"--project-dir", "--output"},
	} {
		status, out, _ := runs(t, command, "--help")
		_, flags, _ := strings.Cut(out, "\nFlags:")
		first, _, _ := strings.Cut(flags, "\nThe number:")
		for _, flag := range own {
			if status != statusDone || !strings.Contains(first, flag) {
				t.Errorf("%s: %d, no %s in\n%s", command, status, flag, first)
			}
		}
		if strings.Count(out, "--output=text") != 1 {
			t.Errorf("%s: a flag is shown twice:\n%s", command, out)
		}
	}
}

// TestFileOnly is a whole run where no engine is asked: the file and the state
// are written, the line and the object are printed.
func TestFileOnly(t *testing.T) {
	dir := t.TempDir()
	load := 100.0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "http_requests_per_second %v\n", load)
	}))
	t.Cleanup(server.Close)
	flags := []string{"--provider=compose", "--min=1", "--max=5", "--rps-target=40", "--cooldown=0", "--project-dir=" + dir, "--apply=never", "--metrics-url=" + server.URL + "/metrics"}

	if status, out, errs := runs(t, append(flags, "--dry-run")...); status != statusDone || !strings.Contains(out, "app dry-run: 1 -> 3 replicas") || errs != "" {
		t.Errorf("%d %s%s", status, out, errs)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("a dry run left behind: %v, %v", left, err)
	}
	status, out, errs := runs(t, flags...)
	line := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S+ app: 1 -> 3 replicas: 100 rps; more than the 44 rps that 1 replica may carry, so 3 replicas\. Next: 4 replicas above 132 rps; 2 at 72 rps or less\n$`)
	if status != statusDone || !line.MatchString(out) || errs != "" {
		t.Errorf("%d %q %q", status, out, errs)
	}
	text, err := os.ReadFile(filepath.Join(dir, "deploy/compose.override.yml"))
	if want := "services:\n  app:\n    deploy:\n      replicas: 3\n"; err != nil || string(text) != want {
		t.Errorf("%q, %v", text, err)
	}
	load = 10
	status, out, _ = runs(t, append(flags, "--output=json")...)
	var d document
	if err := json.Unmarshal([]byte(out), &d); err != nil || status != statusDone || d.Version != 1 || d.Decision.From != 3 || d.Decision.To != 1 || d.Reason != "LoadBelowTarget" || !strings.HasPrefix(d.Text, "3 -> 1 replica: 10 rps") {
		t.Errorf("%d %v %s", status, err, out)
	}
	server.Close()
	if status, out, _ = runs(t, flags...); status != statusDoubt || !strings.Contains(out, "1 replica kept: reading is unreachable") {
		t.Errorf("%d %s", status, out)
	}
	journal, err := os.ReadFile(filepath.Join(dir, "tools/.autoscale_state.journal.ndjson"))
	if err != nil || strings.Count(string(journal), "\n") != 3 {
		t.Errorf("%v\n%s", err, journal)
	}
}
