//go:build !linux

package process

// firstEphemeral is the first of the ports that outgoing connections are given
// (RFC 6335, section 6).
func firstEphemeral() int { return 49152 }
