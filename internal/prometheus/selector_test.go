package prometheus

import (
	"strings"
	"testing"
)

func TestParseSelector(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{`http_requests_total`, `http_requests_total`},
		{` a:b_1 `, `a:b_1`},
		{`up{}`, `up`},
		{`up{,}`, ""},
		{`up{a="1"}`, `up{a="1"}`},
		{`up { b != '2' , a =~ "x|y" , }`, `up{a=~"x|y",b!="2"}`},
		{"up{a=`C:\\dir`,b!~\"5..\"}", `up{a="C:\\dir",b!~"5.."}`},
		{`up{a="1",a="1"}`, `up{a="1"}`},
		{`{__name__="up"}`, `up`},
		{`{"up"}`, `up`},
		{`{"http.requests","my.code"="200"}`, `{"http.requests","my.code"="200"}`},
		{`{code="200", 'http.requests'}`, `{"http.requests",code="200"}`},
		{`up{a="\x41\u00e9\n\"\'"}`, ""},
		{`up{a="\x41\u00e9\n\""}`, `up{a="Aé\n\""}`},
		{`up{a='\''}`, `up{a="'"}`},
	} {
		s, err := ParseSelector(test.text)
		if test.want == "" {
			if err == nil {
				t.Errorf("%s: no error, but %s", test.text, s)
			}
			continue
		}
		if err != nil || s.String() != test.want {
			t.Errorf("%s: %s, error %v; want %s", test.text, s, err, test.want)
		}
		again, err := ParseSelector(s.String())
		if err != nil || again.String() != s.String() {
			t.Errorf("%s: its own spelling reads as %s, error %v", s, again, err)
		}
	}
}

func TestParseSelectorErrors(t *testing.T) {
	for text, want := range map[string]string{
		``:                             `position 1 of "": expected a metric name`,
		`{}`:                           `position 3 of "{}": expected a metric name`,
		`{a="b"}`:                      `expected a metric name`,
		`5up`:                          `position 1 of "5up": expected a metric name or {`,
		`up{`:                          `position 4 of "up{": expected a label name or }`,
		`up{{a="1"}}`:                  `position 4`,
		`up{a="1"}{b="2"}`:             `position 10 of "up{a=\"1\"}{b=\"2\"}": expected nothing after the }`,
		`up{a="1"}}`:                   `position 10`,
		`up{a}`:                        `position 5 of "up{a}": expected =, !=, =~ or !~`,
		`up{a=}`:                       `position 6 of "up{a=}": expected a value in quotes`,
		`up{a=200}`:                    `position 6`,
		`up{a="1"`:                     `position 9 of "up{a=\"1\"": expected , or }`,
		`up{a="1" b="2"}`:              `position 10`,
		`up{a="1}`:                     `position 6 of "up{a=\"1}": the quote " is not closed`,
		"up{a=`1}":                     "the quote ` is not closed",
		"up{a=\"1\n\"}":                `a line feed in quotes must be written as \n`,
		`up{a="\d"}`:                   `position 7 of "up{a=\"\\d\"}": unknown escape sequence`,
		`up{a=~"("}`:                   `no regular expression: missing closing )`,
		`up{a=~"a)|(b"}`:               `no regular expression: unexpected )`,
		`up{__name__="down"}`:          `position 4 of "up{__name__=\"down\"}": the metric name is stated twice: "up" and "down"`,
		`{"up","down"}`:                `stated twice`,
		`{__name__=~"up.*"}`:           `position 2 of "{__name__=~\"up.*\"}": the metric name must be stated with =, not =~`,
		`{__name__=""}`:                `the metric name is empty`,
		`{""="x",__name__="up"}`:       `the label name is empty`,
		`sum(rate(up[5m]))`:            `position 4 of "sum(rate(up[5m]))": functions are not read here`,
		`up[5m]`:                       `no range is needed`,
		`up offset 5m`:                 `position 4`,
		`http.requests`:                `position 5 of "http.requests": expected { or the end; a name with other characters`,
		"up{a=\"\xff\"}":               `not UTF-8`,
		`up{1a="b"}`:                   `position 4`,
		`up{a:b="c"}`:                  `position 5`,
		`up{a!"b"}`:                    `expected =, !=, =~ or !~`,
		`up{a=="b"}`:                   `expected a value in quotes`,
		`up{a="b"`:                     `expected , or }`,
		`up{a="b",`:                    `expected a label name or }`,
		`up{a`:                         `expected =`,
		`up{a=`:                        `expected a value in quotes`,
		`up{a="b` + "\\":               `unknown escape`,
		`up{"x"`:                       `expected =`,
		`http_requests_total{code=500`: `expected a value in quotes`,
	} {
		_, err := ParseSelector(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestSelectorMatches(t *testing.T) {
	const page = `m{code="200",path="/a"} 1
m{code="204"} 2
m{code="404",path=""} 4
m{code="500",path="a\"b\\c\nd"} 8
m 16
`
	for _, test := range []struct {
		selector string
		sum      float64
	}{
		{`m`, 31},
		{`m{code="200"}`, 1},
		{`m{code!="200"}`, 30},
		{`m{code=~"2.."}`, 3},
		{`m{code=~"2"}`, 0}, // anchored
		{`m{code=~"200|404"}`, 5},
		{`m{code!~"5..|4.."}`, 19},
		{`m{code=""}`, 16},
		{`m{code!=""}`, 15},
		{`m{path=""}`, 22},
		{`m{path!~".+"}`, 22},
		{`m{path=~".*b.*d"}`, 8}, // the dot takes line feeds, too
		{`m{path="a\"b\\c\nd"}`, 8},
		{`m{code=~"2..",path!=""}`, 1},
		{`m{code!="200",code!="204"}`, 28},
		{`{__name__="m",nosuch=""}`, 31},
		{`m{nosuch="x"}`, 0},
	} {
		f := scanOne(t, page, false, test.selector)
		if f.Sum != test.sum || f.Named != 5 || f.Detail != "" {
			t.Errorf("%s: %+v, want the sum %v", test.selector, f, test.sum)
		}
	}
}

// FuzzParseSelector checks that a selector's own spelling reads as the same
// selector, and that errors are errors.
func FuzzParseSelector(f *testing.F) {
	for _, text := range []string{
		`up`, `up{a="1",b!~'5..',}`, "{`http.requests`,\"x.y\"=~\"a|b\"}", `{__name__="a\x00\"b"}`, `up{a="\xff"}`, `rate(up[5m])`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSelector(text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "position ") {
				t.Fatalf("the error tells no position: %v", err)
			}
			return
		}
		again, err := ParseSelector(s.String())
		if err != nil || again.String() != s.String() || again.Name != s.Name || s.Name == "" {
			t.Fatalf("%s reads as %s, error %v", s, again, err)
		}
	})
}
