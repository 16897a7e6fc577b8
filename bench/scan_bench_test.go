package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/five-keys/autoscale/internal/prometheus"
)

// sum of the five series at the end of bigPage.
const wantSum = (1 + 2 + 3 + 4 + 5) * 1027

func sumByScan(page []byte) (float64, error) {
	found, err := prometheus.Scan(bytes.NewReader(page), false, prometheus.Selector{Name: wanted})
	if err != nil {
		return 0, err
	}
	return found[0].Sum, nil
}

// sumByTextparse uses the parser in its quickest way: labels are not taken
// apart.
func sumByTextparse(page []byte) (float64, error) {
	p := textparse.NewPromParser(page, labels.NewSymbolTable(), false)
	var sum float64
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return sum, nil
		}
		if err != nil {
			return 0, err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		series, _, value := p.Series()
		if bytes.HasPrefix(series, []byte(wanted+"{")) {
			sum += value
		}
	}
}

func sumByExpfmt(page []byte) (float64, error) {
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		return 0, err
	}
	var sum float64
	for _, m := range families[wanted].GetMetric() {
		sum += counter(m)
	}
	return sum, nil
}

func counter(m *dto.Metric) float64 { return m.GetCounter().GetValue() }

// cpuTime is what the process has used so far. The ratios go by it, not by the
// clock, so that other work on the machine does not distort them.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkOneMetric pulls one metric, which stands last, out of pages of three
// sizes; then it prints how many times as fast Scan is as the faster of the two
// others, in CPU time.
func BenchmarkOneMetric(b *testing.B) {
	readers := []struct {
		name string
		sum  func([]byte) (float64, error)
	}{{"scan", sumByScan}, {"textparse", sumByTextparse}, {"expfmt", sumByExpfmt}}
	for _, size := range []int{100 << 10, 1 << 20, 10 << 20} {
		page := bigPage(size)
		speed := map[string]float64{}
		for _, r := range readers {
			b.Run(fmt.Sprintf("%dKB/%s", size>>10, r.name), func(b *testing.B) {
				b.SetBytes(int64(len(page)))
				b.ReportAllocs()
				before := cpuTime(b)
				for b.Loop() {
					if sum, err := r.sum(page); err != nil || sum != wantSum {
						b.Fatalf("sum %v, want %v, error %v", sum, wantSum, err)
					}
				}
				speed[r.name] = float64(len(page)) * float64(b.N) / (cpuTime(b) - before).Seconds() / 1e6
			})
		}
		if faster := max(speed["textparse"], speed["expfmt"]); faster > 0 {
			fmt.Printf("%d KB: scan %.0f MB/s, textparse %.0f MB/s, expfmt %.0f MB/s: scan is %.1f times as fast as the faster of them\n",
				size>>10, speed["scan"], speed["textparse"], speed["expfmt"], speed["scan"]/faster)
		}
	}
}
