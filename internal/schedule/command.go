package schedule

import (
	"path/filepath"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// call is one call of the program that a command line holds.
type call struct {
	folder string   // where it runs; empty where that cannot be told
	args   []string // behind the program's name
}

// isProgram reports whether a word names this program, or the script that it
// replaces.
func isProgram(word string) bool {
	base := filepath.Base(word)
	return base == "autoscale" || base == "autoscale.py"
}

// shellCalls finds the calls in a shell's command line, which begins in folder.
// sure is false where the line cannot be taken apart though it seems to have
// one.
func shellCalls(line, folder string, depth int) (calls []call, sure bool) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(line), "")
	if err != nil || depth > 3 {
		return nil, !strings.Contains(line, "autoscale")
	}
	sure = true
	syntax.Walk(file, func(node syntax.Node) bool {
		simple, ok := node.(*syntax.CallExpr)
		if !ok {
			return true
		}
		words := literals(simple.Args)
		if len(words) > 1 && words[0] == "cd" {
			folder = under(folder, words[len(words)-1])
		}
		found, ok := wordCalls(words, folder, depth)
		calls, sure = append(calls, found...), sure && ok
		return true
	})
	return calls, sure
}

// wordCalls finds the call in the words of one command, through such as env,
// timeout, flock and sh -c.
func wordCalls(words []string, folder string, depth int) ([]call, bool) {
	if at := slices.IndexFunc(words, isProgram); at >= 0 {
		return []call{{folder: folder, args: words[at+1:]}}, true
	}
	for i, word := range words {
		if word == "-c" && i > 0 && i+1 < len(words) && strings.HasSuffix(words[i-1], "sh") {
			return shellCalls(words[i+1], folder, depth+1)
		}
	}
	return nil, true
}

// literals are words as the shell makes them of its input, with nothing for
// variables.
func literals(words []*syntax.Word) []string {
	all := make([]string, len(words))
	for i, word := range words {
		text, err := expand.Literal(&expand.Config{}, word)
		if err != nil { // it runs a command
			text = ""
		}
		all[i] = text
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
	if len(c.args) > 0 && slices.Contains(commands(), c.args[0]) {
		return false, false
	}
	service, dir, acts := "app", c.folder, true
	for i, arg := range c.args {
		name, value, found := strings.Cut(arg, "=")
		if !found && i+1 < len(c.args) {
			value = c.args[i+1]
		}
		switch name {
		case "--service":
			service = value
		case "--project-dir":
			dir = under(c.folder, value)
		case "--provider":
			if value != "compose" && value != "" {
				return false, false
			}
		case "--dry-run", "--help", "-h", "--version":
			acts = false
		case "--mode":
			acts = acts && value != "observe"
		}
	}
	return service == w.Service && (dir == "" || samePath(dir, w.Dir)), acts
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

// any reports whether one of the calls concerns w, and whether one acts.
func anyConcerns(calls []call, w Workload) (concerns, acts bool) {
	for _, c := range calls {
		of, does := c.concerns(w)
		concerns, acts = concerns || of, acts || of && does
	}
	return concerns, acts
}
