package demo

import (
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/five-keys/autoscale"
)

// Screen is the live screen: a model of bubbletea. What it shows follows from
// the messages alone.
type Screen struct {
	story Story
	place Place
	stop  func()
	style style

	width, height int
	loads         []Load
	steps         []Step
	events        []Event // oldest first
	requests      float64
	failed        float64
	ending        bool
}

// Place is where things can be looked at; each part may be empty.
type Place struct {
	// Page and App are the URLs of the daemon's page and of the service.
	Page, App string
}

// Over is the message with which the screen ends.
type Over struct{}

// kept bounds what the screen remembers of each kind, for stories without an end.
const kept = 4000

// NewScreen makes a Screen, which calls stop once when the user wants to end.
func NewScreen(s Story, stop func()) *Screen {
	return &Screen{story: s, stop: stop, style: styleFor(true), width: 80, height: 24}
}

// Init asks whether the terminal is dark.
func (m *Screen) Init() tea.Cmd { return tea.RequestBackgroundColor }

// Update takes what happened.
func (m *Screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.BackgroundColorMsg:
		m.style = styleFor(msg.IsDark())
	case tea.KeyPressMsg:
		if key := msg.String(); (key == "ctrl+c" || key == "q") && !m.ending {
			m.ending = true
			return m, func() tea.Msg {
				m.stop()
				return nil
			}
		}
	case Place:
		m.place = msg
	case Load:
		m.loads = last(append(m.loads, msg))
		m.requests += msg.Sent
		m.failed += msg.Failed
	case Step:
		m.steps = last(append(m.steps, msg))
	case Event:
		m.events = last(append(m.events, msg))
	case Over:
		return m, tea.Quit
	}
	return m, nil
}

func last[T any](all []T) []T { return all[max(0, len(all)-kept):] }

// View is the screen as text.
func (m *Screen) View() tea.View {
	v := tea.NewView(strings.Join(m.lines(), "\n"))
	v.AltScreen = true
	v.WindowTitle = "autoscale demo"
	return v
}

// lines are those of the screen, from its top to its bottom.
func (m *Screen) lines() []string {
	width := max(m.width, 20)
	head := m.head(width)
	decision := m.decision(width)
	foot := m.foot(width)
	room := m.height - len(head) - len(decision) - len(foot)
	gap := []string{""}
	if m.height < 20 {
		gap = nil
	}
	room -= 4 * len(gap)
	rows, events := share(room)
	all := head
	if rows > 0 {
		all = append(append(all, gap...), m.chart(width-1, rows)...)
	}
	all = append(append(all, gap...), decision...)
	if events > 0 {
		all = append(append(all, gap...), m.happened(width, events)...)
	}
	all = append(all, gap...)
	for len(all)+len(foot) < m.height {
		all = append(all, "")
	}
	all = append(all, foot...)
	for i, line := range all {
		all[i] = ansi.Truncate(line, width, "")
	}
	return all[:min(len(all), max(m.height, 1))]
}

// share divides the room between the chart and the events. The chart has a whole
// number of rows for each replica where it can, one for the line on top, and the
// two below it.
func share(room int) (rows, events int) {
	const least, others = 6, 3
	if room < least+others {
		if room < least {
			return 0, max(room, 0)
		}
		return room, 0
	}
	rows = room - others
	switch {
	case room*2/3 >= 3*Max+3:
		rows = 3*Max + 3
	case room*2/3 >= 2*Max+3:
		rows = 2*Max + 3
	case rows >= Max+3:
		rows = Max + 3
	}
	return rows, room - rows
}

// head says what goes on, and the figures.
func (m *Screen) head(width int) []string {
	now := m.now()
	phase := m.story.Phase(now).Text
	if len(m.loads) == 0 {
		phase = "starting the first replica"
	}
	if m.ending {
		phase = "ending"
	}
	passed := clock(now) + " of " + clock(m.story.Length)
	if m.story.Again {
		passed = clock(now)
	}
	title := m.style.strong.Render("autoscale demo") + "  " + phase
	return []string{spread(width, title, m.style.faint.Render(passed)), m.figures(width)}
}

// spread puts one text at the left and one at the right.
func spread(width int, left, right string) string {
	room := width - lipgloss.Width(right) - 2
	if room < 10 {
		return " " + left
	}
	left = ansi.Truncate(" "+left, room, "…")
	return left + strings.Repeat(" ", width-1-lipgloss.Width(left)-lipgloss.Width(right)) + right
}

