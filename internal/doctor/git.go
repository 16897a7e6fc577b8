package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/five-keys/autoscale/internal/compose"
)

// tracked looks whether Git would carry the count along: every change of it
// shows as a change of the source, and a checkout or a pull sets it back.
func tracked(ctx context.Context, r *Report, w *compose.Workload) {
	path := w.OverridePath()
	listed, err := git(ctx, path, "ls-files", "-v", "--", filepath.Base(path))
	// No Git, no repository, or a path it does not know: then it carries nothing.
	if err != nil || listed == "" || strings.HasPrefix(listed, "S ") {
		return
	}
	found := r.add(CodeTracked, fmt.Sprintf("Git tracks %s: each change of the count shows as a change of the source, and a checkout or a reset sets the count back", path),
		"have Git leave this copy alone (git update-index --skip-worktree), or track an example in its place and ignore the file")
	found.Fix = &Fix{
		Text: fmt.Sprintf("git update-index --skip-worktree %s (undone by --no-skip-worktree)", path),
		Apply: func(ctx context.Context) error {
			_, err := git(ctx, path, "update-index", "--skip-worktree", "--", filepath.Base(path))
			return err
		},
	}
}

// git runs a Git command in the folder of path, as the folder's owner where root
// runs it: what a repository has Git run must not gain rights by it, and its
// index stays its owner's.
func git(ctx context.Context, path string, args ...string) (string, error) {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir, "-c", "core.fsmonitor=false"}, args...)...)
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 && owner.Uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
		cmd.Env = append(os.Environ(), "HOME="+dir) // root's own settings are not theirs
	}
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("git %s: %s: %s", strings.Join(args, " "), exit, strings.TrimSpace(string(exit.Stderr)))
	}
	return strings.TrimSpace(string(out)), err
}
