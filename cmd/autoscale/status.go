package main

import (
	"context"
	"errors"
)

// statusCommand is being built.
type statusCommand struct{ flags }

// Run is being built.
func (c *statusCommand) Run(context.Context, streams) error { return usage(errors.New("being built")) }
