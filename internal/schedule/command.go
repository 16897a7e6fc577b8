package schedule

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// word is one word of a command; known is false where it depends on what is only
// known when it runs.
type word struct {
	text  string
	known bool
}

// call is one call of the program that a command line holds.
type call struct {
	folder string // where it runs; empty where that cannot be told
	args   []word // behind the program's name
}

// programName matches the names of this program, of a release of it, and of the
// script that it replaces.
var programName = regexp.MustCompile(`^autoscale(\.py|[-_.]?v?[0-9].*|[-_](linux|darwin).*)?$`)

func isProgram(w word) bool { return w.known && programName.MatchString(filepath.Base(w.text)) }

// isDecision reports whether a word is a flag that every decision has, and
// hardly another program.
func isDecision(w word) bool {
	return strings.HasPrefix(w.text, "--rps-target") || strings.HasPrefix(w.text, "--provider")
}

// wrappers run the command that stands behind their own flags.
func wrappers() []string {
	return []string{
		"busybox", "chroot", "chronic", "chrt", "command", "doas", "env", "exec", "flock", "ionice", "nice", "nohup", "runuser", "script",
		"setpriv", "setsid", "stdbuf", "strace", "sudo", "su", "systemd-cat", "systemd-inhibit", "systemd-run", "taskset", "time", "timeout",
		"unbuffer", "xargs",
	}
}

// shells run a command line that is given as one word, in their own folder.
func shells() []string { return []string{"ash", "bash", "dash", "eval", "ksh", "sh", "zsh"} }

// reader finds the calls in a shell's command line.
type reader struct {
	folder string // the shell's, at this point; empty where that cannot be told
	depth  int    // of shells within shells
	calls  []call
	unsure bool // something cannot be taken apart that may hold one
}

// shellCalls finds the calls in a shell's command line, which begins in folder.
// sure is false where the line cannot be taken apart though it seems to have
// one.
func shellCalls(line, folder string, depth int) (calls []call, sure bool) {
	if !strings.Contains(line, "autoscale") && !strings.Contains(line, "--rps-target") && !strings.Contains(line, "/") {
		return nil, true
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(line), "")
	if err != nil || depth > 3 {
		return nil, !strings.Contains(line, "autoscale")
	}
	r := reader{folder: folder, depth: depth}
	r.statements(file.Stmts)
	return r.calls, !r.unsure
}

// apart reads what runs in a shell of its own: where that goes to does not
// matter to what follows.
func (r *reader) apart(read func()) {
	folder := r.folder
	read()
	r.folder = folder
}

func (r *reader) statements(all []*syntax.Stmt) {
	for _, s := range all {
		r.statement(s)
	}
}

func (r *reader) statement(s *syntax.Stmt) {
	if s == nil || s.Cmd == nil {
		return
	}
	if s.Background {
		r.apart(func() { r.command(s.Cmd) })
		return
	}
	r.command(s.Cmd)
}

func (r *reader) command(c syntax.Command) {
	switch c := c.(type) {
	case *syntax.CallExpr:
		r.simple(c)
	case *syntax.BinaryCmd:
		r.binary(c)
	case *syntax.Subshell:
		r.apart(func() { r.statements(c.Stmts) })
	case *syntax.Block:
		r.statements(c.Stmts)
	case *syntax.TimeClause:
		r.statement(c.Stmt)
	case *syntax.DeclClause, *syntax.LetClause, *syntax.ArithmCmd, *syntax.TestClause: // they run nothing
	default: // loops, conditions, functions: nobody knows what of it runs
		r.folder = ""
		syntax.Walk(c, func(node syntax.Node) bool {
			if simple, ok := node.(*syntax.CallExpr); ok {
				r.simple(simple)
				r.folder = ""
			}
			return true
		})
	}
}

