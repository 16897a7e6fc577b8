package schedule

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/five-keys/autoscale/internal/replace"
)

// removeFrom takes lines out of a user's crontab; with the last line the crontab
// goes.
func removeFrom(name string) func(context.Context, string) error {
	return func(ctx context.Context, lines string) error {
		now, err := readCrontab(ctx, name)
		if err != nil {
			return err
		}
		before, after, ok := strings.Cut(now, lines)
		if !ok {
			return fmt.Errorf("schedule: somebody else changed the crontab of %s meanwhile; it was left alone: run this again", name)
		}
		return setCrontab(ctx, name, before+after)
	}
}

// setCrontab installs a user's crontab, and reads it back.
func setCrontab(ctx context.Context, name, text string) error {
	if text == "" {
		_, err := command(ctx, "", append(crontabOf(name), "-r")...)
		return err
	}
	if _, err := command(ctx, text, append(crontabOf(name), "-")...); err != nil {
		return fmt.Errorf("schedule: cron does not take the crontab: %w", err)
	}
	now, err := readCrontab(ctx, name)
	if err != nil {
		return err
	}
	if now != text {
		return errors.New("schedule: the crontab does not read back as it was written; look at it with crontab -l")
	}
	return nil
}

// putBack has the crontab say what it said before an installation that failed.
func putBack(ctx context.Context, text string) error {
	ctx = context.WithoutCancel(ctx)
	now, err := readCrontab(ctx, userName())
	if err != nil || now == text {
		return err
	}
	return setCrontab(ctx, userName(), text)
}

// removeFile takes the whole of a file in /etc/cron.d away, which must hold
// nothing but our lines.
func removeFile(path string) func(context.Context, string) error {
	return func(_ context.Context, lines string) error {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		before, after, ok := strings.Cut(string(text), lines)
		switch {
		case !ok:
			return fmt.Errorf("schedule: somebody else changed %s meanwhile; it was left alone: run this again", path)
		case before+after != "":
			return replace.File(path, []byte(before+after), replace.Expect(text))
		}
		return os.Remove(path)
	}
}

// installCron writes the line into this user's crontab, or a file into
// /etc/cron.d.
func (j Job) installCron(ctx context.Context, old *Entry) (where string, err error) {
	line, err := j.Cron()
	if err != nil {
		return "", err
	}
	lines := j.mark(line) + "\n" + line + "\n"
	if err := os.MkdirAll(filepath.Dir(j.Log), 0o755); err != nil {
		return "", fmt.Errorf("schedule: the log's folder: %w; name another one with --log", err)
	}
	if j.System {
		where = filepath.Join("/etc/cron.d", j.Unit)
		return where, j.installCronFile(where, lines, old)
	}
	now, err := readCrontab(ctx, userName())
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("schedule: there is no crontab command here; install cron (apt-get install cron), use --systemd, or print the line and put it where this machine schedules things: autoscale schedule print")
	}
	if err != nil {
		return "", err
	}
	kept := now
	if old != nil {
		before, after, ok := strings.Cut(now, old.lines)
		if !ok {
			return "", errors.New("schedule: somebody else changed the crontab meanwhile; it was left alone: run this again")
		}
		kept = before + after
	}
	if kept != "" && !strings.HasSuffix(kept, "\n") {
		kept += "\n" // cron passes over a last line without one
	}
	err = setCrontab(ctx, userName(), kept+lines)
	if err != nil {
		return "", errors.Join(err, putBack(ctx, now))
	}
	return "crontab of " + userName(), nil
}

// installCronFile writes a file of our own into /etc/cron.d.
func (j Job) installCronFile(path, lines string, old *Entry) error {
	was := []byte(nil)
	if old != nil {
		was = []byte(old.lines)
	}
	err := replace.File(path, []byte(lines), replace.Perm(0o644), replace.Expect(was))
	if errors.Is(err, replace.ErrChanged) {
		return fmt.Errorf("schedule: %s is there already, with something else in it; say another name with --unit", path)
	}
	if err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	return nil
}
