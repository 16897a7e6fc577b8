package main

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
)

// grammar is the part of the command line that args are of: the command they name,
// and the decision, which is meant where none is. To read the descriptions of all
// flags takes longer than most commands do. Who asks for help, or names no command,
// gets all of it.
func grammar(args []string) any {
	all := reflect.TypeFor[cli]()
	if slices.ContainsFunc(args, func(arg string) bool { return arg == "--help" || arg == "-h" }) {
		return &cli{}
	}
	wanted, known := "scale", false
	if !strings.HasPrefix(args[0], "-") {
		wanted = args[0]
	}
	var fields []reflect.StructField
	for field := range all.Fields() {
		_, command := field.Tag.Lookup("cmd")
		name := cmp.Or(field.Tag.Get("name"), strings.ToLower(field.Name))
		known = known || command && name == wanted
		if !command || name == wanted || name == "scale" {
			fields = append(fields, field)
		}
	}
	if !known {
		return &cli{}
	}
	return reflect.New(reflect.StructOf(fields)).Interface()
}
