package autoscale

import (
	"encoding/json"
	"net/netip"
	"time"
)

// Verdict says how far a sample, or the reading made of several, may be
// trusted. Only OK may lower the replica count.
type Verdict string

const (
	// OK is a complete, current, finite value.
	OK Verdict = "ok"
	// Warming is a replica too young to be measured, or a counter with no
	// earlier reading to be compared with. It is a lower bound, not a fault.
	Warming Verdict = "warming"
	// Absent is a complete page without the series.
	Absent Verdict = "absent"
	// Unreachable is a page that could not be had: no name, no connection, no
	// HTTP 200.
	Unreachable Verdict = "unreachable"
	// Late is a page whose last byte had not come when the deadline passed.
	Late Verdict = "late"
	// TooLarge is a page over the size limit, counted after decompression.
	TooLarge Verdict = "too-large"
	// Malformed is a page, or a line of the wanted metric, that is not in the
	// exposition format, or a page cut short.
	Malformed Verdict = "malformed"
	// NotFinite is NaN or an infinity.
	NotFinite Verdict = "not-finite"
	// Negative is a value below zero.
	Negative Verdict = "negative"
	// Stale is a sample whose own timestamp is too old.
	Stale Verdict = "stale"
	// Partial is a sum that lacks some of its parts.
	Partial Verdict = "partial"
	// Saturated is a load read while the replicas were at the end of what they can
	// do. It is a lower bound, not a fault.
	Saturated Verdict = "saturated"
	// OneOfSeveral is a page of one process out of several behind one address.
	OneOfSeveral Verdict = "one-of-several"
)

// Doubtful reports whether v makes the run end in doubt: anything but OK, Warming
// and Saturated.
func (v Verdict) Doubtful() bool { return v != OK && v != Warming && v != Saturated }

// Kind tells how the values of a series become a rate.
type Kind string

const (
	// Gauge values are requests/s already.
	Gauge Kind = "gauge"
	// Counter values are requests since the process started.
	Counter Kind = "counter"
)

// Scope tells what one page speaks for.
type Scope string

const (
	// ScopeService is a page that speaks for all replicas together.
	ScopeService Scope = "service"
	// ScopeReplica is a page that speaks for the replica it was read from.
	ScopeReplica Scope = "replica"
)

// Sample is what one read of one page gave.
type Sample struct {
	// Process is whose value it is: a container ID, a pod UID, or, where a page
	// speaks for the whole service, its URL without credentials. Rates are
	// taken per Process.
	Process string `json:"process"`
	// Name is how a person calls it: "app-3", or the URL without credentials.
	Name string `json:"name"`
	// Time is when the page was complete.
	Time time.Time `json:"time"`
	// Value is the sum of the metric's selected series on that page: requests/s
	// for a gauge, requests for a counter. It counts only where Verdict is OK.
	Value float64 `json:"value"`
	// Failed and Answered are the requests that were answered with an error, and all
	// that were answered, as Value is: in requests/s, or since the process started. 0
	// and 0 where the page does not tell.
	Failed   float64 `json:"failed,omitempty"`
	Answered float64 `json:"answered,omitempty"`
	// InFlight is how many requests are being answered, where that is asked for.
	InFlight float64 `json:"in_flight,omitempty"`
	// Started is when the process behind the page started, by its own
	// process_start_time_seconds; zero where the page does not say.
	Started time.Time `json:"started,omitzero"`
	// Mark is where the next reading goes on, in the source's own words; empty where
	// it need not know.
	Mark json.RawMessage `json:"-"`
	// Verdict is OK, or why Value is not to be used.
	Verdict Verdict `json:"verdict"`
	// Detail says in words what was wrong.
	Detail string `json:"detail,omitempty"`
}

// Reading is everything one run learnt about the load.
type Reading struct {
	// Metric is the name that was found; it differs from the asked one where a
	// fallback name served. Empty where none was found.
	Metric string `json:"metric"`
	// Kind tells how Samples become a rate; empty where no page said.
	Kind Kind `json:"kind,omitempty"`
	// Scope tells what each sample speaks for.
	Scope Scope `json:"scope,omitempty"`
	// Samples are in order of time. Of a counter one process may have several.
	Samples []Sample `json:"samples"`
	// Notes are remarks a person should see: a fallback name that was used, a
	// URL taken to be one replica's.
	Notes []string `json:"notes,omitempty"`
}

// Health is what a replica's health check says.
type Health string

const (
	// HealthNone is a replica without a health check.
	HealthNone Health = "none"
	// HealthStarting is a replica whose check has not passed yet.
	HealthStarting Health = "starting"
	// Healthy is a replica whose check passes.
	Healthy Health = "healthy"
	// Unhealthy is a replica whose check fails.
	Unhealthy Health = "unhealthy"
)

// Replica is one running (or restarting) copy of the service.
type Replica struct {
	// ID is unique over all time: a container ID, a pod UID.
	ID string `json:"id"`
	// Name is how a person calls it: "app-3".
	Name string `json:"name"`
	// Started is when its current process started.
	Started time.Time `json:"started"`
	// Health is what its health check says.
	Health Health `json:"health"`
	// Addrs are its addresses, in order of the names of the service's networks.
	Addrs []netip.Addr `json:"-"`
	// Ports are the ports it publishes on the host.
	Ports []Port `json:"-"`
	// Usage is what it uses of the machine; zero where that is not known.
	Usage Usage `json:"usage,omitzero"`
}

// Port is one TCP port that a replica publishes.
type Port struct {
	// Container is the port inside the replica.
	Container uint16
	// Host is the address on the host; an unspecified IP means every address.
	Host netip.AddrPort
}