func (r *reader) binary(c *syntax.BinaryCmd) {
	switch c.Op {
	case syntax.Pipe, syntax.PipeAll:
		r.apart(func() { r.statement(c.X) })
		r.apart(func() { r.statement(c.Y) })
	case syntax.OrStmt: // the second one runs where the first one failed
		before := r.folder
		r.statement(c.X)
		after := r.folder
		if after != before {
			r.folder = ""
		}
		between := r.folder
		r.statement(c.Y)
		if r.folder == between { // usually "exit"
			r.folder = after
		} else {
			r.folder = ""
		}
	default:
		r.statement(c.X)
		r.statement(c.Y)
	}
}

// simple reads one simple command.
func (r *reader) simple(c *syntax.CallExpr) {
	syntax.Walk(c, func(node syntax.Node) bool {
		if inner, ok := node.(*syntax.CmdSubst); ok {
			r.apart(func() { r.statements(inner.Stmts) })
			return false
		}
		return true
	})
	words := literals(c.Args)
	if len(words) > 0 && (words[0].text == "cd" || words[0].text == "pushd" || words[0].text == "popd") {
		r.folder = changed(r.folder, words)
		return
	}
	for _, a := range c.Assigns {
		if a.Name != nil && a.Name.Value == "COMPOSE_PROJECT_NAME" {
			words = append([]word{{"env", true}, {"COMPOSE_PROJECT_NAME=", true}}, words...)
		}
	}
	calls, sure := wordCalls(words, r.folder, r.depth)
	r.calls, r.unsure = append(r.calls, calls...), r.unsure || !sure
}

// changed is the folder that a cd leads to.
func changed(folder string, words []word) string {
	last := words[len(words)-1]
	if len(words) < 2 || !last.known || last.text == "-" || words[0].text == "popd" {
		return ""
	}
	return under(folder, last.text)
}

// wordCalls finds the calls in the words of one command, through such as env,
// timeout, flock, sh -c, and scripts.
func wordCalls(words []word, folder string, depth int) (calls []call, sure bool) {
	if len(words) == 0 {
		return nil, true
	}
	first := filepath.Base(words[0].text)
	wraps := slices.Contains(wrappers(), first) || strings.HasPrefix(first, "python") || !words[0].known
	within := wrapped(words, folder)
	if at := slices.IndexFunc(words, isProgram); at == 0 || at > 0 && (wraps || slices.Contains(shells(), first)) || at > 0 && slices.ContainsFunc(words[at:], isDecision) {
		return []call{{folder: within, args: words[at+1:]}}, true
	}
	if at := slices.IndexFunc(words, isDecision); at >= 0 && wraps {
		return []call{{folder: within, args: words[at:]}}, true
	}
	if first == "systemctl" && slices.ContainsFunc(words, func(w word) bool { return w.text == "start" }) && slices.ContainsFunc(words, func(w word) bool { return strings.Contains(w.text, "autoscale") }) {
		return nil, false // a unit that no timer starts
	}
	sure = true
	for _, w := range words[1:] {
		if !strings.ContainsFunc(w.text, unicode.IsSpace) {
			continue
		}
		inner := ""
		if slices.Contains(shells(), first) || wraps && first != "su" && first != "runuser" {
			inner = within
		}
		found, ok := shellCalls(w.text, inner, depth+1)
		calls, sure = append(calls, found...), sure && ok
	}
	found, ok := scriptCalls(words, within, depth)
	return append(calls, found...), sure && ok
}

// wrapped is the folder that a wrapper runs its command in.
func wrapped(words []word, folder string) string {
	for i, w := range words {
		if isProgram(w) {
			break
		}
		name, value, ok := strings.Cut(w.text, "=")
		switch {
		case name == "COMPOSE_PROJECT_NAME":
			return "" // the project may be one that runs elsewhere
		case slices.Contains([]string{"-C", "-D", "--chdir", "--working-directory"}, name):
			to := word{value, w.known}
			if !ok && i+1 < len(words) {
				to = words[i+1]
			}
			if !to.known {
				return ""
			}
			folder = under(folder, to.text)
		case name == "-i" && words[0].text == "sudo", name == "--login":
			return ""
		}
	}
	return folder
}

// maxScript bounds what is read of a script, in bytes.
const maxScript = 64 << 10

