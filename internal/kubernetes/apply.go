package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/replace"
)

// Lowers reports whether an HPA with our maximum would take replicas away at
// once, whatever the load: that is not for a run that doubts. It must follow
// Observe.
func (w *Workload) Lowers() bool {
	return w.kubectl != nil && w.seen.deployment.count() > w.cfg.Max && (w.seen.hpa == nil || w.seen.hpa.Spec.MaxReplicas > w.cfg.Max)
}

// AboveMax is the problem of an HPA that was therefore not applied.
func (w *Workload) AboveMax(why string) error { return w.aboveMax(why) }

func (w *Workload) aboveMax(why string) *Problem {
	now := w.seen.deployment.count()
	return &Problem{Code: CodeAboveMax, Fact: fmt.Sprintf("%d replicas of Deployment %q run, and an HPA with --max=%d takes %d of them away at once; the load does not allow that yet (%s), so nothing was applied (%s)", now, w.cfg.Service, w.cfg.Max, now-w.cfg.Max, why, w.kubectl.place()),
		Remedy: fmt.Sprintf("raise --max, lower the count yourself, or run again: once the load has been low for one cooldown (%s) it is applied", w.cfg.Cooldown)}
}

// Declare leaves the manifest as it should be and applied. With a cluster it must
// follow Observe, and the cluster is asked first whether it would take it: what
// it refuses is not written.
func (w *Workload) Declare(ctx context.Context) (autoscale.Outcome, error) {
	var out autoscale.Outcome
	m, err := w.cfg.readManifest()
	if err != nil {
		return out, err
	}
	text, err := w.cfg.wanted(m)
	if err != nil {
		return out, err
	}
	changes := m.text == nil || string(text) != string(m.text)
	if w.kubectl == nil {
		return w.writeOnly(m, text, changes)
	}
	if err := w.takesAway(m, text); err != nil {
		return out, err
	}
	out.Count = w.seen.deployment.count()
	args := w.applyArgs()
	out.Commands = append(out.Commands, w.kubectl.text(args...))
	if w.cfg.DryRun {
		return out, w.diff(ctx, text, &out)
	}
	if changes || w.seen.hpa == nil {
		if err := w.rehearse(ctx, text); err != nil {
			return out, err
		}
		w.tell(args)
	}
	w.Keep()
	if changes {
		if err := write(m, text); err != nil {
			return out, err
		}
	}
	did, told, err := w.kubectl.change(ctx, args...)
	stays := true
	if err != nil {
		stays, err = w.notApplied(ctx, m, text, w.kubectl.failed(ctx, told, err))
	}
	if changes && stays {
		out.Notes = append(out.Notes, wrote(w.shown(), m))
	}
	if did = strings.TrimSpace(did); err == nil && !strings.HasSuffix(did, "unchanged") {
		out.Notes = append(out.Notes, fmt.Sprintf("%s (%s)", did, w.kubectl.place()))
	}
	return out, err
}

func (w *Workload) applyArgs() []string {
	return []string{"apply", "-f", w.shown(), w.kubectl.namespaced()}
}

// notApplied says what stands after kubectl apply failed, which may be that its
// answer alone was lost, and leaves the manifest as it was found unless it was
// applied; stays tells that it was.
func (w *Workload) notApplied(ctx context.Context, m manifest, text []byte, err error) (stays bool, _ error) {
	k := w.kubectl
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	var now autoscaler
	got := k.get(look, &now, w.hpaPath())
	what := w.shown() + " was not applied"
	switch {
	case is(got, faultNotFound):
	case got != nil:
		what = fmt.Sprintf("whether %s was applied is not known (look with: %s)", w.shown(), k.text("get", "hpa/"+w.cfg.hpa(), k.namespaced(), "-o", "yaml"))
	case now.holds(text):
		stays, what = true, fmt.Sprintf("HPA %s is as %s says, but kubectl apply failed", w.cfg.hpa(), w.shown())
	}
	if p, ok := errors.AsType[*Problem](err); ok {
		told := *p
		told.Fact = what + ": " + p.Fact
		err = &told
	} else if _, refused := errors.AsType[*apiError](err); refused {
		err = k.failure(what, err)
	} else {
		err = fmt.Errorf("kubernetes: %s: %w", what, err)
	}
	if !stays && string(m.text) != string(text) {
		err = errors.Join(err, m.putBack(text))
	}
	return stays, err
}

// shown is the manifest's path as a person would type it here.
func (w *Workload) shown() string {
	path := w.cfg.manifestPath()
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if short, err := filepath.Rel(here, path); err == nil && !strings.HasPrefix(short, "..") {
		return short
	}
	return path
}

