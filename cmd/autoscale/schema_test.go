package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestSchema: autoscale schema prints one JSON Schema and nothing else.
func TestSchema(t *testing.T) {
	var out, errs strings.Builder
	if status := run(t.Context(), []string{"schema"}, streams{out: &out, err: &errs}); status != statusDone || errs.Len() > 0 {
		t.Fatalf("status %d: %s", status, errs.String())
	}
	var schema struct {
		Draft      string         `json:"$schema"`
		Properties map[string]any `json:"properties"`
	}
	if err := json.Unmarshal([]byte(out.String()), &schema); err != nil {
		t.Fatal(err)
	}
	if schema.Draft != "https://json-schema.org/draft/2020-12/schema" || schema.Properties["services"] == nil {
		t.Errorf("%+v", schema)
	}
}
