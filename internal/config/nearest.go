package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/five-keys/autoscale/internal/spelling"
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
		if d := spelling.Edits(plain, name); d < least {
			best, least = name, d
		}
	}
	return best
}
