package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
)

// event is something that happened, for those who look back.
type event struct {
	service, kind, text, by string
}

// stepped is told each step of each service.
func (r *daemonRun) stepped(before, after control.Snapshot) {
	r.server.Stepped(before, after)
	logStep(r.log, before, after)
	events := happenings(before, after)
	for _, e := range events {
		r.happened(e)
	}
	if r.command.follow != nil {
		r.command.follow(after, events)
	}
}

// happened keeps an event, and tells those who listen.
func (r *daemonRun) happened(e event) {
	r.server.Happened(r.past.event(e, time.Now()))
}

// logStep writes a step's line: what is news to everybody, what is not to those who
// ask for it.
func logStep(log *slog.Logger, before, after control.Snapshot) {
	last, step := before.Last, after.Last
	decision := step.Report.Decision
	level := slog.LevelDebug
	text := decision.Sentence()
	switch news := before.Steps == 0 || said(last) != said(step); {
	case decision.At.IsZero() && step.Err != nil:
		text = "no decision"
		level = pick(news, slog.LevelError)
	case step.Err != nil:
		level = pick(news, slog.LevelError)
	case step.Report.Doubtful():
		level = pick(news, slog.LevelWarn)
	case news || after.Replicas != decision.From:
		level = slog.LevelInfo
	}
	attrs := []slog.Attr{slog.String("service", after.Name)}
	if !decision.At.IsZero() {
		attrs = append(attrs, slog.Int("from", decision.From), slog.Int("to", decision.To), slog.Int("replicas", after.Replicas),
			slog.Float64("rps", decision.Load), slog.String("verdict", string(decision.Verdict)), slog.String("reason", string(decision.Reason)))
	}
	if step.Err != nil {
		attrs = append(attrs, slog.String("error", step.Err.Error()))
	}
	log.LogAttrs(context.Background(), level, text, attrs...)
	for _, warning := range step.Report.Warnings {
		if !slices.Contains(last.Report.Warnings, warning) {
			log.Warn(warning, "service", after.Name)
		}
	}
}

func pick(news bool, level slog.Level) slog.Level {
	if news {
		return level
	}
	return slog.LevelDebug
}

// said is what makes a step's line worth reading again.
func said(s control.Step) string {
	failed := ""
	if s.Err != nil {
		failed = s.Err.Error()
	}
	d := s.Report.Decision
	return fmt.Sprintln(d.From, d.To, d.Verdict, d.Reason, failed, s.Pause)
}

// happenings are what changed with a step.
func happenings(before, after control.Snapshot) (all []event) {
	add := func(kind, format string, args ...any) {
		all = append(all, event{service: after.Name, kind: kind, text: fmt.Sprintf(format, args...)})
	}
	last, step := before.Last, after.Last
	d := step.Report.Decision
	if !d.At.IsZero() && after.Replicas != d.From {
		add("scaled", "%s", d.Sentence())
	}
	switch {
	case step.Err != nil && (last.Err == nil || last.Err.Error() != step.Err.Error()):
		add("failed", "%v", step.Err)
	case step.Err == nil && last.Err != nil:
		add("recovered", "after: %v", last.Err)
	}
	doubts, doubted := !d.At.IsZero() && step.Report.Doubtful(), !last.Report.Decision.At.IsZero() && last.Report.Doubtful()
	switch {
	case doubts && !doubted:
		add("held-on-doubt", "%s", d.Sentence())
	case doubted && !doubts && !d.At.IsZero():
		add("trusted-again", "%s", d.Sentence())
	}
	atMax := func(s control.Step) bool { return s.Report.Decision.Reason == autoscale.TooManyReplicas }
	if atMax(step) && !atMax(last) {
		add("at-max", "%s", d.Sentence())
	}
	switch {
	case step.Pause != nil && (last.Pause == nil || *last.Pause != *step.Pause):
		all = append(all, event{service: after.Name, kind: "paused", text: step.Pause.String(), by: step.Pause.By})
	case step.Pause == nil && last.Pause != nil:
		add("resumed", "%s is over", last.Pause)
	}
	return all
}
