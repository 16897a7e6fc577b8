package haproxy

import (
	"slices"
	"testing"
)

func TestResolvedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []Place
	}{
		"a server's name": {
			"global\n\tlog stdout format raw local0\nbackend app\n  server a app:8000 check # ours\n",
			[]Place{{4, "server a app:8000 check", "app"}},
		},
		"an address of ours, and names of others": {"backend app\n server a 10.0.0.2:8000\n server b db:5432\n#server c app:80\n", nil},
		"looked up again":                         {"backend app\n server a app:8000 resolvers docker init-addr none\n", nil},
		"by default":                              {"defaults\n default-server resolvers docker\nbackend app\n server a app:8000\n", nil},
		"by the section's default":                {"backend app\n default-server resolvers docker\n server a app:8000\nbackend b\n server a App.:8000\n", []Place{{5, "server a App.:8000", "App."}}},
		"defaults anew":                           {"defaults\n default-server resolvers d\ndefaults\n mode http\nlisten app\n bind :80\n server a ipv4@app:80\n", []Place{{7, "server a ipv4@app:80", "app"}}},
		"a template":                              {"backend app\n server-template app 5 app:8000 check\n", []Place{{2, "server-template app 5 app:8000 check", "app"}}},
		"no port":                                 {"backend app\n server a app\n", []Place{{2, "server a app", "app"}}},
		"cut short":                               {"backend app\n server\n server a", nil},
		"a peer":                                  {"peers p\n server app app:1024\n", nil},
	} {
		if got := ResolvedOnce(c.text, []string{"app"}); !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func FuzzResolvedOnce(f *testing.F) {
	f.Add("defaults\n default-server resolvers d\nbackend app\n server a app:8000\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range ResolvedOnce(text, []string{"app"}) {
			if p.Line < 1 || p.Name == "" {
				t.Errorf("%+v", p)
			}
		}
	})
}
