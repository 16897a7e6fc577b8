package command

import (
	"errors"
	"strings"
	"testing"
)

// An endless output ends the command, and is kept no further than shows it.
func TestMaxOutput(t *testing.T) {
	call := Call{Words: []string{"sh", "-c", "while :; do echo 0123456789; done"}, MaxOutput: 100_000}
	if out, _, err := call.Run(t.Context()); !errors.Is(err, ErrTooMuch) || len(out) != 100_001 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	call = Call{Words: []string{"printf", strings.Repeat("x", 1000)}, MaxOutput: 1000}
	if out, _, err := call.Run(t.Context()); err != nil || len(out) != 1000 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	call.MaxOutput = 999
	if out, _, err := call.Run(t.Context()); !errors.Is(err, ErrTooMuch) || len(out) != 1000 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

func TestText(t *testing.T) {
	got := Text([]string{"docker", "a b", "", "it's", "$x", "--scale", "app=2"})
	if want := `docker 'a b' '' 'it'\''s' '$x' --scale app=2`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestLastLines(t *testing.T) {
	text := " Container a Starting \n\nfirst\r\n second\n Network n Created\nthird\n"
	if got := LastLines(text, 2); got != "second; third" {
		t.Errorf("%q", got)
	}
}
