package config

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/five-keys/autoscale"
)

// field is one key of a mapping.
type field struct {
	key   string
	tag   reflect.StructTag
	index []int
	typ   reflect.Type
}

// fields are the keys of a struct, in its order.
func fields(t reflect.Type) (all []field) {
	for _, f := range reflect.VisibleFields(t) {
		key := f.Tag.Get("yaml")
		if f.Anonymous || !f.IsExported() || key == "" || key == "-" {
			continue
		}
		all = append(all, field{key: key, tag: f.Tag, index: f.Index, typ: f.Type})
	}
	return all
}

// words are what an enum allows; nil for anything.
func (f field) words() []string {
	if enum := f.tag.Get("enum"); enum != "" {
		return strings.Split(enum, ",")
	}
	return nil
}

// otherwise is what holds where a field is not stated, as it is written; empty
// where its help has to say that.
func (f field) otherwise() string { return cmp.Or(f.tag.Get("default"), f.tag.Get("zero")) }

// filled reports whether a text must not be empty.
func (f field) filled() bool {
	return f.typ.Kind() == reflect.String && f.tag.Get("default") != "" && f.tag.Get("zero") == ""
}

// isFor reports whether f means something to a provider.
func (f field) isFor(provider string) bool {
	only := f.providers()
	return only == nil || provider == "" || slices.Contains(only, provider)
}

// providers are those that f is for; nil for all.
func (f field) providers() []string {
	if only := f.tag.Get("provider"); only != "" {
		return strings.Split(only, ",")
	}
	return nil
}

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// kind is how the values of one Go type are written.
type kind struct {
	// want completes "write …".
	want string
	// tags are YAML's types that it is read from.
	tags []string
	read func(n *yaml.Node) (any, error)
	show func(v any) string
	// name is that of its schema, and number the JSON type beside text that matches
	// pattern; empty where the schema's library knows better.
	name, number, pattern string
}

// kindOf is the kind of a scalar.
func kindOf(t reflect.Type) kind {
	switch t {
	case typeOf[time.Duration]():
		return kind{
			want: "a time: seconds (120) or a number with its unit (90s, 3m, 1h30m, 30d)", tags: []string{"!!int", "!!float", "!!str"},
			read: func(n *yaml.Node) (any, error) { return parseDuration(n.Value) },
			show: func(v any) string { return showDuration(v.(time.Duration)) },
			name: "Duration", number: "number", pattern: `^[0-9.]+$|^[-+]?([0-9.]+(d|h|m|s|ms|us|µs|ns))+$`,
		}
	case typeOf[autoscale.Limit]():
		return kind{
			want: "a number of replicas (2) or a share of them (50%)", tags: []string{"!!int", "!!str"},
			read: func(n *yaml.Node) (any, error) { return autoscale.ParseLimit(n.Value) },
			show: func(v any) string { return v.(autoscale.Limit).String() },
			name: "Limit", number: "integer", pattern: `^([0-9.]+%|[0-9]+)$`,
		}
	case typeOf[autoscale.Share]():
		return kind{
			want: "a share (0.1% or 0.001)", tags: []string{"!!float", "!!str"},
			read: func(n *yaml.Node) (any, error) { return autoscale.ParseShare(n.Value) },
			show: func(v any) string { return v.(autoscale.Share).String() },
			name: "Share", number: "number", pattern: `^[0-9.]+%$`,
		}
	case typeOf[int64]():
		return kind{
			want: "a size: bytes, or a number with KiB, MiB, GiB or TiB behind it (512MiB)", tags: []string{"!!int", "!!str"},
			read: func(n *yaml.Node) (any, error) { return parseSize(n.Value) },
			show: func(v any) string { return showSize(v.(int64)) },
			name: "Size", number: "integer", pattern: `^[0-9]+ ?([KMGT]iB)?$`,
		}
	}
	switch t.Kind() {
	case reflect.Int:
		return kind{
			want: "a whole number", tags: []string{"!!int"},
			read: func(n *yaml.Node) (any, error) { v, err := decode[int32](n); return int(v), err },
			show: func(v any) string { return strconv.Itoa(v.(int)) },
		}
	case reflect.Float64:
		return kind{
			want: "a number", tags: []string{"!!int", "!!float"},
			read: func(n *yaml.Node) (any, error) { return decode[float64](n) },
			show: func(v any) string { return strconv.FormatFloat(v.(float64), 'g', -1, 64) },
		}
	case reflect.Bool:
		return kind{
			want: "true or false", tags: []string{"!!bool"},
			read: func(n *yaml.Node) (any, error) { return decode[bool](n) },
			show: func(v any) string { return strconv.FormatBool(v.(bool)) },
		}
	}
	return kind{
		want: "text", tags: []string{"!!str"},
		read: func(n *yaml.Node) (any, error) { return n.Value, nil },
		show: func(v any) string { return fmt.Sprint(v) },
	}
}

// decode reads a scalar as YAML has it: 0x10, .inf.
func decode[T any](n *yaml.Node) (v T, err error) {
	err = n.Decode(&v)
	return v, err
}

// days matches the days in front of a duration.
var days = regexp.MustCompile(`^([0-9]{1,5})d(.*)$`)

// parseDuration reads bare seconds, and Go's durations with days in front.
func parseDuration(text string) (time.Duration, error) {
	if number, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(number) <= 1e9 {
		return time.Duration(number * float64(time.Second)), nil
	}
	var whole time.Duration
	if match := days.FindStringSubmatch(text); match != nil {
		n, err := strconv.Atoi(match[1])
		if err != nil {
			return 0, err
		}
		whole, text = time.Duration(n)*24*time.Hour, match[2]
		if text == "" {
			return whole, nil
		}
	}
	rest, err := time.ParseDuration(text)
	if err != nil {
		return 0, err
	}
	if sum := whole + rest; sum < 0 == (rest < 0) {
		return sum, nil
	}
	return 0, fmt.Errorf("%s is too long", text)
}

// showDuration writes d with no more units than it needs: "2m", "30d".
func showDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if short, ok := strings.CutSuffix(text, zero); ok {
			text = short + zero[:1]
		}
	}
	return text
}

// units are those of sizes, each 1024 of the one before.
func units() []string { return []string{"", "KiB", "MiB", "GiB", "TiB"} }

// parseSize reads a number of bytes with or without a unit.
func parseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "KMGTiB")
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil {
		return 0, err
	}
	power := slices.Index(units(), text[len(digits):])
	if power < 0 || n < 0 || n > math.MaxInt64>>(10*power) {
		return 0, fmt.Errorf("%s is too large, or has another unit", text)
	}
	return n << (10 * power), nil
}

// showSize writes n in the largest unit that it is a multiple of.
func showSize(n int64) string {
	power := 0
	for n != 0 && n%1024 == 0 && power < len(units())-1 {
		n /= 1024
		power++
	}
	return strconv.FormatInt(n, 10) + units()[power]
}
