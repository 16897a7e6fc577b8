// Package dns stands for a package of lego's, Traefik's library for ACME: it knows
// none of the DNS services there are, each of which brings a module of its own.
package dns

import (
	"fmt"

	"github.com/go-acme/lego/v5/challenge"
)

// NewDNSChallengeProviderByName knows none.
func NewDNSChallengeProviderByName(name string) (challenge.Provider, error) {
	return nil, fmt.Errorf("this build knows no DNS service, %q included", name)
}
