package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// Summary says in a few lines what came of it all; told tells that the story was
// told to its end.
func (c *Course) Summary(length time.Duration, sent Sent, told bool) string {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		text := ansi.Wordwrap(fmt.Sprintf(format, args...), 68, "")
		fmt.Fprintf(&b, "%-9s %s\n", name, strings.ReplaceAll(text, "\n", "\n          "))
	}
	row("time", "%s", clock(length))
	failed := "none failed"
	if sent.Failed > 0 {
		failed = fmt.Sprintf("%s of them failed", grouped(sent.Failed))
	}
	if sent.Requests == 0 {
		row("requests", "none")
	} else {
		row("requests", "%s, %s; 99 %% were answered within %s", grouped(sent.Requests), failed, sent.P99.Round(time.Millisecond))
	}
	row("replicas", "from %d to %d, %d at the end; scaled %s", c.fewest, c.most, c.last, times(c.scalings))
	if held := c.held(length); held != "" {
		row("outage", "%s", held)
	}
	if !told {
		row("", "ended before the story was")
	}
	return b.String()
}

// held says what became of the replicas while the load could not be read, of a
// story that was told for so long; empty where that was not come to.
func (c *Course) held(length time.Duration) string {
	from, until := c.story.unread()
	n := 0
	for _, s := range c.steps {
		if s.at >= from && s.at < until && s.doubtful {
			n = s.to
		}
	}
	if n == 0 {
		return ""
	}
	text := c.released()
	if text == "" {
		text = fmt.Sprintf("%s held for %s without metrics", replicas(n), (min(until, length) - from).Round(time.Second))
		if fallen, _ := c.story.phase(func(p Phase) bool { return p.Unread && p.From > from }); length > fallen {
			text += fmt.Sprintf(", while the load fell from %d to %d requests/s", busy, evening)
		}
	}
	for _, s := range c.steps {
		if s.at >= until && s.to < n {
			return text + fmt.Sprintf("; the first went %s after they were back", (s.at-until).Round(time.Second))
		}
	}
	return text
}

// Next are commands to go on with, and what each is for.
func Next() [][2]string {
	return [][2]string{
		{"autoscale run --min=1 --max=5 --rps-target=40 --interval=1s -- ./your-server", "your own program, as here; it listens on $PORT"},
		{"autoscale stress --url http://localhost:8080/ --find-capacity", "what one replica of it carries: the --rps-target"},
		{"autoscale doctor --provider=compose --min=1 --max=5 --rps-target=40", "in the folder of a Compose project: what is in the way"},
	}
}

func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

// clock is a time as 2:05.
func clock(d time.Duration) string {
	d = d.Round(time.Second)
	return fmt.Sprintf("%d:%02d", d/time.Minute, d%time.Minute/time.Second)
}

// grouped writes 21377 as 21,377.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
