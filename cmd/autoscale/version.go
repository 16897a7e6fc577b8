package main

import (
	"fmt"
	"runtime/debug"
)

// version is set by the release build; others tell the module's.
var version string

type versionCommand struct{}

// Run prints version, commit and date.
func (versionCommand) Run(s streams) error {
	_, err := fmt.Fprintln(s.out, "autoscale", versionText())
	return err
}

func versionText() string {
	text := version
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return text
	}
	if text == "" {
		text = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			text += " commit " + s.Value[:min(12, len(s.Value))]
		case "vcs.time":
			text += " of " + s.Value
		}
	}
	return text + " " + info.GoVersion
}
