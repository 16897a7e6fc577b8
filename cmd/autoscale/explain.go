package main

import (
	"context"
	"errors"
)

// explainCommand is being built.
type explainCommand struct{ flags }

// Run is being built.
func (c *explainCommand) Run(context.Context, streams) error { return usage(errors.New("being built")) }
