package doctor

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// codes are the values of the constants in a file whose names begin with Code.
func codes(t *testing.T, file string) (all []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Code") {
			return true
		}
		code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, code)
		return true
	})
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestCodes: every code stands in the manual with its level, and a test on the
// real part provokes it.
func TestCodes(t *testing.T) {
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\| (error|warning|note) \\|").FindAllStringSubmatch(read(t, "../../docs/doctor.md"), -1) {
		for _, code := range regexp.MustCompile("`([a-z-]+)`").FindAllStringSubmatch(row[1], -1) {
			documented[code[1]] = row[2]
		}
	}
	provoked := read(t, "../../e2e/doctor_test.go") + read(t, "../../e2e/schedule_test.go") + read(t, "../../e2e/sources_test.go")
	provoked += read(t, "../../e2e/front_test.go") + read(t, "../../e2e/kubernetes/doctor_test.go")
	all := slices.Concat(codes(t, "codes.go"), codes(t, "../compose/problem.go"), codes(t, "../kubernetes/problem.go"))
	if len(all) < 55 {
		t.Fatalf("only %d codes", len(all))
	}
	for _, code := range all {
		if documented[code] != string(level(code)) {
			t.Errorf("docs/doctor.md calls %s %q, it is %q", code, documented[code], level(code))
		}
		if !strings.Contains(provoked, strconv.Quote(code)) {
			t.Errorf("no test provokes %s", code)
		}
		delete(documented, code)
	}
	for code := range documented {
		t.Errorf("docs/doctor.md has %s, which there is not", code)
	}
}
