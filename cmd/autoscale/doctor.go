package main

import (
	"context"
	"errors"
)

// doctorCommand is being built.
type doctorCommand struct{ flags }

// Run is being built.
func (c *doctorCommand) Run(context.Context, streams) error { return usage(errors.New("being built")) }
