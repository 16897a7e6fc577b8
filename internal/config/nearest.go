package config

import (
	"maps"
	"slices"
	"strings"
)

// instead is what to do about a key that a mapping does not have.
func instead(key string, known map[string]field) string {
	switch key {
	case "state-file":
		return "what the daemon remembers lies in the folder that state: names, above all services; leave this away"
	case "dry-run", "output":
		return "it is a flag of one run; leave it away"
	}
	names := slices.Sorted(maps.Keys(known))
	if meant := nearest(key, names); meant != "" {
		return "did you mean " + meant + "?"
	}
	for _, other := range sections() {
		if slices.ContainsFunc(fields(other.typ), func(f field) bool { return f.key == key }) {
			return other.advice
		}
	}
	return "there are " + strings.Join(names, ", ")
}

// nearest is the name that is most like a key, if one is like it.
func nearest(key string, names []string) (best string) {
	plain := strings.ToLower(strings.NewReplacer("_", "-", " ", "-").Replace(strings.TrimLeft(key, "-")))
	if len(plain) > 60 {
		return ""
	}
	least := min(2, len(plain)/2) + 1
	for _, name := range names {
		if d := edits(plain, name); d < least {
			best, least = name, d
		}
	}
	return best
}

// edits is how many bytes must be put in, taken out or exchanged to make b of a.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0] // of the row above, one to the left
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, before+1, row[j]+1)
		}
	}
	return row[len(b)]
}
