package config

import (
	_ "embed" // for the schema
	"reflect"
	"slices"
)

// section is one of the file's mappings.
type section struct {
	name string // as the manual calls it
	typ  reflect.Type
	// advice is what to do with a key of it that stands in another one.
	advice string
}

// sections are the file's mappings, those first that a misplaced key most likely
// belongs to.
func sections() []section {
	return []section{
		{"service", typeOf[Service](), "it is a key of a service: write it below one, or below defaults:"},
		{"source", typeOf[Source](), "it belongs to a source: write it below a service, or below an item of its sources:"},
		{"window", typeOf[Window](), "it belongs to a window: write it below an item of schedule:"},
		{"file", typeOf[document](), "it stands above all services: write it at the beginning of a line"},
		{"history", typeOf[History](), "it is a key of history: write it below that"},
	}
}

// ofOnlySource are the keys of a source that a service with one source has itself.
func ofOnlySource() (all []field) {
	for _, f := range fields(typeOf[Source]()) {
		if f.key != "name" && f.key != "rps-target" {
			all = append(all, f)
		}
	}
	return all
}

// schemaText is what the structs give; a test writes it.
//
//go:embed schema.json
var schemaText []byte

// Schema is the JSON Schema (draft 2020-12) of the file, for editors. It knows
// keys, types, words and defaults; what contradicts what only Parse knows.
func Schema() []byte { return slices.Clone(schemaText) }
