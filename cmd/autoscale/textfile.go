package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
	"github.com/five-keys/autoscale/internal/control"
	"github.com/five-keys/autoscale/internal/replace"
	"github.com/five-keys/autoscale/internal/store"
	"github.com/five-keys/autoscale/internal/web"
)

// maxTextfile bounds what is read of an earlier textfile, in bytes.
const maxTextfile = 1 << 20

// checkTextfile looks for what is wrong with the name of the file.
func (c *flags) checkTextfile() error {
	if c.Textfile == "" || strings.HasSuffix(c.Textfile, ".prom") {
		return nil
	}
	return fmt.Errorf("--textfile=%s: node_exporter reads only files that end in .prom; call it %s.prom", c.Textfile, strings.TrimSuffix(c.Textfile, filepath.Ext(c.Textfile)))
}

// textfile is where the metrics are written.
func (c *flags) textfile(dir string) string {
	if filepath.IsAbs(c.Textfile) {
		return c.Textfile
	}
	return filepath.Join(dir, c.Textfile)
}

// writeTextfile leaves a run's metrics to node_exporter. It returns what went wrong,
// which changes nothing else.
func (c *flags) writeTextfile(ctx context.Context, dir string, r result, now time.Time) (warnings []string) {
	if c.Textfile == "" || c.DryRun || ctx.Err() != nil || errors.Is(r.err, store.ErrLocked) { // the run that was at work writes it
		return nil
	}
	path := c.textfile(dir)
	if err := c.replaceTextfile(path, r, now); err != nil {
		return []string{fmt.Sprintf("--textfile: %v", err)}
	}
	return nil
}

func (c *flags) replaceTextfile(path string, r result, now time.Time) error {
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return fmt.Errorf("there is no folder %s; make it, or name a file in the one that node_exporter's --collector.textfile.directory says", filepath.Dir(path))
	}
	before, err := readTextfile(path)
	if err != nil {
		return err
	}
	project := r.key.Project
	if project == "" || project == r.key.Dir { // its name is not known, or was not until now
		project = cmp.Or(before.Project, r.key.Dir)
	}
	if before.Service != "" && (before.Service != c.Service || before.Project != project && before.Project != r.key.Dir) {
		return fmt.Errorf("%s is of service %q in %s, and left as it is; give each service a file of its own, or remove it where that one is gone", path, before.Service, before.Project)
	}
	text, err := web.Textfile(c.snapshot(r, project, before, now), now)
	if err != nil {
		return err
	}
	return replace.File(path, text)
}

// snapshot is where the service stands after a run.
func (c *flags) snapshot(r result, project string, before web.Earlier, now time.Time) control.Snapshot {
	step := control.Step{Report: r.report, Err: r.err, Declared: r.declared, Policy: c.policy(), Project: project}
	if state, _, err := store.Open(c.statePath(r.key.Dir)).Load(r.key); err == nil && state.Pause.InForce(now) {
		step.Pause = state.Pause
	}
	shot := control.Snapshot{Service: control.Service{Name: c.Service, Provider: string(c.Provider), Target: c.Service}, Succeeded: before.Succeeded}
	if before.Counted {
		shot.Replicas, shot.Reasons = before.Replicas, map[autoscale.Reason]uint64{"": 1} // they are known
	}
	return shot.After(step, now, 0)
}

// readTextfile is what the file says already; its zero value where there is none.
func readTextfile(path string) (e web.Earlier, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return e, nil
	case err != nil:
		return e, err
	case !info.Mode().IsRegular() || info.Size() > maxTextfile:
		return e, fmt.Errorf("%s is left as it is: it is none that autoscale wrote", path)
	case info.Size() == 0:
		return e, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return e, err
	}
	if e, err = web.ReadTextfile(text); err != nil {
		return e, fmt.Errorf("%s is left as it is: %w; name another file", path, err)
	}
	return e, nil
}

// planTextfile plans to remove the service's metrics, which nobody would renew.
func (c *rollbackCommand) planTextfile(p *plan) {
	if c.Textfile == "" {
		return
	}
	path := c.textfile(p.dir)
	e, err := readTextfile(path)
	if err == nil && e.Service == c.Service {
		p.steps = append(p.steps, &undoing{What: "textfile", Text: fmt.Sprintf("remove the metrics in %s", path), do: func(context.Context) error { return os.Remove(path) }})
	}
}
