package main

import (
	"io"
	"slices"
	"testing"

	"github.com/alecthomas/kong"
)

func model(t *testing.T, grammar any) *kong.Node {
	t.Helper()
	parser, err := newParser(t.Context(), grammar, io.Discard, io.Discard, func(int) {}, streams{})
	if err != nil {
		t.Fatal(err)
	}
	lookBack(parser)
	return parser.Model.Node
}

func named(n *kong.Node, name string) *kong.Node {
	i := slices.IndexFunc(n.Children, func(child *kong.Node) bool { return child.Name == name })
	if i < 0 {
		return nil
	}
	return n.Children[i]
}

// A command is the same whether or not all the others were read.
func TestGrammarOfOneCommand(t *testing.T) {
	all := model(t, &cli{})
	for _, whole := range all.Children {
		part := model(t, grammar([]string{whole.Name}))
		own := named(part, whole.Name)
		if own == nil || len(part.Children) > 2 {
			t.Fatalf("%s: %d commands are read", whole.Name, len(part.Children))
		}
		same := slices.EqualFunc(own.Flags, whole.Flags, func(a, b *kong.Flag) bool {
			return a.Name == b.Name && a.Required == b.Required && a.Default == b.Default && a.Summary() == b.Summary()
		})
		if !same || len(own.Children) != len(whole.Children) {
			t.Errorf("%s has other flags where it is read alone", whole.Name)
		}
	}
	for _, args := range [][]string{{"--provider=compose"}, {"-f", "x"}} {
		if part := model(t, grammar(args)); len(part.Children) != 1 || part.Children[0].Name != "scale" {
			t.Errorf("%q: a decision is meant", args)
		}
	}
	for _, args := range [][]string{{"no-such"}, {"run", "--help"}, {"-h"}} {
		if part := model(t, grammar(args)); len(part.Children) != len(all.Children) {
			t.Errorf("%q: only %d commands are read", args, len(part.Children))
		}
	}
}

func BenchmarkVersion(b *testing.B) {
	for b.Loop() {
		if status := run(b.Context(), []string{"version"}, streams{out: io.Discard, err: io.Discard}); status != 0 {
			b.Fatal(status)
		}
	}
}
