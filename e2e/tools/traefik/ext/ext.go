// Package ext stands for a folder of Traefik's that is a module of its own and
// so is not in Traefik's: types that its enterprise edition fills.
package ext

// HTTP adds nothing to what Traefik has for HTTP.
type HTTP struct{}

// Router adds nothing to a router of Traefik's.
type Router struct{}
