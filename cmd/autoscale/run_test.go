package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/config"
	"github.com/five-keys/autoscale/internal/store"
)

// configured reads a configuration in a folder of its own.
func configured(t *testing.T, text string) (*config.File, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "autoscale.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return readConfig(path)
}

func stepperOf(t *testing.T, text string) *stepper {
	t.Helper()
	f, err := configured(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return newStepper(f, f.Services[0], false, nil, nil)
}

const twoSources = `services:
  shop:
    provider: compose
    min: 1
    max: 5
    rps-target: 40
    sources:
      - {metrics-url: "http://a/metrics", rps-target: 100}
      - {metrics-url: "http://b/metrics", name: queue}
`

// Each source has its own target, else the service's: not that of another source.
func TestSourceTargets(t *testing.T) {
	x := stepperOf(t, twoSources)
	more, err := x.inputs(x.ProjectDir)
	if err != nil || len(more) != 1 || more[0].Name != "queue" || more[0].Target != 40 || x.policyAt(time.Now()).Target != 100 {
		t.Errorf("first %v, more %+v (%v)", x.policyAt(time.Now()).Target, more, err)
	}
}

// What another room finds wrong has its place in the file as well.
func TestConfigPlaces(t *testing.T) {
	for text, want := range map[string]string{
		strings.Replace(twoSources, "provider: compose", "provider: k8s", 1):                                                    "autoscale.yaml:7:5: services.shop.sources: on Kubernetes",
		strings.Replace(twoSources, "http://b/metrics", "http://b:99999/metrics", 1):                                            "autoscale.yaml:9:",
		strings.Replace(twoSources, "    sources:", "    schedule: [{cron: \"61 * * * *\", for: 1h, min: 2}]\n    sources:", 1): "autoscale.yaml:7:",
		twoSources + "    notify: [discord://topsecret@1, slack://topsecret]\n":                                                 "autoscale.yaml:10:5: services.shop: notify number 2: slack: its token",
	} {
		if _, err := configured(t, text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A step that cannot find its service counts as one without a reading, also where
// the project lies in another folder than the configuration.
func TestStepMissed(t *testing.T) {
	x := stepperOf(t, "services:\n  app: {provider: compose, min: 1, max: 5, rps-target: 40, docker: /nowhere/docker}\n")
	key := store.Key{Provider: "compose", Engine: "e", Project: "p", Service: "app", Dir: "/srv/elsewhere"}
	now, err := readClocks()
	if err != nil {
		t.Fatal(err)
	}
	now.Time, now.Uptime = now.Time.Add(-time.Second), now.Uptime-time.Second
	file := store.Open(x.StateFile)
	if _, err := file.Save(key, autoscale.State{At: now, Count: 3, History: []autoscale.Point{{Time: now.Time, Load: 1, Verdict: autoscale.OK}}}); err != nil {
		t.Fatal(err)
	}
	if step := x.Step(t.Context()); step.Err == nil {
		t.Fatal("a docker that is not there was found")
	}
	state, _, err := file.Load(key)
	if err != nil || state.Doubts != 1 || len(state.History) != 2 || state.History[1].Verdict != autoscale.Unreachable {
		t.Errorf("%+v (%v)", state, err)
	}
}
