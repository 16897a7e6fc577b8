package store

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/five-keys/autoscale"
)

// childJob names what this test binary does when it is run again as a process
// to be killed, starved or made another user's.
const childJob = "STORE_TEST_JOB"

func TestMain(m *testing.M) {
	jobs := map[string]func(args []string) error{
		"save": jobSave, "saveN": jobSaveN, "append": jobAppend, "appendN": jobAppendN,
		"lock": jobLock, "load": jobLoad, "full": jobFull, "limit": jobLimit,
	}
	name, isChild := os.LookupEnv(childJob)
	if !isChild {
		os.Exit(m.Run())
	}
	if err := jobs[name](os.Args[1:]); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// child is this test binary at work on a job.
type child struct {
	*exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
}

// start starts a child with job and its arguments. It ends with the test.
func start(t *testing.T, user *syscall.Credential, job string, args ...string) *child {
	t.Helper()
	binary := os.Args[0]
	if user != nil {
		binary = publicBinary(t)
	}
	c := &child{Cmd: exec.CommandContext(t.Context(), binary, args...)}
	c.Env = append(os.Environ(), childJob+"="+job, "GORACE=atexit_sleep_ms=0")
	c.Stderr = os.Stderr
	c.Dir = "/"
	if user != nil {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	}
	var err error
	if c.stdin, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.lines = bufio.NewScanner(out)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// line is the child's next line of output, "" at its end.
func (c *child) line(t *testing.T) string {
	t.Helper()
	c.lines.Scan()
	if err := c.lines.Err(); err != nil {
		t.Fatal(err)
	}
	return c.lines.Text()
}

// kill ends the child at once, as kill -9 does, and returns its last line.
func (c *child) kill(t *testing.T) (last string) {
	t.Helper()
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for c.lines.Scan() {
		last = c.lines.Text()
	}
	if err := c.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
	return last
}

// done waits for the child to end well.
func (c *child) done(t *testing.T) {
	t.Helper()
	if err := c.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	var said []string
	for c.lines.Scan() {
		said = append(said, c.lines.Text())
	}
	if err := c.Wait(); err != nil {
		t.Fatalf("%v: %q", err, said)
	}
}

// publicBinary is this test binary where every user may run it.
func publicBinary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(publicDir(t), filepath.Base(os.Args[0]))
	if os.Link(os.Args[0], path) == nil {
		return path
	}
	binary, err := os.ReadFile(os.Args[0]) // on another file system
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// publicDir is a folder that every user may enter.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "store-test-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// otherUser is another user than this one, which only root can become; for
// anybody else it is nil, who stands for the same user.
func otherUser(id uint32) *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	return &syscall.Credential{Uid: id, Gid: id, NoSetGroups: true}
}

var morning = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// app is the workload of most tests.
func app() Key { return service("app") }

func service(name string) Key {
	return Key{Provider: "compose", Engine: "unix:///run/docker.sock", Project: "shop", Service: name, Dir: "/srv/shop"}
}

// numbered is a state that shows its number in many places, so that a mixture
// of two is seen.
func numbered(n int) autoscale.State {
	s := autoscale.State{
		Signal: strconv.Itoa(n), Count: n, Applied: true,
		At: autoscale.Instant{Time: morning.Add(time.Duration(n) * time.Second), Boot: "b"},
	}
	for range n % 700 {
		s.History = append(s.History, autoscale.Point{Time: s.At.Time, Load: float64(n), Verdict: autoscale.OK})
	}
	return s
}

// full is a state with every field set.
func full() autoscale.State {
	to := 4
	return autoscale.State{
		Signal:    "http://localhost:8000/metrics <http_requests_total> & more",
		At:        autoscale.Instant{Time: morning, Uptime: 90 * time.Hour, Boot: "4d1a"},
		Gap:       2 * time.Minute,
		History:   []autoscale.Point{{Time: morning, Load: 120.25, Verdict: autoscale.OK}, {Time: morning, Load: 1e-300, Verdict: autoscale.Late}},
		Processes: map[string]autoscale.Process{"c1": {Time: morning, Value: 1 << 53}, "c2": {UnreadSince: morning}},
		Count:     3, Moving: &to, Kept: morning, Doubts: 2, Applied: true,
		Lowered: []autoscale.Lowering{{Time: morning, Replicas: 1}},
		Failure: &autoscale.Failure{Count: 2, Until: morning.Add(4 * time.Minute), Settings: "sha256:1"},
	}
}

func save(t *testing.T, f *File, k Key, s autoscale.State) (warnings []string) {
	t.Helper()
	warnings, err := f.Save(k, s)
	if err != nil {
		t.Fatal(err)
	}
	return warnings
}

// wantState fails unless f has s for k and does not warn.
func wantState(t *testing.T, f *File, k Key, s autoscale.State) {
	t.Helper()
	got, warnings, err := f.Load(k)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("Load(%s): warnings %q, error %v", k, warnings, err)
	}
	if !reflect.DeepEqual(got, s) {
		t.Fatalf("Load(%s) = %+v\nwant %+v", k, got, s)
	}
}

