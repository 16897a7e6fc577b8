// Command caddy is Caddy v2 with its standard modules, as its own build makes
// it: the proxy of examples/compose and of the end-to-end tests.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() { caddycmd.Main() }
