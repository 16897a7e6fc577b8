package main

import (
	"context"
	"errors"
)

// scheduleCommand is being built.
type scheduleCommand struct {
	Print schedulePrint `cmd:"" help:"Print the cron line or the units."`
}

type schedulePrint struct {
	Args []string `arg:"" optional:"" help:"The flags of one decision, behind --."`
}

// Run is being built.
func (c *schedulePrint) Run(context.Context, streams) error { return usage(errors.New("being built")) }
