package demo

import "charm.land/lipgloss/v2"

// style are the colours of the screen.
type style struct {
	strong, faint, load, unseen, capacity, over, overUnseen, doubt, bad, good lipgloss.Style
}

// styleFor are those for a dark or a light terminal.
func styleFor(dark bool) style {
	pick := lipgloss.LightDark(dark)
	of := func(light, dark string) lipgloss.Style {
		return lipgloss.NewStyle().Foreground(pick(lipgloss.Color(light), lipgloss.Color(dark)))
	}
	blue, amber, green := pick(lipgloss.Color("#2F6FDE"), lipgloss.Color("#4C8DFF")), pick(lipgloss.Color("#C98A12"), lipgloss.Color("#B7842B")), pick(lipgloss.Color("#0B7A3B"), lipgloss.Color("#5BE08C"))
	line := pick(lipgloss.Color("#FFFFFF"), lipgloss.Color("#C6FFDA")) // on a bar
	s := style{
		strong: lipgloss.NewStyle().Bold(true), faint: of("#6B7280", "#8B93A1"),
		load: lipgloss.NewStyle().Foreground(blue), unseen: lipgloss.NewStyle().Foreground(amber),
		capacity: lipgloss.NewStyle().Foreground(green).Bold(true),
		doubt:    of("#9A6700", "#F0B849").Bold(true), bad: of("#C81E1E", "#FF6B6B").Bold(true), good: of("#0B7A3B", "#5BE08C").Bold(true),
	}
	s.over = lipgloss.NewStyle().Foreground(line).Background(blue).Bold(true)
	s.overUnseen = lipgloss.NewStyle().Foreground(line).Background(amber).Bold(true)
	return s
}
