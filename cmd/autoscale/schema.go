package main

import (
	"github.com/five-keys/autoscale/internal/config"
)

// schemaCommand prints what editors complete autoscale.yaml by.
type schemaCommand struct{}

// Help is what stands below the command's summary.
func (schemaCommand) Help() string {
	return `  autoscale schema > autoscale.schema.json

and as the first line of the autoscale.yaml beside it:

  # yaml-language-server: $schema=autoscale.schema.json`
}

// Run prints the schema.
func (schemaCommand) Run(s streams) error {
	_, err := s.out.Write(config.Schema())
	return err
}
