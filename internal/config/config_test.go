package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

var update = flag.Bool("update", false, "write what is generated: testdata/bad/*.golden, testdata/effective.yaml and the tables of docs/config.md")

// env is the environment of the tests.
func env(name string) (string, bool) {
	value, ok := map[string]string{
		"EMPTY": "", "TWO_LINES": "a\nb", "PASSWORD": "hunter2", "AUTOSCALE_TOKEN": "t0ken", "TELEGRAM_TOKEN": "123456:t0ken",
	}[name]
	return value, ok
}

// read is the text of a file.
func read(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// files are those that match a pattern, of which there must be some.
func files(t testing.TB, pattern string) []string {
	t.Helper()
	all, err := filepath.Glob(pattern)
	if err != nil || len(all) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(all), err)
	}
	return all
}

// parsed is a text that has to be right.
func parsed(t *testing.T, path, text string) *File {
	t.Helper()
	file, err := Parse(path, []byte(text), env)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// one is the only service of a text: two spaces in front of each of its lines.
func one(t *testing.T, keys string) Service {
	t.Helper()
	file := parsed(t, "/etc/autoscale/autoscale.yaml", "services:\n shop:\n"+keys)
	if len(file.Services) != 1 {
		t.Fatalf("%d services", len(file.Services))
	}
	return file.Services[0]
}

const enough = "  provider: compose\n  min: 1\n  max: 8\n  rps-target: 40\n"

// remedy matches the words that say what to do.
var remedy = regexp.MustCompile(`\b(write|give|leave|keep|save|swap|look|set|name|make|raise|there are|it is a flag|at least 1|cannot be below 0)\b|did you mean`)

// TestBad: every file in testdata/bad has the problems that stand beside it.
func TestBad(t *testing.T) {
	for _, path := range files(t, "testdata/bad/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text := read(t, path)
			_, err := Parse(path, text, env)
			problems, ok := errors.AsType[Problems](err)
			if !ok || len(problems) == 0 {
				t.Fatalf("no problems, but %v", err)
			}
			here, err := filepath.Abs(filepath.Dir(path))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.ReplaceAll(strings.ReplaceAll(problems.Error(), path, filepath.Base(path)), here, "$HERE") + "\n"
			lines := strings.Count(string(text), "\n")
			for i, p := range problems {
				if p.Line < 1 || p.Line > lines || p.Column < 1 || p.File != path {
					t.Errorf("%v: no place in the file", p)
				}
				if i > 0 && p.Line < problems[i-1].Line {
					t.Errorf("%v: out of order", p)
				}
				if !remedy.MatchString(p.Text) {
					t.Errorf("%v: no remedy", p)
				}
			}
			if strings.Contains(got, "hunter2") {
				t.Errorf("a secret is shown:\n%s", got)
			}
			golden := strings.TrimSuffix(path, "yaml") + "golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(read(t, golden)); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// TestDefaults: what a service gets from itself, from defaults: and from neither.
func TestDefaults(t *testing.T) {
	file := parsed(t, "/etc/autoscale/autoscale.yaml", `
interval: 30
defaults: {provider: kubernetes, min: 2, cooldown: 3m, max-up: 50%, metrics-header: "X: y", kubeconfig: kube, project-dir: /srv}
services:
  app: {max: 8, rps-target: 40, mode: observe}
  shop: {provider: compose, max: 4, interval: 1, rps-target: 7.5, max-up: none, on-doubt: 3, wait: 90, metrics-header: [], project-dir: shop, service: web}
`)
	if file.Interval != 30*time.Second || file.State != "/etc/autoscale/autoscale-state" || file.Listen != "127.0.0.1:9292" || file.MetricsListen != "" {
		t.Errorf("%+v", file)
	}
	if want := (History{File: "/etc/autoscale/autoscale-state/history.db", Keep: 30 * 24 * time.Hour, Size: 512 << 20}); file.History != want {
		t.Errorf("history %+v, want %+v", file.History, want)
	}
	header := masked("X: y", "X: y", "header")
	source := Source{
		MetricsURL: []Secret{masked("http://localhost:8000/metrics", "http://localhost:8000/metrics", "url")}, MetricsScope: "auto",
		RPSMetric: "http_requests_per_second", MetricsHeader: []Secret{header}, RPSTarget: 40,
	}
	app := Service{
		Name: "app", Provider: "k8s", Service: "app", Interval: 30 * time.Second, Min: 2, Max: 8, RPSTarget: 40, Tolerance: 0.1, Cooldown: 3 * time.Minute,
		MaxUp: autoscale.Limit{Share: 0.5}, MaxReversals: 6, ChangeCost: 60, Mode: autoscale.Observe, Apply: "always", Sources: []Source{source},
		ProjectDir: "/srv", DirGiven: true, ComposeFile: "deploy/compose.override.yml", Docker: "docker",
		Kubeconfig: "/etc/autoscale/kube", CPUTarget: 75, HPAFile: "k8s/hpa.yaml", Kubectl: "kubectl",
		Proxy: "127.0.0.1:8080", Drain: 10 * time.Second, Grace: 10 * time.Second,
	}
	wait := 90 * time.Second
	shop := app
	shop.Name, shop.Provider, shop.Service, shop.Interval, shop.Max, shop.RPSTarget = "shop", "compose", "web", time.Second, 4, 7.5
	shop.MaxUp, shop.OnDoubt, shop.Mode, shop.Wait, shop.ProjectDir = autoscale.Limit{}, 3, autoscale.Auto, &wait, "/etc/autoscale/shop"
	source.MetricsHeader, source.RPSTarget = []Secret{}, 7.5
	shop.Sources = []Source{source}
	if want := []Service{app, shop}; !reflect.DeepEqual(file.Services, want) {
		t.Errorf("got\n%+v\nwant\n%+v", file.Services, want)
	}
	if p := app.Policy(); p.Validate() != nil || p.Target != 40 || p.Max != 8 || p.MaxUp.Share != 0.5 {
		t.Errorf("policy %+v", p)
	}
}

// TestRead: a file on the disk, one that is none, and none.
func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "autoscale.yaml")
	if _, err := Read(path); err == nil || err.Error() != path+": cannot be read: no such file or directory; name the daemon's file, such as /etc/autoscale/autoscale.yaml" {
		t.Errorf("of no file: %v", err)
	}
	if _, err := Read(filepath.Dir(path)); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("of a folder: %v", err)
	}
	t.Setenv("AUTOSCALE_TOKEN", "of this process")
	text := "token: ${AUTOSCALE_TOKEN}\nhistory:\nservices:\n app:\n" + enough + "  schedule:\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if file.Path != path || file.Token.Reveal() != "of this process" || file.State != filepath.Join(filepath.Dir(path), "autoscale-state") || file.Services[0].Schedule != nil {
		t.Errorf("%+v", file)
	}
}