// wantError fails unless err says all of the words.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q lacks %q", err, w)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// tree is all below dir: name, mode, owner and content or target.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		owner := info.Sys().(*syscall.Stat_t)
		content := ""
		switch {
		case info.Mode().IsRegular():
			content = read(t, path)
		case info.Mode()&fs.ModeSymlink != 0:
			if content, err = os.Readlink(path); err != nil {
				return err
			}
		}
		name, err := filepath.Rel(dir, path)
		all[name] = fmt.Sprintf("%v %d:%d %s", info.Mode(), owner.Uid, owner.Gid, content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// names is what lies in dir, but for what a killed process left there, which
// package replace removes in its time.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".autoscale-") {
			all = append(all, e.Name())
		}
	}
	return all
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("%s has %q, want %q", dir, got, want)
	}
}

// record is the journal's n-th.
func record(n int) Record {
	return Record{
		Version: version, Time: morning.Add(time.Duration(n) * time.Minute), Workload: app(),
		Reading: autoscale.Reading{Metric: "rps", Kind: autoscale.Gauge, Scope: autoscale.ScopeReplica, Samples: []autoscale.Sample{
			{Process: "c1", Name: "app-1", Time: morning, Value: float64(n), Verdict: autoscale.OK},
		}},
		Decision: autoscale.Decision{At: morning, From: 1, To: 2, Want: 2, Load: float64(n), Verdict: autoscale.OK, Reason: autoscale.LoadAboveTarget,
			Steps: []autoscale.Step{{Stage: autoscale.StageRecommend, To: 2, Reason: autoscale.LoadAboveTarget, Detail: strings.Repeat("x", 100+n%4000)}}},
		Outcome: Outcome{Result: "scaled", Count: 2},
	}
}

// records reads all of j; the error is the one that comes last.
func records(j *Journal) (all []Record, err error) {
	for r, e := range j.Read() {
		if e != nil {
			err = e
			continue
		}
		all = append(all, r)
	}
	return all, err
}

// wantRecords fails unless j has exactly the records with these numbers.
func wantRecords(t *testing.T, j *Journal, numbers ...int) {
	t.Helper()
	all, err := records(j)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != len(numbers) {
		t.Fatalf("%d records, want %d", len(all), len(numbers))
	}
	for i, n := range numbers {
		if !reflect.DeepEqual(all[i], record(n)) {
			t.Fatalf("record %d is %+v\nwant %+v", i, all[i], record(n))
		}
	}
}

// jobSave saves growing states of one service until it is killed: path, service.
func jobSave(args []string) error {
	f := Open(args[0])
	for n := 1; ; n++ {
		if _, err := f.Save(service(args[1]), numbered(n)); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// jobSaveN saves so many states of each service: path, number, services.
func jobSaveN(args []string) error {
	f := Open(args[0])
	last, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	for n := range last + 1 {
		for _, name := range args[2:] {
			if warnings, err := f.Save(service(name), numbered(n)); err != nil || len(warnings) > 0 {
				return fmt.Errorf("%q %w", warnings, err)
			}
		}
	}
	return nil
}

// jobAppend appends numbered records until it is killed: path of the state.
func jobAppend(args []string) error {
	j := Open(args[0]).Journal()
	j.max = 64 << 10
	for n := 1; ; n++ {
		if err := j.Append(record(n)); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// jobAppendN appends so many records: path of the state, number.
func jobAppendN(args []string) error {
	j := Open(args[0]).Journal()
	last, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	for n := range last {
		if err := j.Append(record(n)); err != nil {
			return err
		}
	}
	return nil
}

// jobLock holds a lock until its input ends: folder, name.
func jobLock(args []string) error {
	held, err := take(context.Background(), args[0], args[1], time.Millisecond)
	if err != nil {
		return err
	}
	fmt.Println("locked")
	_, err = io.Copy(io.Discard, os.Stdin)
	held.Unlock()
	return err
}

// jobLoad loads, then tries to save and to append, and prints what came of it.
func jobLoad(args []string) error {
	f := Open(args[0])
	s, _, err := f.Load(app())
	fmt.Println("load:", s.Count, err)
	_, err = f.Save(app(), numbered(7))
	fmt.Println("save:", err)
	fmt.Println("append:", f.Journal().Append(record(7)))
	return nil
}