// scriptCalls looks into the script that a command runs, where it is one that
// can be read.
func scriptCalls(words []word, folder string, depth int) (calls []call, sure bool) {
	for _, w := range words[:min(len(words), 4)] { // the script, behind "nice sh -e"
		path := under(folder, w.text)
		if !w.known || path == "" || !strings.Contains(w.text, "/") && !strings.Contains(w.text, ".") {
			continue
		}
		text, ok := script(path)
		if !ok {
			continue
		}
		return shellCalls(text, folder, depth+1)
	}
	return nil, true
}

// script is the text of a short script that names this program.
func script(path string) (string, bool) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxScript {
		return "", false
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(text), "#!") || !strings.Contains(string(text), "autoscale") {
		return "", false
	}
	return string(text), true
}

// literals are words as the shell makes them of its input.
func literals(args []*syntax.Word) []word {
	all := make([]word, len(args))
	for i, arg := range args {
		known := true
		syntax.Walk(arg, func(node syntax.Node) bool {
			switch node.(type) {
			case *syntax.ParamExp, *syntax.CmdSubst, *syntax.ArithmExp, *syntax.ProcSubst, *syntax.ExtGlob:
				known = false
			}
			return true
		})
		text := ""
		if literal, err := expand.Literal(&expand.Config{}, arg); err == nil { // else it runs a command
			text = literal
		}
		all[i] = word{text, known && !strings.HasPrefix(text, "~")}
	}
	return all
}

// under is path, seen from folder; empty where that cannot be told.
func under(folder, path string) string {
	switch {
	case filepath.IsAbs(path):
		return filepath.Clean(path)
	case folder == "" || path == "" || strings.HasPrefix(path, "~"):
		return ""
	}
	return filepath.Join(folder, path)
}

// commands are the words behind the program's name that make no decision.
func commands() []string {
	return []string{
		"doctor", "schedule", "status", "explain", "rollback", "version", "help", "stress", "simulate", "pause", "resume", "hold",
		"demo", "adapter", "completion", "schema", "notify",
	}
}

// concerns reports whether the call may decide on w, and whether it acts when
// it does. Only what is surely another's is left out.
func (c call) concerns(w Workload) (concerns, acts bool) {
	if len(c.args) > 0 && c.args[0].known && slices.Contains(commands(), c.args[0].text) {
		return false, false
	}
	service, dir := word{"app", true}, c.folder
	dry, observe, elsewhere := false, false, false
	for i, arg := range c.args {
		elsewhere = elsewhere || strings.HasPrefix(arg.text, "-p") || strings.HasPrefix(arg.text, "-f")
		name, text, found := strings.Cut(arg.text, "=")
		value := word{text, arg.known}
		if !found && i+1 < len(c.args) {
			value = c.args[i+1]
		}
		switch name {
		case "--service":
			service = value
		case "--project-dir":
			dir = ""
			if value.known {
				dir = under(c.folder, value.text)
			}
		case "--provider":
			if value.known && !w.provided(value.text) {
				return false, false
			}
		case "--project-name", "--file":
			elsewhere = true // the project may be one that runs in another folder
		case "--help", "-h", "--version":
			return false, false
		case "--dry-run":
			yes, err := strconv.ParseBool(text)
			dry = !found || err == nil && yes
		case "--mode":
			observe = value.known && value.text == "observe"
		}
	}
	if service.known && service.text != w.Service {
		return false, false
	}
	return dir == "" || elsewhere || samePath(dir, w.Dir), !dry && !observe
}

// samePath compares two paths as the file system does, where it can.
func samePath(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	x, errX := filepath.EvalSymlinks(a)
	y, errY := filepath.EvalSymlinks(b)
	return errX == nil && errY == nil && x == y
}

// anyConcerns reports whether one of the calls concerns w, and whether one acts.
func anyConcerns(calls []call, w Workload) (concerns, acts bool) {
	for _, c := range calls {
		of, does := c.concerns(w)
		concerns, acts = concerns || of, acts || of && does
	}
	return concerns, acts
}