// figures are load, capacity and what became of the requests, as many as fit.
func (m *Screen) figures(width int) string {
	var load Load
	if len(m.loads) > 0 {
		load = m.loads[len(m.loads)-1]
	}
	replicas := 0
	if len(m.steps) > 0 {
		replicas = m.steps[len(m.steps)-1].Replicas
	}
	failed := m.style.good.Render("0 failed")
	if m.failed > 0.5 {
		failed = m.style.bad.Render(grouped(int64(m.failed+0.5)) + " failed")
	}
	parts := []string{
		m.style.load.Render("█") + fmt.Sprintf(" load %3.0f/s", load.Sent),
		m.style.capacity.Render("─") + fmt.Sprintf(" capacity %3d/s", replicas*Capacity),
		m.replicas(replicas),
		failed,
		fmt.Sprintf("%s sent", grouped(int64(m.requests+0.5))),
		fmt.Sprintf("p99 %d ms", load.P99.Milliseconds()),
	}
	text := ""
	for _, part := range parts {
		if lipgloss.Width(text)+3+lipgloss.Width(part) > width {
			break
		}
		text += "  " + part
	}
	return strings.TrimPrefix(text, " ")
}

// replicas shows how many there are as dots.
func (m *Screen) replicas(n int) string {
	name := " replicas"
	if n == 1 {
		name = " replica "
	}
	return fmt.Sprintf("%2d%s ", n, name) + m.style.capacity.Render(strings.Repeat("●", n)) + m.style.faint.Render(strings.Repeat("○", max(Max-n, 0)))
}

// decision is the last one in words, and what would change it next.
func (m *Screen) decision(width int) []string {
	lines := 2
	if width < 70 {
		lines = 3
	}
	if m.height < 12 {
		lines = 1
	}
	var text, next string
	bar := m.style.faint
	if len(m.steps) > 0 {
		step := m.steps[len(m.steps)-1]
		d := step.Decision
		next, d.Next = d.Next.String(), autoscale.Next{}
		text = d.Sentence()
		switch {
		case step.Err != nil:
			bar, text = m.style.bad, step.Err.Error()
		case d.Verdict.Doubtful():
			bar = m.style.doubt
		case d.To != d.From:
			bar = m.style.good
		}
	}
	wrapped := strings.Split(ansi.Wordwrap(text, width-5, ""), "\n")
	if len(wrapped) > lines {
		wrapped = append(wrapped[:lines-1], ansi.Truncate(strings.Join(wrapped[lines-1:], " "), width-5, "…"))
	}
	if next != "" {
		wrapped = append(wrapped, m.style.faint.Render(ansi.Truncate("next: "+next, width-5, "…")))
	}
	all := make([]string, lines+1) // always as many, so that nothing below moves
	for i, line := range wrapped {
		all[i] = " " + bar.Render("┃") + " " + line
	}
	return all
}

// happened are the newest events, newest first.
func (m *Screen) happened(width, n int) []string {
	all := make([]string, 0, n)
	for i := len(m.events) - 1; i >= 0 && len(all) < n; i-- {
		e := m.events[i]
		sign, style := m.sign(e)
		text, _, _ := strings.Cut(e.Text, ". Next: ")
		line := " " + m.style.faint.Render(e.Time.Format(time.TimeOnly)) + " " + style.Render(sign) + " " + strings.ReplaceAll(text, "\n", " ")
		all = append(all, ansi.Truncate(line, width-1, "…"))
	}
	for len(all) < n {
		all = append(all, "")
	}
	return all
}

// sign is how an event's kind is shown.
func (m *Screen) sign(e Event) (string, lipgloss.Style) {
	switch e.Kind {
	case PhaseBegan:
		return "▸", m.style.load
	case Raised:
		return "↑", m.style.good
	case Lowered:
		return "↓", m.style.good
	case "held-on-doubt", "at-max", "paused":
		return "‖", m.style.doubt
	case "failed":
		return "!", m.style.bad
	}
	return "·", m.style.faint
}

// foot says where to look, and the keys.
func (m *Screen) foot(width int) []string {
	left := ""
	if m.place.Page != "" {
		left = "page " + m.place.Page
	}
	if app := "  service " + m.place.App; m.place.App != "" && len(left)+len(app)+10 < width {
		left += app
	}
	return []string{spread(width, m.style.faint.Render(left), m.style.strong.Render("q")+m.style.faint.Render(" quits"))}
}
