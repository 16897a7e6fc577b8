package web

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
)

// What a file and the daemon both have is the same metric, and a parser of the
// field's reads what we write.
func TestTextfile(t *testing.T) {
	now := time.Now()
	common := map[string]string{}
	for _, f := range gather(standings(now).shots, now) {
		common[f.GetName()] = f.GetHelp() + f.GetType().String()
	}
	for _, shot := range standings(now).shots {
		text, err := Textfile(shot, now)
		if err != nil {
			t.Fatal(err)
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		all, err := parser.TextToMetricFamilies(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		for name, f := range all {
			if want, both := common[name]; want != f.GetHelp()+f.GetType().String() && (both || !strings.Contains(name, "_timestamp_seconds")) {
				t.Errorf("%s is %s %s, want %s", name, f.GetType(), f.GetHelp(), want)
			}
			for _, m := range f.Metric {
				projects := 0
				for _, l := range m.Label {
					if l.GetName() == "project" {
						projects++
					}
				}
				if projects != 1 {
					t.Errorf("%s has the label project %d times", name, projects)
				}
			}
		}
	}
}

// What a file says is read again as it was written, whatever the names.
func TestReadTextfile(t *testing.T) {
	at := time.UnixMilli(1790000000123)
	shot := control.Snapshot{
		Service: control.Service{Name: `a "b" \ c` + "\n}", Provider: "compose"}, Succeeded: at, Ran: at, Steps: 1, Replicas: 3,
		Reasons: map[autoscale.Reason]uint64{"": 1}, Last: control.Step{Project: `/srv/ä{x="y"}`},
	}
	text, err := Textfile(shot, at)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ReadTextfile(text)
	if err != nil || e.Service != shot.Name || e.Project != shot.Last.Project || e.Replicas != 3 || !e.Counted || !e.Succeeded.Equal(at) {
		t.Errorf("%+v (%v)\n%s", e, err, text)
	}
	for _, other := range []string{"", "x", string(text) + "node_load1 1\n", string(text) + "#\n", "# HELP autoscale_x\n", "autoscale_replicas{} 1e\n", "autoscale_replicas{} .\n"} {
		if e, err := ReadTextfile([]byte(other)); err == nil {
			t.Errorf("%q: %+v", other, e)
		}
	}
}

// FuzzReadTextfile: whatever lies there, it is read or refused.
func FuzzReadTextfile(f *testing.F) {
	text, err := Textfile(control.Snapshot{Service: control.Service{Name: "app"}, Last: control.Step{Project: "bot"}}, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add("autoscale_service_info{service=\"\\\"} 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		if e, err := ReadTextfile([]byte(text)); err == nil && !strings.Contains(text, "autoscale_service_info") {
			t.Errorf("%+v", e)
		}
	})
}