// TestTags: each default in the tags is one that the file could have.
func TestTags(t *testing.T) {
	for _, s := range sections() {
		for _, f := range fields(s.typ) {
			if f.tag.Get("help") == "" {
				t.Errorf("%s %s: no help", s.name, f.key)
			}
			for _, tag := range []string{"default", "unset", "atleast", "atmost"} {
				text := f.tag.Get(tag)
				if text == "" || f.typ == typeOf[[]Secret]() {
					continue
				}
				typ := f.typ
				if typ.Kind() == reflect.Pointer {
					typ = typ.Elem()
				}
				v := reflect.New(typ).Elem()
				set(v, text)
				if v.IsZero() != slices.Contains([]string{"0", "0s"}, text) {
					t.Errorf("%s %s: %s %q is read as %v", s.name, f.key, tag, text, v)
				}
			}
		}
	}
}

// TestSources: what each of several starts from, and what they are called.
func TestSources(t *testing.T) {
	shown := func(s Service) string {
		var all []string
		for _, source := range s.Sources {
			all = append(all, fmt.Sprintf("%s %s %s %v %v", source.Name, source.MetricsURL, source.MetricsScope, source.MetricsHeader, source.RPSTarget))
		}
		return strings.Join(all, "; ")
	}
	const provider = "  provider: compose\n  min: 1\n  max: 8\n"
	for name, test := range map[string]struct{ text, want string }{
		"one": {
			"services:\n shop:\n" + enough + "  metrics-url: http://a/\n",
			" [http://a/] auto [] 40",
		},
		"one, with its own target": {
			"services:\n shop:\n" + provider + "  sources: {metrics-url: http://a/, rps-target: 5, name: only}\n",
			"only [http://a/] auto [] 5",
		},
		"several of one name": {
			"services:\n shop:\n" + enough + "  sources: [{metrics-url: http://a/}, {metrics-url: [http://b/, http://c/], rps-target: 5}, {rps-metric: x, metrics-scope: service}]\n",
			"http_requests_per_second [http://a/] auto [] 40; http_requests_per_second (2) [http://b/ http://c/] auto [] 5; x [http://localhost:8000/metrics] service [] 40",
		},
		"from the defaults' only one": {
			"defaults: {metrics-scope: service, metrics-header: \"A: b\"}\nservices:\n shop:\n" + enough + "  sources: [{metrics-url: http://a/}, {metrics-scope: auto, name: b}]\n",
			"http_requests_per_second [http://a/] service [A: ***] 40; b [http://localhost:8000/metrics] auto [A: ***] 40",
		},
		"the defaults' several": {
			"defaults: {sources: [{metrics-url: http://a/, name: a}, {metrics-url: http://b/, name: b}]}\nservices:\n shop:\n" + enough,
			"a [http://a/] auto [] 40; b [http://b/] auto [] 40",
		},
		"one instead of the defaults' several": {
			"defaults: {sources: [{metrics-url: http://a/, name: a}, {metrics-url: http://b/, name: b}]}\nservices:\n shop:\n" + enough + "  metrics-url: http://c/\n",
			" [http://c/] auto [] 40",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := shown(parsed(t, "a.yaml", test.text).Services[0]); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestAnchors: YAML's own ways to say a thing once.
func TestAnchors(t *testing.T) {
	file := parsed(t, "a.yaml", `
services:
  a: &a
    provider: compose
    min: &few 1
    max: 8
    rps-target: 40
    project-dir: /a
  b:
    <<: *a
    project-dir: /b
    max: 4
  c:
    <<: [{max: 3}, *a]
    min: *few
    project-dir: /c
`)
	for i, want := range []string{"1 8 /a", "1 4 /b", "1 3 /c"} {
		s := file.Services[i]
		if got := fmt.Sprint(s.Min, s.Max, " ", s.ProjectDir); got != want {
			t.Errorf("%s: %s, want %s", s.Name, got, want)
		}
	}
}

// TestBomb: aliases of aliases end before they have eaten the machine.
func TestBomb(t *testing.T) {
	source := "&s {metrics-url: [" + strings.Repeat("http://a/,", 600) + "]}"
	sources := "&l [" + source + strings.Repeat(",*s", 600) + "]"
	text := "services:\n a: {sources: " + sources + "}\n b: {sources: *l}\n"
	_, err := Parse("a.yaml", []byte(text), env)
	if err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("no complaint: %.200v", err)
	}
	if _, err := Parse("a.yaml", make([]byte, maxFile+1), env); err == nil || !strings.Contains(err.Error(), "larger than 16 MiB") {
		t.Errorf("of a large file: %.200v", err)
	}
}

// TestLocate: what other rooms find wrong gets its place, and the words of keys.
func TestLocate(t *testing.T) {
	file := parsed(t, "a.yaml", `
defaults:
  provider: compose
  min: 1
services:
  shop:
    max: 8
    rps-target: 40
    metrics-url: http://a/
    schedule:
      - cron: "1 2 3 4 5"
        for: 1h
        min: 4
`)
	err := errors.Join(
		errors.New("--rps-target=40 is below --min=1; use docker compose up --no-deps"),
		errors.New("--metrics-url=http://a/: give another one, or say --metrics-scope=service"),
		errors.New("--min=1: no"), errors.New("nothing that is known"),
	)
	got := append(file.Locate("services.shop", err), file.Locate("services.shop.schedule[0]", errors.New("cron: no such day"))...)
	want := `a.yaml:4:3: defaults: min: 1: no
a.yaml:6:3: services.shop: nothing that is known
a.yaml:8:5: services.shop: rps-target: 40 is below min: 1; use docker compose up --no-deps
a.yaml:9:5: services.shop: metrics-url: http://a/: give another one, or say metrics-scope: service
a.yaml:11:9: services.shop.schedule[0]: cron: no such day`
	if got.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", got, want)
	}
	file = parsed(t, "a.yaml", `
defaults:
  sources: {metrics-url: http://a/}
  schedule:
    - {cron: "@daily", for: 1h, min: 1}
    - {cron: "@daily", for: 1h, min: 2}
services:
  shop: {provider: compose, min: 1, max: 8, rps-target: 40}
`)
	got = append(file.Locate("services.shop.sources[0]", errors.New("--metrics-url: no")), file.Locate("services.shop.schedule[1]", errors.New("min: no"))...)
	want = `a.yaml:3:13: defaults.sources: metrics-url: no
a.yaml:6:33: defaults.schedule[1]: min: no`
	if got.Error() != want {
		t.Errorf("of the defaults: got\n%v\nwant\n%s", got, want)
	}
	if got := file.Locate("services.shop", nil); got != nil {
		t.Errorf("of nothing: %v", got)
	}
}

// TestIdentity: it changes with each setting, secrets among them, and tells none.
func TestIdentity(t *testing.T) {
	const with = enough + "  metrics-url: http://u:hunter2@a/\n" + "  notify: [discord://hunter2@1]\n"
	first := one(t, with).Identity()
	if again := one(t, with).Identity(); again != first {
		t.Errorf("%s, and then %s", first, again)
	}
	for _, other := range []string{
		strings.Replace(with, "u:hunter2", "u:hunter3", 1), strings.Replace(with, "//hunter2@1", "//hunter3@1", 1), enough, with + "  metrics-header: \"A: b\"\n", with + "  wait: 60\n", with + "  project-dir: .\n",
		with + "  max-up: 2\n", with + "  schedule: {cron: \"@daily\", for: 1h, min: 2}\n",
	} {
		if got := one(t, other).Identity(); got == first {
			t.Errorf("it is the same with\n%s", other)
		}
	}
}

// TestEffective: what is in force is a file that says the same, less the secrets.
func TestEffective(t *testing.T) {
	file := parsed(t, "/etc/autoscale/autoscale.yaml", `
token: ${AUTOSCALE_TOKEN}
listen: off
metrics-listen: :9293
defaults: {provider: compose, min: 1, max: 5, rps-target: 40}
services:
  shop:
    wait: 90
    max-down: 25%
    metrics-url: ["http://u:${PASSWORD}@h:80/m?token=hunter2&x", "http://{replica}:1/"]
    metrics-header: "Authorization: Bearer hunter2"
    schedule: {cron: "@daily", for: 36h, max: 2}
  cluster: {provider: k8s, cpu-target: 0}
`)
	first, err := file.Effective()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/effective.yaml", first, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := string(read(t, "testdata/effective.yaml")); string(first) != want {
		t.Errorf("got\n%swant\n%s", first, want)
	}
	again, err := parsed(t, "/elsewhere/autoscale.yaml", string(first)).Effective()
	if err != nil || string(again) != string(first) {
		t.Errorf("read again: %v\n%s", err, again)
	}
}

