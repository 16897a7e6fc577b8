package promapi

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

// server answers with a status and a text, and keeps what it was asked.
func server(t *testing.T, status int, text string) (Client, *[]*http.Request) {
	t.Helper()
	var asked []*http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text)) // who asked may have gone
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL + "/under/a/path/")
	if err != nil {
		t.Fatal(err)
	}
	u.User, u.RawQuery = url.UserPassword("me", "secret"), "dedup=false&query=none"
	return Client{Server: *u, HTTP: s.Client()}, &asked
}

// What is asked is what the API's documentation has.
func TestAsks(t *testing.T) {
	c, asked := server(t, 200, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1.5,"2"],[3,"NaN"]]}]},"warnings":["w"],"infos":["i"]}`)
	from := time.Unix(1_700_000_000, 250_000_000)
	answer, err := c.Range(t.Context(), `sum(rate(a{b="c&d"}[1m]))`, from, from.Add(time.Hour), 1500*time.Millisecond, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	matrix, ok := answer.Value.(model.Matrix)
	if !ok || len(matrix) != 1 || len(matrix[0].Values) != 2 || matrix[0].Values[0] != (model.SamplePair{Timestamp: 1500, Value: 2}) {
		t.Errorf("%v", answer.Value)
	}
	if strings.Join(answer.Warnings, "") != "w" || strings.Join(answer.Infos, "") != "i" {
		t.Errorf("%+v", answer)
	}
	if _, err := c.Query(t.Context(), "up", 5*time.Second); err != nil {
		t.Fatal(err)
	}
	for i, want := range []map[string]string{
		{"": "/under/a/path/api/v1/query_range", "query": `sum(rate(a{b="c&d"}[1m]))`, "start": "1700000000.250000000", "end": "1700003600.250000000", "step": "1.5", "timeout": "1m0s", "dedup": "false"},
		{"": "/under/a/path/api/v1/query", "query": "up", "timeout": "5s", "dedup": "false"},
	} {
		r := (*asked)[i]
		for name, value := range want {
			if got := r.FormValue(name); name != "" && got != value || name == "" && r.URL.Path != value {
				t.Errorf("%s is asked for %s=%q, want %q", r.URL.Path, name, got, value)
			}
		}
		if user, secret, _ := r.BasicAuth(); user != "me" || secret != "secret" || r.Method != http.MethodGet {
			t.Errorf("%s by %s", r.Method, user)
		}
	}
}

// An answer that is none is an *Error with its kind.
func TestErrors(t *testing.T) {
	for text, want := range map[string]Error{
		`400 {"status":"error","errorType":"bad_data","error":"1:5"}`:   {400, BadData, "1:5"},
		`422 {"status":"error","errorType":"execution","error":"many"}`: {422, Execution, "many"},
		`503 {"status":"error","errorType":"timeout","error":"slow"}`:   {503, Timeout, "slow"},
		`200 {"status":"error","errorType":"canceled","error":"gone"}`:  {200, Canceled, "gone"},
		`401 {"status":"error","error":"no org id"}`:                    {401, "", "HTTP 401 Unauthorized"},
		`502 <html>`:               {502, "", "HTTP 502 Bad Gateway"},
		`302 `:                     {302, "", "HTTP 302 Found"},
		`204 `:                     {204, BadResponse, "unexpected end of JSON input"},
		`200 {}`:                   {200, BadResponse, `its status is ""`},
		`200 {"status":"success"}`: {200, BadResponse, "it has no data"},
		`200 {"status":"success","data":{"resultType":"tensor","result":[]}}`:                            {200, BadResponse, `a result of type "tensor"`},
		`200 {"status":"success","data":{"resultType":"scalar","result":null}}`:                          {200, BadResponse, "a number that is null"},
		`200 {"status":"success","data":{"resultType":"vector"}}`:                                        {200, BadResponse, "unexpected end of JSON input"},
		`200 {"status":"success","data":{"resultType":"vector","result":[{"value":[1,"one"]}]}}`:         {200, BadResponse, `strconv.ParseFloat: parsing "one": invalid syntax`},
		`200 {"status":"success","data":{"resultType":"vector","result":[{"value":[1,"1"]}]},"infos":7}`: {200, BadResponse, "json: cannot unmarshal number into Go struct field envelope.infos of type []string"},
	} {
		status, body, _ := strings.Cut(text, " ")
		n := 0
		for _, digit := range status {
			n = n*10 + int(digit-'0')
		}
		c, _ := server(t, n, body)
		_, err := c.Query(t.Context(), "up", time.Second)
		got, ok := errors.AsType[*Error](err)
		if !ok || *got != want {
			t.Errorf("%s: %v, want %+v", text, err, want)
		}
	}
}

// A connection's error is no *Error.
func TestNoServer(t *testing.T) {
	c := Client{Server: url.URL{Scheme: "http", Host: "127.0.0.1:1"}, HTTP: http.DefaultClient}
	_, err := c.Query(t.Context(), "up", time.Second)
	if _, answered := errors.AsType[*Error](err); err == nil || answered {
		t.Errorf("%v", err)
	}
}

// Whatever a server answers is a value or an error, and never both or neither.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`{"status":"success","data":{"resultType":"scalar","result":[1.5,"7"]}}`,
		`{"status":"success","data":{"resultType":"string","result":[1,"x"]}}`,
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"NaN"]}]}}`,
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{"count":"1","sum":"2","buckets":[[0,"1","2","3"]]}]}]}}`,
		`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"]]}]},"warnings":["w"]}`,
		`{"status":"error","errorType":"bad_data","error":"x"}`,
	} {
		f.Add(200, []byte(text))
	}
	f.Fuzz(func(t *testing.T, status int, text []byte) {
		answer, err := parse(status, text)
		if (err == nil) != (answer.Value != nil) {
			t.Fatalf("%v and %v", answer.Value, err)
		}
		if err == nil {
			_, _ = answer.Value.String(), answer.Value.Type()
		}
	})
}
