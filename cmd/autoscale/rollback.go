package main

import (
	"context"
	"errors"
)

// rollbackCommand is being built.
type rollbackCommand struct{ flags }

// Run is being built.
func (c *rollbackCommand) Run(context.Context, streams) error {
	return usage(errors.New("being built"))
}
