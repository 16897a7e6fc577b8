package demo

import (
	"fmt"
	"math"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
)

// axisWidth is how many columns the chart's scale takes, its line included.
const axisWidth = 5

// cell is one place of the chart.
type cell struct {
	text  rune
	style *lipgloss.Style // nil for none
}

// column is what the chart shows of a stretch of time.
type column struct {
	load     float64 // requests/s; below 0 where nothing is known
	plan     float64 // what is to come, in requests/s; below 0 where that is past
	capacity float64 // requests/s; below 0 where nothing is known
	failed   bool    // requests failed
	unread   bool    // the load could not be read
}

// window is the time that the chart shows.
func (m *Screen) window() (from, until time.Duration) {
	from, until = 0, m.story.Length
	// Of a story without an end what was, and a fifth of what comes.
	if ahead := m.now() + until/5; m.story.Again && ahead > until {
		from, until = ahead-until, ahead
	}
	return from, until
}

// now is how much of the story is over.
func (m *Screen) now() time.Duration {
	if len(m.loads) == 0 {
		return 0
	}
	return m.loads[len(m.loads)-1].At
}

// columns are what the chart shows, in so many columns.
func (m *Screen) columns(n int) []column {
	from, until := m.window()
	all := make([]column, n)
	sums := make([]struct{ load, seconds float64 }, n)
	width := (until - from) / time.Duration(n)
	at := func(t time.Duration) int { return int((t - from) / width) }
	for _, l := range m.loads {
		// A second may be several columns wide, or several may share one.
		for i := max(at(l.At-time.Second), 0); i <= at(l.At-1) && i < n; i++ {
			sums[i].load += l.Sent
			sums[i].seconds++
			all[i].failed = all[i].failed || l.Failed > 0
		}
	}
	now := m.now()
	for i := range all {
		c := &all[i]
		begin := from + time.Duration(i)*width
		c.load, c.plan, c.capacity = -1, -1, -1
		if sums[i].seconds > 0 {
			c.load = sums[i].load / sums[i].seconds
		}
		if begin >= now {
			c.plan = m.story.Rate(begin + width/2)
		}
	}
	replicas, next := 0, 0
	for i := range all {
		end := from + time.Duration(i+1)*width
		for ; next < len(m.steps) && m.steps[next].At < end; next++ {
			replicas = m.steps[next].Replicas
			if begin := at(m.steps[next].At); m.steps[next].Decision.Verdict.Doubtful() && !m.steps[next].Decision.At.IsZero() && begin >= 0 {
				all[begin].unread = true
			}
		}
		if begin := end - width; begin <= now && replicas > 0 {
			all[i].capacity = float64(replicas) * Capacity
		}
	}
	fill(all)
	return all
}

// fill closes the gaps between steps that are further apart than a column.
func fill(all []column) {
	last := -1
	for i, c := range all {
		if !c.unread {
			continue
		}
		if last >= 0 && i-last <= 3 {
			for k := last; k < i; k++ {
				all[k].unread = true
			}
		}
		last = i
	}
}

// scale is the load at the upper edge of a chart of so many rows, in requests/s.
// The highest row is there for the line of the most replicas, which stands on top
// of what they carry.
func scale(rows int) float64 { return Max * Capacity * float64(rows) / float64(rows-1) }

// level is in which row, counted from the lowest, a value's line stands: the first
// above what a bar of that value fills, so that neither hides the other.
func level(value float64, rows int) int {
	return min(int(math.Ceil(value/scale(rows)*float64(rows)-1e-9)), rows-1)
}

// chart draws load and capacity over time, in so many columns and rows, those of
// the line below and of its names included.
func (m *Screen) chart(width, rows int) []string {
	width, rows = max(width-axisWidth, 8), max(rows-2, 3)
	columns := m.columns(width)
	grid := make([][]cell, rows) // the highest row first
	for y := range grid {
		grid[y] = make([]cell, width)
		for x := range grid[y] {
			grid[y][x] = cell{text: ' '}
		}
	}
	for x, c := range columns {
		m.drawLoad(grid, x, c)
	}
	m.drawCapacity(grid, columns)
	lines := make([]string, 0, rows+2)
	for y, row := range grid {
		lines = append(lines, m.style.faint.Render(label(y, rows))+join(row))
	}
	return append(lines, m.style.faint.Render("   0└")+join(m.axis(columns)), strings.Repeat(" ", axisWidth)+m.names(width))
}

