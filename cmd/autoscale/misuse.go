package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/five-keys/autoscale/internal/history"
	"github.com/five-keys/autoscale/internal/spelling"
)

// seeHelp adds to an error in the flags where the help of that command is.
func seeHelp(err error, command *kong.Node) error {
	return fmt.Errorf("%w\nsee: autoscale %s--help", err, typed(command))
}

// typed is how a command is called, with a space behind it; empty for the
// default one, which nobody types.
func typed(command *kong.Node) (words string) {
	for ; command != nil && command.Type == kong.CommandNode; command = command.Parent {
		words = command.Name + " " + words
	}
	if words == "scale " {
		return ""
	}
	return words
}

// misuse is what is said of a command line that does not parse.
func misuse(err error, args []string) error {
	var selected *kong.Node
	var commands []string
	if failed, ok := errors.AsType[*kong.ParseError](err); ok {
		selected, commands = failed.Context.Selected(), children(failed.Context.Model.Node)
	}
	argument, unexpected := strings.CutPrefix(err.Error(), "unexpected argument ")
	if !unexpected {
		return seeHelp(err, selected)
	}
	argument, _, _ = strings.Cut(argument, ", did you mean")
	if !strings.HasPrefix(args[0], "-") && !slices.Contains(commands, args[0]) {
		text := fmt.Sprintf("this version has no command %q", args[0])
		if meant := nearest(args[0], commands); meant != "" {
			text += fmt.Sprintf("; did you mean %s?", meant)
		} else {
			text += "; it has: " + strings.Replace(strings.Join(commands, ", "), "scale", "scale (the default)", 1)
		}
		return seeHelp(errors.New(text), nil)
	}
	return seeHelp(fmt.Errorf("unexpected argument %q%s", argument, instead(argument, selected)), selected)
}

// instead is what a command may have been meant to be told with an argument that
// it does not take.
func instead(argument string, command *kong.Node) string {
	if command == nil {
		return ""
	}
	if sub := children(command); len(sub) > 0 {
		if meant := nearest(argument, sub); meant != "" {
			return fmt.Sprintf("; did you mean %s%s? (there are %s)", typed(command), meant, strings.Join(sub, ", "))
		}
		return fmt.Sprintf("; %sis followed by one of %s", typed(command), strings.Join(sub, ", "))
	}
	if command.Name != "explain" {
		return ""
	}
	if n, err := strconv.Atoi(argument); err == nil && n > 0 {
		return fmt.Sprintf("; did you mean --last %d?", n)
	}
	if _, err := history.ParseMoment(argument, time.Now()); err == nil {
		return fmt.Sprintf("; did you mean --at %s?", argument)
	}
	return ""
}

// children are the names of a command's own commands.
func children(command *kong.Node) (names []string) {
	for _, child := range command.Children {
		if !child.Hidden {
			names = append(names, child.Name)
		}
	}
	return names
}

// nearest is the name that a mistyped one was meant to be; empty where none is
// near.
func nearest(typed string, names []string) string {
	for _, name := range names {
		if len(typed) > 2 && (strings.HasPrefix(name, typed) || spelling.Edits(typed, name) <= 2) {
			return name
		}
	}
	return ""
}

// ownFirst puts a command's own flags before those of a decision, which it takes
// besides: whoever asks for its help looks for them. besides are flags of a
// decision that matter to it as well.
func ownFirst(command, decision *kong.Node, besides ...string) {
	group := &kong.Group{Key: "own", Title: "Of this command:"}
	own := func(flag *kong.Flag) bool {
		return slices.Contains(besides, flag.Name) || !slices.ContainsFunc(decision.Flags, func(f *kong.Flag) bool { return f.Name == flag.Name })
	}
	of := func(flag *kong.Flag) int {
		switch {
		case own(flag) && slices.Contains(besides, flag.Name):
			return 1
		case own(flag):
			return 0
		}
		return 2
	}
	slices.SortStableFunc(command.Flags, func(a, b *kong.Flag) int { return of(a) - of(b) })
	for _, flag := range command.Flags {
		if own(flag) {
			flag.Group = group
		}
	}
}
