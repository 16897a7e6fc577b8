package calendar

import "time"

// moment is when the clocks of a zone first have shown r: the first moment after
// an hour that was skipped, where r lies in it, and the first of the two where r
// comes twice. Later readings are never earlier moments.
func (r reading) moment(zone *time.Location) time.Time {
	wall := time.Unix(int64(r)*60, 0).UTC()
	t := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), 0, 0, zone)
	begin, end := t.ZoneBounds()
	shown := shows(t)
	switch {
	case shown > r:
		return begin
	case shown < r:
		return end
	}
	if back := turnedBack(begin); back > 0 && t.Add(-back).Before(begin) {
		return t.Add(-back)
	}
	return t
}

// reached is the latest reading whose moment is not after t. In the hour that
// comes twice it is, all along, the last one before the clocks were turned back.
func reached(t time.Time) reading {
	begin, _ := t.ZoneBounds()
	if back := turnedBack(begin); back > 0 && t.Sub(begin) < back {
		return shows(begin.Add(-time.Nanosecond))
	}
	return shows(t)
}

// shows is what the clocks of t's zone show at t.
func shows(t time.Time) reading {
	_, offset := t.Zone()
	seconds := t.Unix() + int64(offset)
	if seconds < 0 {
		seconds -= 59
	}
	return reading(seconds / 60)
}

// turnedBack is by how much the clocks were turned back when t began a new
// offset; 0 or less where they were not, or t is zero.
func turnedBack(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	_, before := t.Add(-time.Nanosecond).Zone()
	_, after := t.Zone()
	return time.Duration(before-after) * time.Second
}
