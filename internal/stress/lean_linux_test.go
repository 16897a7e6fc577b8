package stress

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// text is how much of this program's own text is in memory, in kB.
func text(t *testing.T) (kB int) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(maps), " r-xp ")
	if !found || !strings.Contains(rest, own) {
		t.Fatalf("no text of %s", own)
	}
	_, rest, _ = strings.Cut(rest, "Rss:")
	if _, err := fmt.Sscan(rest, &kB); err != nil {
		t.Fatal(err)
	}
	return kB
}

// The text that only starting took goes, and what is needed comes back.
func TestLean(t *testing.T) {
	before := text(t)
	Lean()
	if after := text(t); after >= before {
		t.Errorf("%d kB of text, before %d", after, before)
	}
}
