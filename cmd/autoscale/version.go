package main

import (
	"fmt"
	"runtime/debug"
)

// version, commit and date (of the commit) are set by build/dist; other builds
// tell what the Go toolchain knows of the module and the checkout.
var version, commit, date string

type versionCommand struct{}

// Run prints version, commit and date.
func (versionCommand) Run(s streams) error {
	_, err := fmt.Fprintln(s.out, "autoscale", versionText())
	return err
}

func versionText() string {
	text, revision, at := version, commit, date
	info, ok := debug.ReadBuildInfo()
	if ok && text == "" {
		text = info.Main.Version
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				revision = s.Value[:min(12, len(s.Value))]
			case "vcs.time":
				at = s.Value
			}
		}
	}
	if revision != "" {
		text += " commit " + revision
	}
	if at != "" {
		text += " of " + at
	}
	if ok {
		text += " " + info.GoVersion
	}
	return text
}
