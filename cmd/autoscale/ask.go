package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
)

// errNotAsked is the error of a change that nobody is there to confirm.
var errNotAsked = errors.New("nobody is at a terminal to be asked; look at what it would do with --dry-run, then say --yes")

// confirm asks a question on the terminal; yes answers it beforehand. Only a
// clear yes is one.
func (s streams) confirm(ctx context.Context, question string, yes bool) (bool, error) {
	if yes {
		return true, nil
	}
	if !s.terminal {
		return false, usage(errNotAsked)
	}
	if _, err := fmt.Fprintf(s.out, "%s [y/N] ", question); err != nil {
		return false, err
	}
	type line struct {
		text string
		err  error
	}
	answer := make(chan line, 1)
	go func() { // a read cannot be interrupted; the process ends with it
		text, err := bufio.NewReader(s.in).ReadString('\n')
		answer <- line{text, err}
	}()
	select {
	case <-ctx.Done():
		return false, fmt.Errorf("interrupted; nothing was changed: %w", context.Cause(ctx))
	case a := <-answer:
		if a.err != nil && a.text == "" {
			return false, fmt.Errorf("no answer; nothing was changed: %w", a.err)
		}
		said := strings.ToLower(strings.TrimSpace(a.text))
		return said == "y" || said == "yes", nil
	}
}
