package prometheus

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/five-keys/autoscale"
)

// judge makes the reading out of the pages.
func (s *Source) judge(targets []target, pages []page) autoscale.Reading {
	index := s.present(pages)
	r := autoscale.Reading{Scope: autoscale.ScopeService}
	if index >= 0 {
		r.Metric = s.wanted[index].Name
	}
	if index > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("no page has %s; %s is used", s.wanted[0].Name, r.Metric))
	}
	index = max(index, 0)
	r.Kind = s.kind(index, pages, &r)
	for i, t := range targets {
		if t.scope == autoscale.ScopeReplica {
			r.Scope = autoscale.ScopeReplica
		}
		r.Samples = append(r.Samples, s.sample(t, pages[i], index, r.Kind))
	}
	r.Samples = perProcess(r.Samples)
	r.Notes = append(r.Notes, s.noFlight(pages)...)
	slices.SortStableFunc(r.Samples, func(a, b autoscale.Sample) int { return a.Time.Compare(b.Time) })
	return r
}

// present gives the index of the first wanted metric that any page has, or -1. A
// line of it that does not parse shows it, too.
func (s *Source) present(pages []page) int {
	for i := range s.wanted {
		for _, p := range pages {
			if p.found != nil && (p.found[i].Selected > 0 || p.found[i].Fault == autoscale.Malformed) {
				return i
			}
		}
	}
	return -1
}

// kind settles whether the metric is a gauge or a counter: the flag's word goes
// first, then the first page's that knows.
func (s *Source) kind(index int, pages []page, r *autoscale.Reading) autoscale.Kind {
	var kind autoscale.Kind
	for _, p := range pages {
		if p.found != nil && kind == "" {
			kind = kindOf(s.wanted[index].Name, p.found[index])
		}
	}
	stated := autoscale.Kind(s.config.Type)
	if stated == "" {
		return kind
	}
	if kind != "" && kind != stated {
		r.Notes = append(r.Notes, fmt.Sprintf("by page and name %s is a %s; --rps-metric-type=%s is followed", s.wanted[index].Name, kind, stated))
	}
	return stated
}

// kindOf goes by # TYPE of the metric, then by that of the family it is a part
// of, then by the name; empty where none tells.
func kindOf(name string, f Found) autoscale.Kind {
	switch f.Type {
	case "counter":
		return autoscale.Counter
	case "gauge":
		return autoscale.Gauge
	case "histogram", "summary", "gaugehistogram", "info", "stateset":
		return "" // quantiles and the like are no load
	}
	isTotal := strings.HasSuffix(name, "_total")
	switch {
	case isTotal && (f.Base == "" || f.Base == "counter" || f.Base == "unknown" || f.Base == "untyped"),
		!isTotal && (f.Base == "histogram" || f.Base == "summary"):
		return autoscale.Counter
	case strings.HasSuffix(name, "_per_second"), name == "rps", strings.HasSuffix(name, "_rps"):
		return autoscale.Gauge
	case isTotal:
		return autoscale.Counter
	}
	return ""
}

// sample judges one page.
func (s *Source) sample(t target, p page, index int, kind autoscale.Kind) autoscale.Sample {
	out := autoscale.Sample{Process: t.process, Name: t.label, Time: p.time, Verdict: p.verdict, Detail: p.detail}
	if p.found == nil {
		return out
	}
	f := p.found[index]
	if !math.IsNaN(f.Sum) && !math.IsInf(f.Sum, 0) {
		out.Value = f.Sum
	}
	out.Failed, out.Answered = f.Failed, f.Answered
	if len(s.flight) > 0 {
		if flying := p.found[len(s.wanted)+2]; flying.Fault == autoscale.OK {
			out.InFlight = flying.Sum
		}
	}
	const year10000 = 253402300800 // what follows cannot be written as JSON
	if start := p.found[len(s.wanted)]; usable(start) && start.Sum > 0 && start.Sum < year10000 {
		out.Started = millisTime(int64(math.Round(start.Sum * 1000)))
	}
	out.Verdict, out.Detail = s.verdict(t, p, index, kind)
	out.Detail = s.hide(out.Detail)
	return out
}