// TestOtherSources: what a service states itself goes before what the defaults say,
// and nothing of another way to read the load stays.
func TestOtherSources(t *testing.T) {
	file := parsed(t, "/etc/autoscale/autoscale.yaml", `
defaults: {provider: compose, min: 1, max: 8, rps-target: 40, prometheus-url: http://me:hunter2@prom:9090, metrics-header: "X: y", rps-metric: hits_total, metrics-scope: service}
services:
  asks: {prometheus-query: sum(up)}
  page: {metrics-url: http://h/m}
  usual: {}
  log: {access-log: logs/access.log, min: 0}
  some: {access-log: /a.log, rps-metric: 'requests{path!="/healthz"}'}
  cluster: {provider: k8s, prometheus-query: up}
  runs: {provider: process, command: [x], prometheus-query: up, min: 0}
  counts: {provider: process, command: [x], proxy: 127.0.0.1:8081, rps-target: 2}
  many: {sources: [{prometheus-query: up}, {access-log: b/a.log}, {access-log: c/a.log}, {metrics-url: http://h/}]}
`)
	got := map[string]string{}
	for _, s := range file.Services {
		for _, source := range s.Sources {
			got[s.Name] += fmt.Sprintf("%s|%v|%s %s|%s|%s %s|%d;", source.Name, source.MetricsURL, source.PrometheusURL, source.PrometheusQuery, source.AccessLog, source.RPSMetric, source.MetricsScope, len(source.MetricsHeader))
		}
	}
	const page, server = "http_requests_per_second", "http://***@prom:9090"
	for name, want := range map[string]string{
		"asks":    "|[]|" + server + " sum(up)||" + page + " auto|1;",
		"page":    "|[http://h/m]| ||hits_total service|1;",
		"usual":   "|[http://localhost:8000/metrics]| ||hits_total service|1;",
		"log":     "|[]| |logs/access.log|requests auto|0;",
		"some":    `|[]| |/a.log|requests{path!="/healthz"} auto|0;`,
		"cluster": "|[]|" + server + " up||hits_total auto|1;",
		"runs":    "|[]|" + server + " up||" + page + " auto|1;",
		"counts":  "|[]| ||hits_total service|1;",
		"many": "up|[]|" + server + " up||" + page + " auto|1;" + "a.log|[]| |b/a.log|requests auto|0;" + "a.log (2)|[]| |c/a.log|requests auto|0;" +
			"hits_total|[http://h/]| ||hits_total service|1;",
	} {
		if got[name] != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got[name], want)
		}
	}
	shown, err := file.Effective()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(shown), "hunter2") {
		t.Error("a secret is shown")
	}
	again := parsed(t, "/etc/autoscale/autoscale.yaml", string(shown))
	for i, s := range again.Services {
		for j, source := range s.Sources {
			was := file.Services[i].Sources[j]
			if source.Instead() != was.Instead() || source.OfProxy() != was.OfProxy() || source.PrometheusQuery != was.PrometheusQuery || source.AccessLog != was.AccessLog || source.Instead() && source.RPSMetric != was.RPSMetric {
				t.Errorf("%s, as it is shown:\n got %+v\nwant %+v\n%s", s.Name, source, was, shown)
			}
		}
	}
	if a, b := one(t, enough+"  prometheus-query: up\n  prometheus-url: http://me:a@p\n"), one(t, enough+"  prometheus-query: up\n  prometheus-url: http://me:b@p\n"); a.Identity() == b.Identity() {
		t.Error("another password is the same service")
	}
}
