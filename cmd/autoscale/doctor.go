package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/five-keys/autoscale/internal/doctor"
	"github.com/five-keys/autoscale/internal/store"
)

// doctorCommand examines a set-up.
type doctorCommand struct {
	flags
	Fix bool `group:"run" help:"Mend what can safely be mended, after asking."`
	Yes bool `group:"run" short:"y" help:"Mend it without asking."`
}

// Help is what stands below the flags' summary.
func (c *doctorCommand) Help() string {
	return `Takes the flags of the line that is to be examined, reads what a decision would
read, asks the engine and Compose, and changes nothing.

Exit status: 0 all is well (notes do not count); 1 there are findings, or the
looking failed; 2 flags wrong in themselves.`
}

// examined is the object that doctor --output=json prints.
type examined struct {
	Version  int    `json:"version"`
	Provider string `json:"provider"`
	Project  string `json:"project"`
	Service  string `json:"service"`
	// Status is the exit status: with --fix that of what is left after mending.
	Status   int              `json:"status"`
	Findings []doctor.Finding `json:"findings"`
	Facts    []string         `json:"facts"`
	// Mended is what --fix did.
	Mended []mending `json:"mended"`
	Error  string    `json:"error,omitempty"`
}

// mending is a fix that was applied.
type mending struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// Run examines, prints, and mends where asked to.
func (c *doctorCommand) Run(ctx context.Context, s streams) error {
	if err := c.check(); err != nil {
		return usage(err)
	}
	if c.Output == "json" && c.Fix && !c.Yes && !c.DryRun {
		return usage(errors.New("--fix --output=json: nobody can be asked, since one object is all that is printed; look at what it would do with --dry-run, then say --yes"))
	}
	dir, err := c.dir()
	if err != nil {
		return c.end(s, doctor.Report{Project: c.ProjectDir}, nil, err)
	}
	report, err := c.examine(ctx, s, dir)
	if printed := c.print(s, report, dir); printed != nil {
		return fmt.Errorf("the findings cannot be printed: %w", printed)
	}
	if err != nil {
		return c.end(s, report, nil, fmt.Errorf("the examination ended early: %w", err))
	}
	if !c.Fix {
		return c.end(s, report, nil, nil)
	}
	mended, err := c.mend(ctx, s, report)
	if len(mended) > 0 { // what is left decides
		left, failed := c.examine(ctx, s, dir)
		if failed == nil && c.Output != "json" {
			_, failed = fmt.Fprintf(s.out, "\n%s\n", summary(c.Service, left))
		}
		report, err = left, errors.Join(err, failed)
	}
	return c.end(s, report, mended, err)
}

// end gives the exit status; with --output=json it prints the object, whatever
// the run came to.
func (c *doctorCommand) end(s streams, report doctor.Report, mended []mending, failed error) error {
	status := statusDone
	if failed != nil || !report.Sound() {
		status = statusDoubt
	}
	if c.Output != "json" {
		if failed != nil {
			return failed
		}
		return ended(status)
	}
	e := examined{
		Version: outputVersion, Provider: string(c.Provider), Project: report.Project, Service: c.Service, Status: status,
		Findings: append([]doctor.Finding{}, report.Findings...), Facts: append([]string{}, report.Facts...), Mended: append([]mending{}, mended...),
	}
	if failed != nil {
		e.Error = failed.Error()
	}
	encoder := json.NewEncoder(s.out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		return fmt.Errorf("the findings cannot be printed: %w", err)
	}
	return ended(status)
}

// ended is the error that stands for a status of which all was said.
func ended(status int) error {
	if status == statusDone {
		return nil
	}
	return exit{status: status}
}

func (c *doctorCommand) examine(ctx context.Context, s streams, dir string) (doctor.Report, error) {
	setup := doctor.Setup{Metrics: c.source(), StateFile: c.statePath, Now: time.Now()}
	if instead := c.instead(); instead != "" {
		setup.Log = c.AccessLog != ""
		setup.Instead = func(dir string) (doctor.Source, error) { return c.reader(dir, nil) }
	}
	if c.Provider == k8s {
		metric, err := c.hpaMetric()
		if err != nil {
			return doctor.Report{Project: dir}, err
		}
		hpa := c.hpa(s, dir, metric)
		setup.Kubernetes = &hpa
		return doctor.Examine(ctx, setup)
	}
	setup.Compose = c.workload(s, dir, &store.Key{Provider: string(c.Provider), Service: c.Service, Dir: dir})
	return doctor.Examine(ctx, setup)
}

// print shows the report to people.
func (c *doctorCommand) print(s streams, report doctor.Report, dir string) error {
	if c.Output == "json" {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "service %q in %s\n\n", c.Service, dir)
	for _, fact := range report.Facts {
		fmt.Fprintf(&b, "  %s\n", fact)
	}
	for _, f := range report.Findings {
		fmt.Fprintf(&b, "\n%s %s\n", f.Level, f.Code)
		for line := range strings.Lines(f.Text) {
			fmt.Fprintf(&b, "  %s\n", strings.TrimRight(line, "\n"))
		}
		fmt.Fprintf(&b, "  -> %s\n", f.Remedy)
		if f.Fix != nil && !c.Fix {
			fmt.Fprintf(&b, "  --fix can %s\n", f.Fix.Text)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", summary(c.Service, report))
	_, err := fmt.Fprint(s.out, b.String())
	return err
}

// summary is the report in one line.
func summary(service string, report doctor.Report) string {
	count := map[doctor.Level]int{}
	for _, f := range report.Findings {
		count[f.Level]++
	}
	var parts []string
	for _, level := range []doctor.Level{doctor.LevelError, doctor.LevelWarning, doctor.LevelNote} {
		if n := count[level]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s%s", n, level, map[bool]string{true: "s"}[n > 1]))
		}
	}
	switch {
	case len(parts) == 0:
		return fmt.Sprintf("%s: all is well", service)
	case report.Sound():
		return fmt.Sprintf("%s: all is well (%s)", service, strings.Join(parts, ", "))
	}
	return fmt.Sprintf("%s: %s", service, strings.Join(parts, ", "))
}

// mend applies the fixes that are confirmed, and returns which that were.
func (c *doctorCommand) mend(ctx context.Context, s streams, report doctor.Report) (mended []mending, err error) {
	offered := false
	var errs []error
	for _, f := range report.Findings {
		if f.Fix == nil {
			continue
		}
		offered = true
		if c.DryRun {
			_, _ = fmt.Fprintf(s.err, "would %s\n", f.Fix.Text)
			continue
		}
		ok, err := s.confirm(ctx, fmt.Sprintf("%s: %s?", f.Code, f.Fix.Text), c.Yes)
		if err != nil {
			return mended, err
		}
		if !ok {
			continue
		}
		if err := f.Fix.Apply(ctx); err != nil {
			errs = append(errs, err)
			continue
		}
		mended = append(mended, mending{f.Code, f.Fix.Text})
		_, _ = fmt.Fprintf(s.err, "done: %s\n", f.Fix.Text)
	}
	if !offered {
		_, _ = fmt.Fprintln(s.err, "nothing of it can be mended from here")
	}
	return mended, errors.Join(errs...)
}
