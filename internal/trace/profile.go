package trace

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxRate is the highest rate that a profile may ask for, in requests/s.
const MaxRate = 1e7

// ParseProfile reads a load profile: one or more stretches, joined with
// ",then,". Rates are requests/s, times seconds or with their unit (90s, 5m).
//
//	const:200/30s                              200 for half a minute
//	ramp:10..500/5m                            evenly from 10 to 500
//	step:50,100,200/1m                         each for a minute
//	sine:mean=200,amplitude=150,period=10m/1h  around 200, for an hour
//	spike:base=50,peak=500,at=1m,for=10s/3m    50, but for 10 s after a minute 500
//
// The last stretch may leave its length away where it has none of its own
// (const, sine, spike): then it has no end.
func ParseProfile(text string) (Curve, error) {
	var c Curve
	stretches := strings.Split(text, ",then,")
	for i, stretch := range stretches {
		if err := c.parse(stretch); err != nil {
			return Curve{}, fmt.Errorf("%q: %w", stretch, err)
		}
		if _, ends := c.Length(); !ends && i < len(stretches)-1 {
			return Curve{}, fmt.Errorf("%q: only the last stretch may have no end; give its length: %s/1m", stretch, stretch)
		}
	}
	return c, nil
}

func (c *Curve) parse(stretch string) error {
	kind, rest, ok := strings.Cut(stretch, ":")
	if !ok {
		return errors.New("a kind and a colon come first, as in const:200/30s, ramp:10..500/5m or step:50,100,200/1m")
	}
	values, end, ended := strings.Cut(rest, "/")
	length := math.Inf(1)
	if ended {
		var err error
		if length, err = parseSeconds(end); err != nil {
			return err
		}
	}
	switch kind {
	case "const":
		rate, err := parseRate(values)
		c.add(flat(rate), length)
		return err
	case "ramp":
		return c.parseRamp(values, length)
	case "step":
		return c.parseStep(values, length)
	case "sine":
		return c.parseSine(values, length)
	case "spike":
		return c.parseSpike(values, length)
	}
	return fmt.Errorf("no kind %q; there are const, ramp, step, sine and spike", kind)
}

func (c *Curve) parseRamp(values string, length float64) error {
	from, to, ok := strings.Cut(values, "..")
	if !ok || math.IsInf(length, 1) {
		return errors.New("a ramp has two rates and a length: ramp:10..500/5m")
	}
	r := ramp{length: length}
	var errs [2]error
	r.from, errs[0] = parseRate(from)
	r.to, errs[1] = parseRate(to)
	c.add(r, length)
	return errors.Join(errs[:]...)
}

func (c *Curve) parseStep(values string, length float64) error {
	if math.IsInf(length, 1) {
		return errors.New("steps have a length each: step:50,100,200/1m")
	}
	for value := range strings.SplitSeq(values, ",") {
		rate, err := parseRate(value)
		if err != nil {
			return err
		}
		c.add(flat(rate), length)
	}
	return nil
}

func (c *Curve) parseSine(values string, length float64) error {
	named, err := parseNamed(values, []string{"mean", "amplitude"}, []string{"period"})
	if err != nil {
		return fmt.Errorf("%w, as in sine:mean=200,amplitude=150,period=10m", err)
	}
	s := sine{named["mean"], named["amplitude"], named["period"]}
	if s.amplitude > s.mean || s.mean == 0 {
		return errors.New("the amplitude is above the mean, and a rate cannot be below 0")
	}
	c.add(s, length)
	return nil
}

func (c *Curve) parseSpike(values string, length float64) error {
	named, err := parseNamed(values, []string{"base", "peak"}, []string{"at", "for"})
	if err != nil {
		return fmt.Errorf("%w, as in spike:base=50,peak=500,at=1m,for=10s/3m", err)
	}
	rest := length - named["at"] - named["for"]
	if rest < 0 {
		return fmt.Errorf("the spike ends %g s after its end", -rest)
	}
	for _, part := range []struct{ rate, length float64 }{{named["base"], named["at"]}, {named["peak"], named["for"]}, {named["base"], rest}} {
		if part.length > 0 {
			c.add(flat(part.rate), part.length)
		}
	}
	return nil
}

// parseNamed reads name=value pairs: all of them, and no others.
func parseNamed(text string, rates, times []string) (map[string]float64, error) {
	named := map[string]float64{}
	for pair := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(pair, "=")
		var number float64
		var err error
		switch {
		case slices.Contains(rates, name):
			number, err = parseRate(value)
		case slices.Contains(times, name):
			number, err = parseSeconds(value)
		default:
			err = fmt.Errorf("%q is none of %s", pair, strings.Join(append(slices.Clone(rates), times...), ", "))
		}
		if err != nil {
			return nil, err
		}
		if _, twice := named[name]; twice {
			return nil, fmt.Errorf("%s is there twice", name)
		}
		named[name] = number
	}
	for _, name := range append(slices.Clone(rates), times...) {
		if _, ok := named[name]; !ok {
			return nil, fmt.Errorf("%s is missing", name)
		}
	}
	return named, nil
}

// parseRate reads requests/s.
func parseRate(text string) (float64, error) {
	rate, err := strconv.ParseFloat(text, 64)
	if err != nil || !(rate >= 0 && rate <= MaxRate) {
		return 0, fmt.Errorf("%q is no rate of 0 to %.0f requests/s", text, MaxRate)
	}
	return rate, nil
}

// parseSeconds reads a time above 0: bare numbers are seconds, others have a unit.
func parseSeconds(text string) (float64, error) {
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil {
		var d time.Duration
		d, err = time.ParseDuration(text)
		seconds = d.Seconds()
	}
	if err != nil || !(seconds > 0 && seconds <= 1e9) {
		return 0, fmt.Errorf("%q is no time above 0: give seconds (120) or a number with its unit (90s, 5m, 1h)", text)
	}
	return seconds, nil
}
