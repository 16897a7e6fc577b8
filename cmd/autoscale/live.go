package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/five-keys/autoscale/internal/stress"
)

// live is the screen on which a person follows a load.
type live struct {
	url      string
	duration time.Duration // 0 where nobody knows
	cancel   context.CancelFunc
	width    int
	seconds  []stress.Second
	done     int64 // requests that ended
	failed   int64
	ending   bool
}

// over tells the screen that the load has ended.
type over struct{}

func (l *live) Init() tea.Cmd { return nil }

// Update takes what happened.
func (l *live) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		l.width = msg.Width
	case tea.KeyPressMsg:
		if key := msg.String(); key == "ctrl+c" || key == "q" {
			l.ending = true
			l.cancel()
		}
	case stress.Second:
		l.seconds = append(l.seconds, msg)
		l.seconds = l.seconds[max(0, len(l.seconds)-sparkWidth):]
		l.done += int64(math.Round(msg.Done * msg.Length))
		l.failed += int64(math.Round(msg.Failed * msg.Length))
	case over:
		l.seconds = nil // the report has it all
		return l, tea.Quit
	}
	return l, nil
}

// sparkWidth is how many seconds the curves show.
const sparkWidth = 60

// View is the screen as text.
func (l *live) View() tea.View {
	if len(l.seconds) == 0 {
		return tea.NewView("")
	}
	s := l.seconds[len(l.seconds)-1]
	var b strings.Builder
	left := ""
	if l.duration > 0 {
		left = fmt.Sprintf(", %s left", max(0, l.duration-time.Duration(s.At*float64(time.Second))).Round(time.Second))
	}
	end := "q or Ctrl-C ends it with a report"
	if l.ending {
		end = "ending"
	}
	fmt.Fprintf(&b, "%s  %s%s  (%s)\n\n", l.url, time.Duration(s.At*float64(time.Second)).Round(time.Second), left, end)
	asked := ""
	if s.Asked != nil {
		asked = fmt.Sprintf(" of %.4g asked", *s.Asked)
	}
	row := func(name, text string, values func(stress.Second) float64) {
		fmt.Fprintf(&b, "  %-9s %-30s %s\n", name, text, spark(l.seconds, values))
	}
	row("sent", fmt.Sprintf("%.4g/s%s", s.Sent, asked), func(s stress.Second) float64 { return s.Sent })
	row("p50", stress.Milliseconds(s.P50), func(s stress.Second) float64 { return s.P50 })
	row("p90", stress.Milliseconds(s.P90), func(s stress.Second) float64 { return s.P90 })
	row("p99", stress.Milliseconds(s.P99), func(s stress.Second) float64 { return s.P99 })
	row("failed", fmt.Sprintf("%.4g/s, %d in all", s.Failed, l.failed), func(s stress.Second) float64 { return s.Failed })
	row("in flight", fmt.Sprint(s.InFlight), func(s stress.Second) float64 { return float64(s.InFlight) })
	if s.Replicas != nil {
		row("replicas", fmt.Sprintf("%.4g", *s.Replicas), func(s stress.Second) float64 {
			if s.Replicas == nil {
				return 0
			}
			return *s.Replicas
		})
	}
	fmt.Fprintf(&b, "\n  %d requests\n", l.done)
	return tea.NewView(cut(b.String(), l.width))
}

// cut keeps each line within a width, where that is known.
func cut(text string, width int) string {
	if width <= 0 {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if runes := []rune(line); len(runes) > width {
			lines[i] = string(runes[:width])
		}
	}
	return strings.Join(lines, "\n")
}

// spark is a small curve of the last seconds, from zero to the highest.
func spark(seconds []stress.Second, value func(stress.Second) float64) string {
	const levels = "▁▂▃▄▅▆▇█"
	highest := 0.0
	for _, s := range seconds {
		highest = max(highest, value(s))
	}
	var b strings.Builder
	for _, s := range seconds {
		level := 0
		if highest > 0 {
			level = min(7, int(value(s)/highest*7.999))
		}
		b.WriteString(string([]rune(levels)[level]))
	}
	return b.String()
}

// follow shows the screen until the returned function is called. The terminal is
// then as it was.
func follow(s streams, l *live) (tell func(stress.Second), end func() error) {
	program, ended := show(s, l)
	return func(second stress.Second) { program.Send(second) }, func() error { return ended(over{}) }
}

// show shows a screen until it has taken the message that end is given.
func show(s streams, m tea.Model) (program *tea.Program, end func(tea.Msg) error) {
	program = tea.NewProgram(m, tea.WithInput(s.in), tea.WithOutput(s.out), tea.WithoutSignalHandler(), tea.WithFPS(10))
	ended := make(chan error, 1)
	go func() {
		_, err := program.Run()
		ended <- err
	}()
	return program, func(last tea.Msg) error {
		program.Send(last)
		if err := <-ended; err != nil && !errors.Is(err, tea.ErrProgramKilled) {
			return fmt.Errorf("the screen: %w", err)
		}
		return nil
	}
}
