// Package doctor looks at a set-up before it is switched on: what would go wrong
// later, each finding with its remedy. It changes nothing; what it could mend it
// offers as a Fix.
package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/compose"
	"github.com/five-keys/autoscale/internal/kubernetes"
	"github.com/five-keys/autoscale/internal/prometheus"
	"github.com/five-keys/autoscale/internal/schedule"
	"github.com/five-keys/autoscale/internal/store"
)

// Level says how much a finding matters.
type Level string

const (
	// LevelError is what keeps the service from being scaled.
	LevelError Level = "error"
	// LevelWarning is what will hurt some day.
	LevelWarning Level = "warning"
	// LevelNote is worth knowing; alone it leaves a set-up sound.
	LevelNote Level = "note"
)

// Finding is one thing that is not as it should be.
type Finding struct {
	// Code is a stable name; docs/doctor.md has them all.
	Code   string `json:"code"`
	Level  Level  `json:"level"`
	Text   string `json:"text"`
	Remedy string `json:"remedy"`
	// Fix is nil where nothing can safely be done about it from here.
	Fix *Fix `json:"fix,omitempty"`
}

// Fix is something that mends a finding.
type Fix struct {
	// Text says what Apply does, as an order: "append … to …".
	Text  string                      `json:"text"`
	Apply func(context.Context) error `json:"-"`
}

// Report is what an examination came to.
type Report struct {
	// Project is the Compose project's name, the namespace, or the folder's path where nothing
	// that was found says one.
	Project string
	// Facts are what is so, in short lines, for people.
	Facts    []string
	Findings []Finding
}

// Sound reports whether nothing was found that has to be mended.
func (r Report) Sound() bool {
	for _, f := range r.Findings {
		if f.Level != LevelNote {
			return false
		}
	}
	return true
}

func (r *Report) add(code, text, remedy string) *Finding {
	r.Findings = append(r.Findings, Finding{Code: code, Level: level(code), Text: text, Remedy: remedy})
	return &r.Findings[len(r.Findings)-1]
}

func (r *Report) addProblem(p *compose.Problem) *Finding { return r.add(p.Code, p.Fact, p.Remedy) }

func (r *Report) fact(format string, args ...any) {
	r.Facts = append(r.Facts, fmt.Sprintf(format, args...))
}

// Source reads the load.
type Source interface {
	Read(ctx context.Context, replicas []autoscale.Replica) autoscale.Reading
}

// source is where the load is read of a project in folder dir; pages are those of
// the metrics.
func (s Setup) source(dir string, pages prometheus.Config) (Source, error) {
	if s.Instead != nil {
		return s.Instead(dir)
	}
	return prometheus.New(pages)
}

// Setup is what is examined: a Compose service, or where Kubernetes is set a
// Deployment.
type Setup struct {
	Compose    compose.Config
	Kubernetes *kubernetes.Config
	Metrics    prometheus.Config
	// Instead opens what is read in place of metrics pages, for a project in folder
	// dir: an access log where Log is set, else a Prometheus server. It is nil where
	// pages are read.
	Instead func(dir string) (Source, error)
	Log     bool
	// StateFile names the state file of the project in folder dir.
	StateFile func(dir string) string
	// Now is the time that ages are counted to.
	Now time.Time
}

// Examine looks at everything and changes nothing. An error says that the
// looking itself failed; the Report holds what was seen until then.
func Examine(ctx context.Context, s Setup) (Report, error) {
	if s.Kubernetes != nil {
		return s.examineCluster(ctx)
	}
	r := Report{Project: s.Compose.Dir}
	w, seen, err := s.workload(ctx, &r)
	if w != nil {
		defer w.Close()
	}
	if err != nil {
		return r, err
	}
	var ports []uint16
	dir := s.Compose.Dir
	if w != nil {
		ports, dir = w.ExposedPorts(), w.Dir()
		tracked(ctx, &r, w)
	}
	source, err := s.source(dir, s.Metrics)
	if err != nil {
		return r, err
	}
	s.metrics(ctx, &r, source, seen.Running, ports)
	return r, s.scheduled(ctx, &r, schedule.Workload{Service: s.Compose.Service, Dir: dir, Provider: "compose"})
}

// scheduled looks at what runs the decision again and again.
func (s Setup) scheduled(ctx context.Context, r *Report, w schedule.Workload) error {
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	last, err := lastRun(store.Open(s.StateFile(w.Dir)).Journal(), w)
	if err != nil {
		r.fact("journal: %v", err)
	}
	entries, warnings, err := schedule.Find(ctx, w)
	for _, warning := range warnings {
		r.fact("schedule: %s", warning)
	}
	if err != nil {
		return err
	}
	scheduled(r, entries, last, s.Now)
	return nil
}

// workload finds the service and what speaks against scaling it. It is nil
// where it cannot be found.
func (s Setup) workload(ctx context.Context, r *Report) (*compose.Workload, autoscale.Replicas, error) {
	w, err := compose.Find(ctx, s.Compose)
	if ctx.Err() != nil {
		return nil, autoscale.Replicas{}, context.Cause(ctx)
	}
	if err != nil {
		r.addProblem(compose.FindProblem(err))
		return nil, autoscale.Replicas{}, nil
	}
	r.Project = orElse(w.Project(), w.Dir())
	seen, err := w.Observe(ctx)
	if ctx.Err() != nil {
		return w, seen, context.Cause(ctx)
	}
	if err != nil {
		r.addProblem(compose.FindProblem(err))
		return w, seen, nil
	}
	survey, err := w.Survey(ctx)
	if err != nil {
		return w, seen, err
	}
	if seen.Stopped != nil {
		r.addProblem(compose.FindProblem(seen.Stopped))
	}
	for _, p := range survey.Problems {
		if seen.Stopped != nil && compose.FindProblem(seen.Stopped).Code == p.Code {
			continue // said already
		}
		found := r.addProblem(&p)
		if p.Code == compose.CodeNotCarried {
			found.Fix = carry(w)
		}
	}
	if survey.Engine != "" {
		r.fact("engine: Docker %s, Compose %s", survey.Engine, orElse(survey.Compose, "missing"))
		r.fact("replicas: %d of at most %d", survey.Replicas, s.Compose.Max)
	}
	return w, seen, nil
}

// carry makes a plain "docker compose up" read the override.
func carry(w *compose.Workload) *Fix {
	path, line, ok := w.Carry()
	if !ok {
		return nil
	}
	return &Fix{Text: fmt.Sprintf("append %s to %s", line, path), Apply: w.CarryOverride}
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
