package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// onlyGit has the PATH hold nothing but git: what else this machine has is not
// asked. Where there is no git the test is skipped.
func onlyGit(t *testing.T) {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not there")
	}
	bin := t.TempDir()
	if err := os.Symlink(git, filepath.Join(bin, "git")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("COMPOSE_FILE", "")
}

// trackedOverride is a project folder whose override file Git tracks.
func trackedOverride(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "deploy"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"compose.yaml": "services: {app: {image: x}}\n", "deploy/compose.override.yml": "services:\n  app:\n    deploy:\n      replicas: 1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	return dir
}

// examineJSON runs doctor and reads its one object.
func examineJSON(t *testing.T, args ...string) (e examined, errs string) {
	t.Helper()
	status, out, errs := runs(t, append([]string{"doctor", "--provider=compose", "--min=1", "--max=5", "--rps-target=40", "--output=json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &e); err != nil || strings.Count(out, "\n") != 1 {
		t.Fatalf("%q: not one object: %v\n%s%s", args, err, out, errs)
	}
	if e.Version != 1 || e.Provider != "compose" || e.Service != "app" || e.Status != status || e.Findings == nil || e.Facts == nil || e.Mended == nil {
		t.Fatalf("%q: status %d: %+v", args, status, e)
	}
	return e, errs
}

// codesOf are the codes of what was found, in order.
func codesOf(e examined) string {
	var all []string
	for _, f := range e.Findings {
		all = append(all, f.Code)
	}
	return strings.Join(all, " ")
}

// TestDoctorObject: whatever the examination comes to, its object says so, also
// what project it was of where nothing names one.
func TestDoctorObject(t *testing.T) {
	onlyGit(t)
	dir := t.TempDir()
	if e, errs := examineJSON(t, "--project-dir="+dir+"/none"); e.Status != statusDoubt || errs != "" || !strings.Contains(e.Error, "is no folder") || e.Project != dir+"/none" {
		t.Errorf("%+v %s", e, errs)
	}
	if e, _ := examineJSON(t, "--project-dir="+dir, "--apply=always", "--metrics-url=http://127.0.0.1:1/"); e.Project != dir || e.Error != "" || !strings.HasPrefix(codesOf(e), "docker-missing metrics-unreachable") {
		t.Errorf("%+v", e)
	}
	if e, _ := examineJSON(t, "--project-dir="+dir, "--apply=never", "--metrics-url=http://127.0.0.1:1/"); e.Project != dir || e.Error != "" || !strings.HasPrefix(codesOf(e), "metrics-unreachable") {
		t.Errorf("%+v", e)
	}
	if status, out, errs := runs(t, "doctor", "--provider=compose", "--min=1", "--max=5", "--rps-target=40", "--project-dir="+dir+"/none"); status != statusDoubt || out != "" || !strings.Contains(errs, "is no folder") {
		t.Errorf("%d %s%s", status, out, errs)
	}
}

// TestDoctorFixObject: with --fix the object has what was mended, and what is
// left decides its status, which is the exit status.
func TestDoctorFixObject(t *testing.T) {
	onlyGit(t)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("# TYPE http_requests_per_second gauge\nhttp_requests_per_second 30\n"))
	}))
	t.Cleanup(page.Close)
	dir := trackedOverride(t)
	flags := []string{"--project-dir=" + dir, "--apply=never", "--metrics-url=" + page.URL}
	const tracked = "override-in-git"
	if e, _ := examineJSON(t, flags...); e.Status != statusDoubt || !strings.Contains(codesOf(e), tracked) || len(e.Mended) > 0 {
		t.Errorf("%+v", e)
	}
	status, out, errs := runs(t, append([]string{"doctor", "--provider=compose", "--min=1", "--max=5", "--rps-target=40", "--output=json", "--fix"}, flags...)...)
	if status != statusUsage || out != "" || !strings.Contains(errs, "say --yes") {
		t.Errorf("%d %s%s", status, out, errs)
	}
	if e, errs := examineJSON(t, append(flags, "--fix", "--dry-run")...); e.Status != statusDoubt || !strings.Contains(codesOf(e), tracked) || len(e.Mended) > 0 || !strings.Contains(errs, "would git update-index") {
		t.Errorf("%+v %s", e, errs)
	}

	// An index that is locked cannot be written.
	lock := filepath.Join(dir, ".git/index.lock")
	if err := os.WriteFile(lock, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if e, _ := examineJSON(t, append(flags, "--fix", "--yes")...); e.Status != statusDoubt || !strings.Contains(codesOf(e), tracked) || len(e.Mended) > 0 || !strings.Contains(e.Error, "index.lock") {
		t.Errorf("%+v", e)
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	e, errs := examineJSON(t, append(flags, "--fix", "--yes")...)
	if e.Status != statusDone || strings.Contains(codesOf(e), tracked) || len(e.Mended) != 1 || e.Mended[0].Code != tracked || e.Error != "" || !strings.Contains(errs, "done: git update-index") {
		t.Errorf("%+v %s", e, errs)
	}
}
