package trace

import (
	"iter"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func profile(t testing.TB, text string) Curve {
	t.Helper()
	c, err := ParseProfile(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestProfile: rate and count at some instants, from the definition.
func TestProfile(t *testing.T) {
	for _, c := range []struct {
		profile string
		at      time.Duration
		rate    float64
		count   float64
	}{
		{"const:200/30s", 10 * time.Second, 200, 2000},
		{"const:200", time.Hour, 200, 720000},
		{"const:200/30s", time.Minute, 0, 6000}, // behind the end
		{"ramp:10..500/5m", 0, 10, 0},
		{"ramp:10..500/5m", 150 * time.Second, 255, 19875},
		{"ramp:500..0/10", 10 * time.Second, 0, 2500},
		{"step:50,100,200/1m", 90 * time.Second, 100, 6000},
		{"sine:mean=200,amplitude=150,period=10m", 150 * time.Second, 350, 200*150 + 150*600/(2*math.Pi)},
		{"sine:mean=200,amplitude=200,period=60/1h", 60 * time.Second, 200, 12000},
		{"spike:base=50,peak=500,at=1m,for=10s/3m", 65 * time.Second, 500, 5500},
		{"spike:base=50,peak=500,at=1m,for=10s", 80 * time.Second, 50, 8500},
		{"const:10/10s,then,ramp:10..20/10s,then,const:20", 30 * time.Second, 20, 450},
	} {
		curve := profile(t, c.profile)
		if rate := curve.Rate(c.at); math.Abs(rate-c.rate) > 1e-6 {
			t.Errorf("%s at %s: rate %g, want %g", c.profile, c.at, rate, c.rate)
		}
		if count := curve.Count(c.at); math.Abs(count-c.count) > 1e-6*c.count {
			t.Errorf("%s at %s: count %g, want %g", c.profile, c.at, count, c.count)
		}
	}
}

func TestProfileErrors(t *testing.T) {
	for text, says := range map[string]string{
		"":                                  "a kind and a colon",
		"200":                               "a kind and a colon",
		"wave:1":                            `no kind "wave"`,
		"const:x":                           "no rate",
		"const:-1":                          "no rate",
		"const:NaN":                         "no rate",
		"const:1/0":                         "no time above 0",
		"const:1,then,const:2":              "only the last stretch may have no end",
		"ramp:10..500":                      "two rates and a length",
		"ramp:10/5m":                        "two rates and a length",
		"step:1,2":                          "have a length",
		"step:1,x/5":                        "no rate",
		"sine:mean=1,period=1m":             "amplitude is missing",
		"sine:mean=1,amplitude=2,period=1m": "amplitude is above the mean",
		"sine:mean=1,mean=2,amplitude=1,period=1": "there twice",
		"sine:height=1":                       `"height=1" is none of`,
		"spike:base=1,peak=2,at=50,for=20/60": "10 s after its end",
	} {
		if _, err := ParseProfile(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}

// take are the first n of a sequence.
func take(all iter.Seq[time.Duration], n int) (some []time.Duration) {
	for at := range all {
		if len(some) == n {
			break
		}
		some = append(some, at)
	}
	return some
}

// TestUniform: the k-th request is due when the integral of the rate comes to k.
func TestUniform(t *testing.T) {
	if got, want := take(profile(t, "const:4/1s").Uniform(), 9), []time.Duration{0, 250 * time.Millisecond, 500 * time.Millisecond, 750 * time.Millisecond}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, text := range []string{
		"ramp:10..500/1m", "ramp:500..10/1m", "ramp:0..100/1m", "ramp:100..0/1m", "ramp:50..50/1m", "sine:mean=200,amplitude=200,period=7/1m",
		"step:5,0,50/20s", "const:10/20s,then,ramp:10..100/20s,then,sine:mean=100,amplitude=30,period=10/20s",
	} {
		c := profile(t, text)
		all := take(c.Uniform(), math.MaxInt)
		if total := c.Count(time.Minute); len(all) != int(math.Ceil(total-1e-9)) {
			t.Errorf("%s: %d requests, want %g", text, len(all), total)
		}
		for k, at := range all {
			if math.Abs(c.Count(at)-float64(k)) > 1e-4 {
				t.Fatalf("%s: request %d is due at %s, when %g have been", text, k, at, c.Count(at))
			}
		}
	}
}

// TestPoisson: as many as the rate has it, as unevenly as chance has it, and the
// same for the same seed.
func TestPoisson(t *testing.T) {
	c := profile(t, "ramp:50..150/100s")
	all := take(c.Poisson(1), math.MaxInt)
	if n := float64(len(all)); math.Abs(n-10000) > 4*100 {
		t.Errorf("%g requests, want 10000 give or take 100", n)
	}
	if !slices.Equal(all, take(c.Poisson(1), math.MaxInt)) || slices.Equal(all, take(c.Poisson(2), math.MaxInt)) || !slices.IsSorted(all) {
		t.Error("seeds do not do what they are for")
	}
	// The variance of the count in a second is its mean.
	var sum, squares float64
	constant := take(profile(t, "const:100/1000s").Poisson(3), math.MaxInt)
	counts := make([]float64, 1000)
	for _, at := range constant {
		counts[int(at.Seconds())]++
	}
	for _, n := range counts {
		sum += n
		squares += n * n
	}
	mean := sum / 1000
	if variance := squares/1000 - mean*mean; variance < 80 || variance > 120 {
		t.Errorf("variance %g of mean %g", variance, mean)
	}
}

func TestScaled(t *testing.T) {
	c := profile(t, "ramp:10..20/1m,then,const:20/1m").Scaled(2, 3)
	if length, ok := c.Length(); !ok || length != time.Minute {
		t.Errorf("length %s", length)
	}
	if total := c.Count(time.Minute); math.Abs(total-3*(900+1200)) > 1e-6 {
		t.Errorf("%g requests", total)
	}
	if rate := c.Rate(15 * time.Second); math.Abs(rate-15*6) > 1e-9 {
		t.Errorf("rate %g", rate)
	}
}

// FuzzProfile: whatever is accepted has instants in order, within its length,
// and as many as its count.
func FuzzProfile(f *testing.F) {
	for _, text := range []string{"const:200/30s", "ramp:10..500/5m", "step:50,100,200/1m", "sine:mean=200,amplitude=150,period=10m", "spike:base=50,peak=500,at=1m,for=10s/3m", "const:1/1,then,ramp:0..1e3/1e-3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseProfile(text)
		if err != nil {
			return
		}
		length, ends := c.Length()
		last := time.Duration(0)
		for k, at := range take(c.Uniform(), 300) {
			if at < last || ends && at > length {
				t.Fatalf("%q: request %d is due at %s, after %s, of %s", text, k, at, last, length)
			}
			last = at
		}
	})
}

// Curves that are made are those that are read.
func TestMadeCurves(t *testing.T) {
	made := Ramp(10, 500, 5*time.Minute).Then(Ramp(20, 20, 10*time.Second))
	read := profile(t, "ramp:10..500/5m,then,const:20/10s")
	madeLength, ends := made.Length()
	if readLength, _ := read.Length(); madeLength != readLength || !ends {
		t.Errorf("it takes %s, want %s", madeLength, readLength)
	}
	for at := time.Duration(0); at < madeLength; at += 7 * time.Second {
		if made.Rate(at) != read.Rate(at) || math.Abs(made.Count(at)-read.Count(at)) > 1e-6 {
			t.Errorf("at %s: rate %g, count %g; want %g, %g", at, made.Rate(at), made.Count(at), read.Rate(at), read.Count(at))
		}
	}
	if !slices.Equal(slices.Collect(made.Poisson(3)), slices.Collect(read.Poisson(3))) {
		t.Error("their arrivals differ")
	}
	one := Ramp(1, 1, time.Second)
	_, _ = one.Then(Ramp(2, 2, time.Second)), one.Then(Ramp(3, 3, time.Second))
	if length, _ := one.Length(); length != time.Second {
		t.Errorf("Then changed what came before: %s", length)
	}
}