// noFlight tells that the requests being answered were asked for, and are on no
// page that could be read.
func (s *Source) noFlight(pages []page) []string {
	if len(s.flight) == 0 {
		return nil
	}
	read := false
	for _, p := range pages {
		if p.found == nil {
			continue
		}
		if read = true; p.found[len(s.wanted)+2].Selected > 0 {
			return nil
		}
	}
	if !read {
		return nil
	}
	return []string{fmt.Sprintf("no page has %s, which --inflight-metric names", s.flight[0])}
}

// usable reports whether a metric is on the page just once, so that it is one
// process's.
func usable(f Found) bool { return f.Selected == 1 && f.Fault == autoscale.OK }

// verdict judges a page that was read to its end.
func (s *Source) verdict(t target, p page, index int, kind autoscale.Kind) (autoscale.Verdict, string) {
	f := p.found[index]
	name := s.wanted[index].Name
	if why := s.oneOfSeveral(t, p, index, kind); why != "" {
		return autoscale.OneOfSeveral, fmt.Sprintf("%s, so a page shows one of the %d replicas; %s", why,
			len(t.several), remedy(t.address, "; where the page does speak for all of them, --metrics-scope=service"))
	}
	switch age := p.time.Sub(f.Oldest); {
	case f.Fault == autoscale.Malformed:
		return f.Fault, f.Detail
	case f.Selected == 0:
		return autoscale.Absent, s.absence(index, f, p.media)
	case f.Fault != autoscale.OK:
		return f.Fault, f.Detail
	case !f.Oldest.IsZero() && age > s.config.MaxAge:
		return autoscale.Stale, fmt.Sprintf("by its own timestamp the value is %v old, more than %v", age.Round(time.Second), s.config.MaxAge)
	case s.config.Type != "":
		return autoscale.OK, ""
	case f.Type == "histogram" || f.Type == "summary":
		return autoscale.Malformed, fmt.Sprintf("%s is a %s; its requests are counted by --rps-metric=%s_count", name, f.Type, name)
	case kind == "":
		return autoscale.Malformed, fmt.Sprintf("neither # TYPE nor the name says whether %s is a gauge or a counter; state --rps-metric-type", name)
	}
	if own := kindOf(name, f); own != "" && own != kind {
		return autoscale.Malformed, fmt.Sprintf("%s is a %s here and a %s on another page; state --rps-metric-type", name, own, kind)
	}
	return autoscale.OK, ""
}

// absence says why no series was found, with the name that the page seems to have
// instead.
func (s *Source) absence(index int, f Found, media string) string {
	name := s.wanted[index].Name
	var text string
	switch {
	case f.Named > 0:
		text = fmt.Sprintf("none of the %d series of %s fits the selector", f.Named, name)
	case index == 0 && len(s.wanted) > 1:
		text = fmt.Sprintf("the page has no %s, nor %s", name, strings.Join(s.others(), ", "))
	default:
		text = "the page has no " + name
	}
	switch {
	case f.Type == "histogram" || f.Type == "summary":
		text += fmt.Sprintf("; it has %s_count", name)
	case f.Type == "counter" && f.Named == 0:
		text += fmt.Sprintf("; is it %s_total?", name)
	case f.Base == "counter" && f.Named == 0:
		text += fmt.Sprintf("; is it %s?", strings.TrimSuffix(name, "_total"))
	case f.Named == 0:
		text += "; name one that is there with --rps-metric"
	}
	if media != "" && media != "text/plain" && media != "application/openmetrics-text" {
		text += "; the answer calls itself " + media
	}
	return text
}

// others are the names that are tried after the first.
func (s *Source) others() []string {
	var names []string
	for _, w := range s.wanted[1:] {
		names = append(names, w.Name)
	}
	return names
}

// sameStart is how far a process's own start time may lie from that of its
// container: it is often counted from a boot known to the second.
const sameStart = 2 * time.Second

