package process

import (
	"slices"
	"strings"
	"sync"

	"github.com/five-keys/autoscale/internal/command"
)

// keptLines is how many of its last lines are kept of a replica.
const keptLines = 50

// lines are the last ones that a replica wrote.
type lines struct {
	mu   sync.Mutex
	last []string
}

func (l *lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last = append(l.last, line); len(l.last) > keptLines {
		l.last = slices.Delete(l.last, 0, 1)
	}
}

// tell reports whether a text stands in any of them.
func (l *lines) tell(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.last, func(line string) bool { return strings.Contains(line, text) })
}

// said is what the last n of them say, as the end of a sentence.
func (l *lines) said(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if said := command.LastLines(strings.Join(l.last, "\n"), n); said != "" {
		return "; it said: " + said
	}
	return ""
}
