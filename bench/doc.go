// Package bench compares Autoscale's reading of metrics pages with the libraries
// that Prometheus itself uses: speed (go test -bench .) and answers (go test, and
// go test -fuzz FuzzAgainstTextparse or FuzzAgainstPromQL). It is a module of its
// own, so that none of them becomes a dependency of Autoscale.
package bench
