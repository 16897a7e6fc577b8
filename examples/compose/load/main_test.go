package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	got, err := parse("30:20s,0.5:1m")
	if want := []step{{30, 20 * time.Second}, {0.5, time.Minute}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("parse gives %v, %v, want %v", got, err, want)
	}
	for _, wrong := range []string{"", "30", "30:", "0:1s", "-1:1s", "NaN:1s", "2000:1s", "1:0s", "1:9m,1:2m"} {
		if _, err := parse(wrong); err == nil {
			t.Errorf("parse(%q) gives no error", wrong)
		}
	}
}

func TestOnlyThisMachine(t *testing.T) {
	for _, far := range []string{"http://192.0.2.1/", "http://example.invalid/", "8000"} {
		if err := run(t.Context(), far, "1:1ms"); err == nil {
			t.Errorf("run aims at %s", far)
		}
	}
}

func TestRunSendsAndFailsWhenRequestsFail(t *testing.T) {
	var asked atomic.Int64
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(status)
	}))
	defer server.Close()
	if err := run(t.Context(), server.URL, "200:250ms,100:250ms"); err != nil {
		t.Error(err)
	}
	if n := asked.Load(); n != 75 {
		t.Errorf("%d requests arrived, want 75", n)
	}
	status = http.StatusBadGateway
	if err := run(t.Context(), server.URL, "100:100ms"); err == nil {
		t.Error("failed requests are no error")
	}
}