// label is what stands left of a row of the chart.
func label(y, rows int) string {
	const most = Max * Capacity
	marks := []int{most, most / 2}
	if rows > 12 {
		marks = []int{most, most * 3 / 4, most / 2, most / 4}
	}
	for _, v := range marks {
		if level(float64(v), rows) == rows-1-y {
			return fmt.Sprintf("%4d┤", v)
		}
	}
	return "    │"
}

// drawLoad draws a column's load as a bar, or what is to come as a dot.
func (m *Screen) drawLoad(grid [][]cell, x int, c column) {
	rows := len(grid)
	if c.load < 0 {
		if c.plan >= 0 {
			grid[rows-max(level(c.plan, rows), 1)][x] = cell{'·', &m.style.faint}
		}
		return
	}
	style := &m.style.load
	if c.unread {
		style = &m.style.unseen
	}
	eighths := int(math.Round(min(c.load/scale(rows), 1) * float64(rows) * 8))
	for y := rows - 1; eighths > 0; y-- {
		grid[y][x] = cell{[]rune(" ▁▂▃▄▅▆▇█")[min(eighths, 8)], style}
		eighths -= 8
	}
}

// drawCapacity draws what the replicas carry as a line.
func (m *Screen) drawCapacity(grid [][]cell, columns []column) {
	rows, last := len(grid), -1
	for x, c := range columns {
		if c.capacity < 0 {
			last = -1
			continue
		}
		y := rows - 1 - level(c.capacity, rows)
		put := func(y int, r rune) {
			style := &m.style.capacity
			if grid[y][x].text == '█' {
				style = &m.style.over
				if grid[y][x].style == &m.style.unseen {
					style = &m.style.overUnseen
				}
			}
			grid[y][x] = cell{r, style}
		}
		switch {
		case last < 0 || last == y:
			put(y, '─')
		case y < last: // a rise
			put(y, '╭')
			for between := y + 1; between < last; between++ {
				put(between, '│')
			}
			put(last, '╯')
		default:
			put(y, '╰')
			for between := last + 1; between < y; between++ {
				put(between, '│')
			}
			put(last, '╮')
		}
		last = y
	}
}

// axis is the line below the chart: it tells where requests failed, and where the
// load could not be read.
func (m *Screen) axis(columns []column) []cell {
	row := make([]cell, len(columns))
	for x, c := range columns {
		switch {
		case c.failed:
			row[x] = cell{'!', &m.style.bad}
		case c.unread:
			row[x] = cell{'×', &m.style.doubt}
		default:
			row[x] = cell{'─', &m.style.faint}
		}
	}
	return row
}

// names are those of the phases, each below where it begins.
func (m *Screen) names(width int) string {
	from, until := m.window()
	row := []rune(strings.Repeat(" ", width))
	free := 0
	for start := from - m.startOf(from); start < until; start += m.story.Length {
		for _, p := range m.story.Phases {
			x := int((start + p.From - from) * time.Duration(width) / (until - from))
			name := []rune(p.Name)
			if p.Name == "" || start+p.From < from || x < free || x+len(name) > width {
				continue
			}
			copy(row[x:], name)
			free = x + len(name) + 1
		}
	}
	return m.style.faint.Render(strings.TrimRight(string(row), " "))
}

// startOf is how much of a telling of the story is over at t.
func (m *Screen) startOf(t time.Duration) time.Duration {
	within, _ := m.story.within(t)
	return within
}

// join is a row as text.
func join(row []cell) string {
	var b strings.Builder
	for i := 0; i < len(row); {
		k := i
		var run []rune
		for ; k < len(row) && row[k].style == row[i].style; k++ {
			run = append(run, row[k].text)
		}
		if row[i].style == nil {
			b.WriteString(string(run))
		} else {
			b.WriteString(row[i].style.Render(string(run)))
		}
		i = k
	}
	return b.String()
}
