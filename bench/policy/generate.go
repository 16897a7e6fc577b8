package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// The generated loads, as they were before anything was tuned on them. Those with
// an odd seed are held out: nothing is tuned on them.
const (
	generatedStep = 10          // seconds
	generatedDays = 4           // of each
	generatedHalf = "-tuned"    // even seeds
	heldOut       = "-held-out" // odd seeds
	perDay        = 86400 / generatedStep
)

// shapes are the generated loads by name; each gives a rate for every step, from
// random numbers alone. Their scale is of no account.
func shapes() map[string]func(*rand.Rand) []float64 {
	return map[string]func(*rand.Rand) []float64{
		"recurring": recurring, "flash": flash, "onoff": onOff, "spikes": spikes, "shift": shift, "ramp": ramp, "dying": dying,
	}
}

// generate writes each shape with four seeds into a folder.
func generate(folder string) error {
	for name, shape := range shapes() {
		for seed := range uint64(4) {
			half := generatedHalf
			if seed%2 == 1 {
				half = heldOut
			}
			var text strings.Builder
			text.WriteString("seconds_since_start,rps\n")
			for i, rps := range shape(rand.New(rand.NewPCG(seed, 11))) {
				fmt.Fprintf(&text, "%d,%.3f\n", i*generatedStep, max(rps, 0))
			}
			file := filepath.Join(folder, fmt.Sprintf("gen-%s-%d%s.csv", name, seed, half))
			if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// daily is a day's wave around 100 requests/s, with a slow wander.
func daily(r *rand.Rand, depth float64) []float64 {
	all := make([]float64, generatedDays*perDay)
	phase, wander := r.Float64(), 0.0
	for i := range all {
		wander = 0.9995*wander + 0.002*r.NormFloat64()
		all[i] = 100 * (1 + depth*math.Sin(2*math.Pi*(float64(i)/perDay+phase))) * math.Exp(wander)
	}
	return all
}

// steps are so many seconds.
func steps(seconds float64) int { return max(int(seconds/generatedStep), 1) }

// recurring has a burst at the same minutes of each hour.
func recurring(r *rand.Rand) []float64 {
	all := daily(r, 0.4)
	every, at, length, height := []float64{900, 1800, 3600}[r.IntN(3)], 60*float64(r.IntN(10)), 60+r.Float64()*240, 1+2*r.Float64()
	for i := range all {
		if in := math.Mod(float64(i*generatedStep)-at+3600, every); in < length {
			all[i] *= 1 + height
		}
	}
	return all
}

// flash has a few crowds a day, which come in a minute or three and go in an hour.
func flash(r *rand.Rand) []float64 {
	all := daily(r, 0.4)
	for range generatedDays * (1 + r.IntN(3)) {
		at, rise, fall, height := r.IntN(len(all)), float64(steps(30+r.Float64()*180)), float64(steps(600+r.Float64()*3600)), 100*(1+5*r.Float64())
		for i := at; i < len(all); i++ {
			since := float64(i - at)
			all[i] += height * min(since/rise, math.Exp(-(since-rise)/fall))
		}
	}
	return all
}

// onOff works for some minutes and rests for some.
func onOff(r *rand.Rand) []float64 {
	all := make([]float64, generatedDays*perDay)
	on, off, rest := 300+r.Float64()*2400, 300+r.Float64()*2400, 5+r.Float64()*20
	for i := 0; i < len(all); {
		level := 60 + 80*r.Float64()
		for range steps(on * r.ExpFloat64()) {
			if i < len(all) {
				all[i] = level
				i++
			}
		}
		for range steps(off * r.ExpFloat64()) {
			if i < len(all) {
				all[i] = rest
				i++
			}
		}
	}
	return all
}

// spikes have heights by a Pareto distribution and last a minute or some.
func spikes(r *rand.Rand) []float64 {
	all := daily(r, 0.3)
	alpha, every := 1.5+r.Float64(), 600+r.Float64()*3000
	for at := 0.0; int(at) < len(all); at += r.ExpFloat64() * every / generatedStep {
		height := 30 * min(math.Pow(1-r.Float64(), -1/alpha), 20)
		fall := float64(steps(20 + r.ExpFloat64()*120))
		for i := int(at); i < min(len(all), int(at)+int(8*fall)); i++ {
			all[i] += height * math.Exp(-float64(i-int(at))/fall)
		}
	}
	return all
}

// shift goes to another level, at once, some times a day.
func shift(r *rand.Rand) []float64 {
	all := daily(r, 0.2)
	level, left := 1.0, 0
	for i := range all {
		if left--; left < 0 {
			level, left = math.Exp(r.NormFloat64()*0.6), steps(3600+r.ExpFloat64()*6*3600)
		}
		all[i] *= level
	}
	return all
}

// ramp climbs slowly, and falls.
func ramp(r *rand.Rand) []float64 {
	all := daily(r, 0.1)
	level, slope, left := 1.0, 0.0, 0
	for i := range all {
		if left--; left < 0 {
			slope, left = r.NormFloat64()*0.0004, steps(1800+r.Float64()*3*3600)
		}
		if level = level * math.Exp(slope); level < 0.2 || level > 3 {
			slope = -slope
			level = min(max(level, 0.2), 3)
		}
		all[i] *= level
	}
	return all
}

// dying fades to next to nothing, with a last crowd now and then.
func dying(r *rand.Rand) []float64 {
	all := daily(r, 0.3)
	half := float64(perDay) * (0.7 + r.Float64())
	for i := range all {
		all[i] *= math.Exp2(-float64(i) / half)
	}
	for range 3 {
		at, length := r.IntN(len(all)), steps(300+r.Float64()*1800)
		for i := at; i < min(len(all), at+length); i++ {
			all[i] *= 2
		}
	}
	return all
}
