package command

import "testing"

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
