package demo

import (
	"flag"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/five-keys/autoscale"
)

var update = flag.Bool("update", false, "write the golden views anew")

// at is the screen of a story after so much of it.
func at(s Story, until time.Duration, width, height int) *Screen {
	m := NewScreen(s, func() {})
	m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	if until < 0 {
		return m
	}
	m.Update(Place{Page: "http://127.0.0.1:9292/", App: "http://127.0.0.1:8080/"})
	play(s, s.Policy(), until, func(msg any) { m.Update(msg) })
	return m
}

// shown is what stands on the screen, without its colours.
func shown(m *Screen) string {
	var lines []string
	for line := range strings.SplitSeq(ansi.Strip(m.View().Content), "\n") {
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return strings.Join(lines, "\n") + "\n"
}

func TestViews(t *testing.T) {
	again := Full()
	again.Again = true
	for _, view := range []struct {
		name          string
		story         Story
		at            time.Duration
		width, height int
	}{
		{"start", Full(), -1, 80, 24},
		{"ramp", Full(), 50 * time.Second, 80, 24},
		{"burst", Full(), 76 * time.Second, 100, 30},
		{"outage", Full(), 115 * time.Second, 80, 24},
		{"end", Full(), 3 * time.Minute, 132, 43},
		{"fast", Fast(), 28 * time.Second, 80, 24},
		{"narrow", Fast(), 28 * time.Second, 40, 20},
		{"low", Fast(), 28 * time.Second, 80, 10},
		{"again", again, 8*time.Minute + 30*time.Second, 80, 24},
	} {
		t.Run(view.name, func(t *testing.T) {
			got := shown(at(view.story, view.at, view.width, view.height))
			path := filepath.Join("testdata", view.name+".view")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// Whatever the size, each line fits, and so do all of them.
func TestFits(t *testing.T) {
	screens := []*Screen{at(Full(), -1, 80, 24), at(Fast(), 29*time.Second, 80, 24)}
	screens[1].Update(Event{Kind: "failed", Text: strings.Repeat("two\nlines ", 40)})
	screens[1].Update(Step{At: 29 * time.Second, Err: fmt.Errorf("%s", strings.Repeat("very long ", 60))})
	for _, m := range screens {
		for height := 1; height <= 70; height += 5 {
			for width := 1; width <= 220; width += 19 {
				m.Update(tea.WindowSizeMsg{Width: width, Height: height})
				lines := strings.Split(m.View().Content, "\n")
				if len(lines) > height {
					t.Fatalf("%d×%d: %d lines", width, height, len(lines))
				}
				for _, line := range lines {
					if w := ansi.StringWidth(line); w > max(width, 20) {
						t.Fatalf("%d×%d: %d wide: %q", width, height, w, line)
					}
				}
			}
		}
	}
}

func TestKeys(t *testing.T) {
	for _, key := range []tea.KeyPressMsg{{Code: 'q', Text: "q"}, {Code: 'c', Mod: tea.ModCtrl}} {
		stopped := 0
		m := NewScreen(Full(), func() { stopped++ })
		for range 2 { // who is impatient presses twice
			if _, cmd := m.Update(key); cmd != nil {
				if msg := cmd(); msg != nil {
					t.Errorf("%s gives %v", key, msg)
				}
			}
		}
		if stopped != 1 || !strings.Contains(shown(m), "ending") {
			t.Errorf("%s stops %d times; the screen:\n%s", key, stopped, shown(m))
		}
		if _, cmd := m.Update(Over{}); cmd == nil || cmd() != tea.Quit() {
			t.Error("it does not quit once all is over")
		}
	}
	m := NewScreen(Full(), func() { t.Error("x stops it") })
	if _, cmd := m.Update(tea.KeyPressMsg{Code: 'x', Text: "x"}); cmd != nil {
		cmd()
	}
}

// Each place of the chart says by its form what its colour says, for those who
// see none; dark and light terminals have colours of their own.
func TestColours(t *testing.T) {
	m := at(Fast(), 28*time.Second, 80, 24)
	dark := m.View().Content
	m.Update(tea.BackgroundColorMsg{Color: color.White})
	light := m.View().Content
	if dark == light || ansi.Strip(dark) != ansi.Strip(light) {
		t.Error("dark and light differ in their colours, and only in them")
	}
	m.Update(Load{At: 29 * time.Second, Sent: 90, Failed: 4})
	for _, form := range []string{"█", "─", "×××", "!", "·"} {
		if !strings.Contains(shown(m), form) {
			t.Errorf("no %s on the screen:\n%s", form, shown(m))
		}
	}
}

// A story without an end takes no more and more memory.
func TestForgets(t *testing.T) {
	m := NewScreen(Full(), func() {})
	for i := range 3 * kept {
		m.Update(Load{At: time.Duration(i) * time.Second, Sent: 1})
		m.Update(Step{At: time.Duration(i) * time.Second, Decision: autoscale.Decision{}, Replicas: 1})
		m.Update(Event{Text: "x"})
	}
	if len(m.loads) != kept || len(m.steps) != kept || len(m.events) != kept || m.requests != 3*kept {
		t.Errorf("%d loads, %d steps, %d events, %g requests", len(m.loads), len(m.steps), len(m.events), m.requests)
	}
}