// oneOfSeveral tells what shows that a page which is to speak for the service is
// one replica's; empty where nothing does.
func (s *Source) oneOfSeveral(t target, p page, index int, kind autoscale.Kind) string {
	if len(t.several) == 0 {
		return ""
	}
	reads := append(slices.Clone(p.before), p.found)
	for i := 1; i < len(reads); i++ {
		if why := differs(reads[i-1], reads[i], index, len(s.wanted), kind); why != "" {
			return fmt.Sprintf("two connections met different processes (%s)", why)
		}
	}
	if p.owner != "" {
		return fmt.Sprintf("%s itself serves the same page", p.owner)
	}
	return ""
}

// ownerOf finds out a balancer that keeps to one replica: the replica that
// started when the page's process did is asked for its own page, and that one
// tells the very same start. (A proxy's own page, started in the same second by
// the same "up", is not met there.) It is empty where none does.
func (s *Source) ownerOf(ctx context.Context, t target, p page) string {
	start := p.found[len(s.wanted)]
	if !usable(start) || start.Sum > 1e11 {
		return ""
	}
	began := millisTime(int64(math.Round(start.Sum * 1000)))
	for _, r := range t.several {
		if began.Sub(r.Started).Abs() > sameStart {
			continue
		}
		own := target{address: t.address, scope: autoscale.ScopeReplica}
		for _, ip := range r.Addrs {
			if port, err := t.address.port(); err == nil {
				own.hosts = append(own.hosts, netip.AddrPortFrom(ip, port))
			}
		}
		if len(own.hosts) == 0 {
			continue
		}
		if met := s.exchange(ctx, own); met.found != nil && met.found[len(s.wanted)].Sum == start.Sum {
			return r.Name
		}
	}
	return ""
}

// differs tells what shows that two reads of one URL were answered by different
// processes; empty where nothing does.
func differs(before, after []Found, index, wanted int, kind autoscale.Kind) string {
	was, is := before[wanted], after[wanted]
	if usable(was) && usable(is) && was.Sum != is.Sum {
		return "their " + processStart + " are not the same"
	}
	was, is = before[wanted+1], after[wanted+1]
	if usable(was) && usable(is) && is.Sum < was.Sum {
		return processCPU + " went back"
	}
	was, is = before[index], after[index]
	switch {
	case (was.Selected == 0) != (is.Selected == 0):
		return "only one of them has the metric"
	case kind == autoscale.Counter && is.Sum < was.Sum:
		return "the counter went back"
	}
	return ""
}

// perProcess makes one sample of the pages of each process: their sum, or what is
// wrong with the first that is not right.
func perProcess(samples []autoscale.Sample) []autoscale.Sample {
	place := map[string]int{}
	var out []autoscale.Sample
	for _, add := range samples {
		i, ok := place[add.Process]
		if !ok {
			place[add.Process] = len(out)
			out = append(out, add)
			continue
		}
		sum := &out[i]
		sum.Value += add.Value
		sum.Failed, sum.Answered, sum.InFlight = sum.Failed+add.Failed, sum.Answered+add.Answered, sum.InFlight+add.InFlight
		switch {
		case math.IsInf(sum.Value, 0) || math.IsInf(sum.Failed, 0) || math.IsInf(sum.Answered, 0) || math.IsInf(sum.InFlight, 0):
			sum.Failed, sum.Answered, sum.InFlight = 0, 0, 0
			sum.Value, sum.Verdict, sum.Detail = 0, autoscale.NotFinite, "the sum of the process's pages is not finite"
		case sum.Verdict == add.Verdict:
		case sum.Verdict == autoscale.OK:
			sum.Verdict, sum.Detail = partial(add)
		case add.Verdict == autoscale.OK:
			sum.Verdict, sum.Detail = partial(*sum)
		}
		if add.Started.After(sum.Started) {
			sum.Started = add.Started
		}
		if add.Time.After(sum.Time) {
			sum.Time = add.Time
		}
	}
	return out
}

// partial is the verdict of a sum that lacks the given page. A missing series
// leaves it incomplete; all else is told as it is.
func partial(lacking autoscale.Sample) (autoscale.Verdict, string) {
	if lacking.Verdict == autoscale.Absent {
		return autoscale.Partial, "one of the process's pages: " + lacking.Detail
	}
	return lacking.Verdict, lacking.Detail
}