func wrote(path string, m manifest) string {
	if m.text == nil {
		return "wrote " + path
	}
	return "changed " + path
}

// writeOnly is Declare where no cluster is asked.
func (w *Workload) writeOnly(m manifest, text []byte, changes bool) (autoscale.Outcome, error) {
	var out autoscale.Outcome
	if w.cfg.Apply == ApplyAuto {
		out.Warnings = append(out.Warnings, fmt.Sprintf("kubernetes: %q is not on the PATH, so only %s is written and nothing is applied; install kubectl, name it with --kubectl, or say --apply=never", w.cfg.Kubectl, w.shown()))
	} else {
		out.Warnings = append(out.Warnings, fmt.Sprintf("kubernetes: --apply=never, so only %s is written; kubectl apply -f %[1]s applies it", w.shown()))
	}
	switch {
	case !changes:
		out.Notes = append(out.Notes, w.shown()+" says so already")
		return out, nil
	case w.cfg.DryRun:
		out.Notes = append(out.Notes, fmt.Sprintf("would write %s:\n%s", w.shown(), strings.TrimRight(string(text), "\n")))
		return out, nil
	}
	out.Notes = append(out.Notes, wrote(w.shown(), m))
	return out, write(m, text)
}

func write(m manifest, text []byte) error {
	if err := replace.File(m.path, text, replace.Expect(m.text)); err != nil {
		return fmt.Errorf("kubernetes: the manifest could not be written, so nothing was applied: %w", err)
	}
	return nil
}

// Raises reports whether err, which Declare gave, is that of a manifest that could
// not be written or applied and of nothing else: what the load asks for may be
// raised to all the same.
func Raises(err error) bool {
	p, ok := errors.AsType[*Problem](err)
	return !ok || p.Code == CodeRejected || p.Code == CodeFailed || p.Code == CodeRights
}

// putBack leaves the file as it was found, where nobody else changed it.
func (m manifest) putBack(wrote []byte) error {
	if m.text != nil {
		return replace.File(m.path, m.text, replace.Expect(wrote))
	}
	now, err := os.ReadFile(m.path)
	if err != nil || string(now) != string(wrote) {
		return err
	}
	return os.Remove(m.path)
}

// rehearse asks the cluster whether it would take the manifest.
func (w *Workload) rehearse(ctx context.Context, text []byte) error {
	args := []string{"apply", "--dry-run=server", "-f", "-", w.kubectl.namespaced()}
	_, told, err := w.kubectl.call(ctx, string(text), nil, args...)
	if err == nil {
		return nil
	}
	return w.rejected(w.kubectl.failed(ctx, told, err))
}

func (w *Workload) rejected(err error) error {
	refused, ok := errors.AsType[*apiError](err)
	if !ok || refused.fault == faultDenied && strings.Contains(refused.text, "cannot ") {
		return w.kubectl.wrap("HPA "+w.cfg.hpa(), err)
	}
	return &Problem{Code: CodeRejected, Fact: fmt.Sprintf("the cluster would not take the HPA (%s): %s", w.kubectl.place(), refused.text), Remedy: "nothing was written or applied; mend what it names, then run this again"}
}

// diff tells what applying would change in the cluster.
func (w *Workload) diff(ctx context.Context, text []byte, out *autoscale.Outcome) error {
	args := []string{"diff", "-f", "-", w.kubectl.namespaced()}
	diff, told, err := w.kubectl.call(ctx, string(text), nil, args...)
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		out.Notes = append(out.Notes, fmt.Sprintf("HPA %s is as wanted (%s)", w.cfg.hpa(), w.kubectl.place()))
	case ok && exit.ExitCode() == 1 && diff != "": // kubectl diff: there are differences
		out.Notes = append(out.Notes, fmt.Sprintf("would change HPA %s (%s):\n%s", w.cfg.hpa(), w.kubectl.place(), body(diff)))
	case ctx.Err() == nil && strings.Contains(told, "executable file not found"): // kubectl calls a program for it
		out.Notes = append(out.Notes, fmt.Sprintf("what would change in HPA %s cannot be shown without the diff command (%s)", w.cfg.hpa(), w.kubectl.place()))
		return w.rehearse(ctx, text)
	default:
		return w.rejected(w.kubectl.failed(ctx, told, err))
	}
	return nil
}

// body is a diff without the lines that name temporary files.
func body(diff string) string {
	lines := slices.DeleteFunc(strings.Split(strings.TrimRight(diff, "\n"), "\n"), func(line string) bool {
		return strings.HasPrefix(line, "diff -") || strings.HasPrefix(line, "--- ") || strings.HasPrefix(line, "+++ ")
	})
	return strings.Join(lines, "\n")
}
