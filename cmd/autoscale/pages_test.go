package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	mangokong "github.com/alecthomas/mango-kong"
	"github.com/muesli/roff"
)

// TestPages makes the man page and the completions from the program's own structs,
// in the folder AUTOSCALE_PAGES where build/dist names one. They are made here and
// not by the program, which stays as small as it is.
func TestPages(t *testing.T) {
	dir := os.Getenv("AUTOSCALE_PAGES")
	if dir == "" {
		dir = t.TempDir()
	}
	writePages(t, dir)
	page, err := os.ReadFile(filepath.Join(dir, "man/autoscale.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{".TH AUTOSCALE 1", "schedule install", "find-capacity", "EXIT STATUS"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the man page lacks %q", want)
		}
	}
	if bytes.Contains(page, []byte("demo-app")) {
		t.Error("the man page tells of a hidden command")
	}
}

func writePages(t *testing.T, dir string) {
	t.Helper()
	root := wholeModel(t)
	for file, text := range map[string]string{
		"man/autoscale.1":            manPage(root),
		"completions/autoscale.bash": bashCompletion(root),
		"completions/autoscale.fish": fishCompletion(root),
		"completions/_autoscale.zsh": zshCompletion(root),
	} {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCompletionInBash asks the completion as bash does.
func TestCompletionInBash(t *testing.T) {
	dir := t.TempDir()
	writePages(t, dir)
	for _, tt := range []struct{ line, wants, lacks string }{
		{"autoscale d", "doctor demo", "run demo-app"},
		{"autoscale --rps-t", "--rps-target=", "--workers="},
		{"autoscale stress --wor", "--workers=", "--rps-target="},
		{"autoscale schedule in", "install", "remove"},
		{"autoscale schedule install --sys", "--systemd --system", "--min="},
		{"autoscale schedule install -- --mi", "--min=", "--systemd"},
		{"autoscale --apply = al", "always", "auto"},
		{"autoscale scale --apply a", "always auto", "never"},
		{"autoscale --service run --mi", "--min=", ""}, // a value is no command
	} {
		script := `source ` + dir + `/completions/autoscale.bash
COMP_WORDS=(` + tt.line + `); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _autoscale; printf '%s\n' "${COMPREPLY[@]}"`
		out, err := exec.Command("bash", "-c", script).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		said := strings.Fields(string(out))
		for want := range strings.FieldsSeq(tt.wants) {
			if !slices.Contains(said, want) {
				t.Errorf("%q: %q lacks %s", tt.line, said, want)
			}
		}
		for lack := range strings.FieldsSeq(tt.lacks) {
			if slices.Contains(said, lack) {
				t.Errorf("%q: %q has %s", tt.line, said, lack)
			}
		}
	}
}

func wholeModel(t *testing.T) *kong.Application {
	t.Helper()
	parser, err := newParser(t.Context(), &cli{}, io.Discard, io.Discard, func(int) {}, streams{})
	if err != nil {
		t.Fatal(err)
	}
	parser.Model.HelpFlag.Help = "Show this help."
	lookBack(parser)
	return parser.Model
}

// manPage is without the day of its making, which would change it every day.
func manPage(root *kong.Application) string {
	eachCommand(root.Node, "", func(_ string, n *kong.Node) { n.Detail = "" }) // meant for a terminal, line by line
	page := mangokong.NewManPage(1, root).
		WithSection("Exit status", "0 as decided, whether or not something changed. 1 doubt about the reading, a refusal, or something failed: nothing was lowered. 2 a flag is wrong or missing: nothing was read.").
		WithSection("Files", "tools/.autoscale_state.json in the project's folder: what is remembered between runs. deploy/compose.override.yml: carries the count of a Compose service. k8s/hpa.yaml: the HorizontalPodAutoscaler of a Deployment. autoscale.yaml: the services of the daemon.").
		Build(roff.NewDocument())
	return regexp.MustCompile(`(?m)^\.TH .*$`).ReplaceAllLiteralString(page, `.TH AUTOSCALE 1 "" "autoscale" "User Commands"`) + "\n"
}

// eachCommand visits a command and those below it, each by the words that lead to it.
func eachCommand(n *kong.Node, path string, each func(path string, n *kong.Node)) {
	each(path, n)
	for _, child := range n.Children {
		if !child.Hidden {
			eachCommand(child, strings.TrimSpace(path+" "+child.Name), each)
		}
	}
}

func subcommands(n *kong.Node) (names []string) {
	for _, child := range n.Children {
		if !child.Hidden {
			names = append(names, child.Name)
		}
	}
	return names
}

func visibleFlags(n *kong.Node) (all []*kong.Flag) {
	for _, group := range n.AllFlags(true) {
		all = append(all, group...)
	}
	return all
}

func enumOf(f *kong.Flag) []string {
	if f.Enum == "" {
		return nil
	}
	return slices.DeleteFunc(f.EnumSlice(), func(v string) bool { return v == "" })
}

func firstSentence(help string) string {
	help, _, _ = strings.Cut(strings.ReplaceAll(help, "\n", " "), ". ")
	return strings.TrimSuffix(help, ".")
}

const generated = "# Made from the program's flags by build/dist.\n"

func bashCompletion(root *kong.Application) string {
	var known, offers, enums strings.Builder
	seen := map[string]bool{}
	eachCommand(root.Node, "", func(path string, n *kong.Node) {
		fmt.Fprintf(&known, "%q) at=$next ;;\n", path)
		offered := subcommands(n)
		for _, f := range visibleFlags(n) {
			name := "--" + f.Name
			if !f.IsBool() {
				name += "="
			}
			offered = append(offered, name)
			if v := enumOf(f); v != nil && !seen[path+" --"+f.Name] {
				seen[path+" --"+f.Name] = true
				fmt.Fprintf(&enums, "%q) offers=%q ;;\n", path+" --"+f.Name, strings.Join(v, " "))
			}
		}
		fmt.Fprintf(&offers, "%q) offers=%q ;;\n", path, strings.Join(offered, " "))
	})
	return generated + `_autoscale() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} at= next offers i
	for ((i = 1; i < COMP_CWORD; i++)); do
		if [[ ${COMP_WORDS[i]} == -- && $at == schedule* ]]; then at=scale; break; fi
		next=${at:+$at }${COMP_WORDS[i]}
		case $next in
` + known.String() + `*) break ;;
		esac
	done
	if [[ $word == = ]]; then word=; elif [[ $before == = ]]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi
	[[ -n $at || ($word != -* && $before != -*) ]] || at=scale
	offers=
	case "$at $before" in
` + enums.String() + `	esac
	if [[ -z $offers ]]; then
		case $at in
` + offers.String() + `		esac
	fi
	COMPREPLY=($(compgen -W "$offers" -- "$word"))
	[[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null
	return 0
}
complete -o bashdefault -o default -F _autoscale autoscale
`
}

func zshCompletion(root *kong.Application) string {
	clean := strings.NewReplacer("[", "(", "]", ")", ":", " -", `"`, "", "`", "", "$", "", `\`, "", "'", "’")
	var known, cases strings.Builder
	eachCommand(root.Node, "", func(path string, n *kong.Node) {
		fmt.Fprintf(&known, "'%s') at=$next ;;\n", path)
		fmt.Fprintf(&cases, "'%s')\n", path)
		for _, child := range n.Children {
			if !child.Hidden {
				fmt.Fprintf(&cases, "commands+=('%s:%s')\n", child.Name, clean.Replace(firstSentence(child.Help)))
			}
		}
		for _, f := range visibleFlags(n) {
			spec := "*--" + f.Name
			if !f.IsBool() {
				spec += "="
			}
			spec += "[" + clean.Replace(firstSentence(f.Help)) + "]"
			if !f.IsBool() {
				action := "_files"
				if v := enumOf(f); v != nil {
					action = "(" + strings.Join(v, " ") + ")"
				}
				spec += ":" + f.Name + ":" + action
			}
			fmt.Fprintf(&cases, "flags+=('%s')\n", spec)
		}
		cases.WriteString(";;\n")
	})
	return "#compdef autoscale\n" + generated + `_autoscale() {
	local at= next i
	local -a commands flags
	for ((i = 2; i < CURRENT; i++)); do
		if [[ $words[i] == -- && $at == schedule* ]]; then at=scale; break; fi
		next=${at:+$at }$words[i]
		case $next in
` + known.String() + `*) break ;;
		esac
	done
	[[ -n $at || $words[CURRENT] != -* ]] || at=scale
	case $at in
` + cases.String() + `	esac
	if (( $#commands )) && [[ $words[CURRENT] != -* ]]; then _describe command commands; return; fi
	_arguments : $flags '*:file:_files'
}
if [[ $funcstack[1] == _autoscale ]]; then _autoscale "$@"; else compdef _autoscale autoscale; fi
`
}

func fishCompletion(root *kong.Application) string {
	quote := func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'" }
	var known, lines strings.Builder
	eachCommand(root.Node, "", func(path string, n *kong.Node) {
		fmt.Fprintf(&known, "            case %s\n                set at $next\n", quote(path))
		at := "__autoscale_at " + quote(path)
		for _, child := range n.Children {
			if !child.Hidden {
				fmt.Fprintf(&lines, "complete -c autoscale -f -n %s -a %s -d %s\n", quote(at), child.Name, quote(firstSentence(child.Help)))
			}
		}
		if path == "scale" {
			at += " ''" // what is meant where no command is named
		}
		for _, f := range visibleFlags(n) {
			fmt.Fprintf(&lines, "complete -c autoscale -n %s -l %s -d %s", quote(at), f.Name, quote(firstSentence(f.Help)))
			if v := enumOf(f); v != nil {
				fmt.Fprintf(&lines, " -x -a %s", quote(strings.Join(v, " ")))
			} else if !f.IsBool() {
				lines.WriteString(" -r")
			}
			lines.WriteString("\n")
		}
	})
	return generated + `function __autoscale_at
    set -l at ''
    for word in (commandline -opc)[2..-1]
        set -l next (string trim -- "$at $word")
        switch $next
` + known.String() + `            case '*'
                break
        end
    end
    contains -- "$at" $argv
end
` + lines.String()
}
