package history

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"

	"github.com/five-keys/autoscale/internal/store"
)

// phrases are what records mostly consist of: with them known beforehand, one
// takes a fourth of the space that it takes compressed alone. Bodies that were
// written with them cannot be read without: others get another number.
const phrases = `"reason":"FirstRun","reason":"Paused","reason":"KeptByHand","reason":"RaisedOnDoubt","reason":"ReadingDoubtful",` +
	`"reason":"ScaleUpLimit","reason":"ScaleDownLimit","stage":"combine","reason":"HighestWins","stage":"limit","stage":"guard",` +
	`"verdict":"unreachable"},"verdict":"warming","detail":"6 replicas would carry more than 40 rps each","error":"` +
	`"reason":"HeldOnDoubt","detail":"the reading at 03:03:16 was absent, held until 03:03:18"` +
	`"reason":"LoadAboveTarget","detail":"8 replicas are needed for 40 rps each, within 10 %"` +
	`"reason":"ScaleDownStabilized","detail":"5 replicas were wanted within the last 2m: 180 rps at 14:03:10, held until 14:05:10"` +
	`"stage":"bound","to":1,"reason":"TooFewReplicas","detail":"the minimum is 1"},{"stage":"bound","to":8,"reason":"TooManyReplicas","detail":"the maximum is 8"}` +
	`{"version":1,"time":"2026-11-25T12:00:17.732727999Z","workload":{"provider":"compose","engine":"","project":"shop","service":"app","dir":"/srv/"},` +
	`"reading":{"metric":"http_requests_per_second","metric":"http_requests_total","kind":"counter","kind":"gauge","scope":"service","scope":"replica",` +
	`"samples":[{"process":"http://localhost:8000/metrics","name":"http://localhost:8000/metrics","name":"app-1","time":"2026-11-25T12:00:17.731275471Z","value":10,` +
	`"started":"2026-11-25T12:00:00Z","verdict":"ok"},{"process":"` +
	`"verdict":"ok"}]},"decision":{"at":"2026-11-25T12:00:17.552967149Z","from":2,"to":2,"want":2,"rps":60,"verdict":"ok","reason":"DesiredWithinRange",` +
	`"steps":[{"stage":"judge","to":2,"reason":"ReadingTrusted","detail":"60 rps"},{"stage":"recommend","to":2,"reason":"DesiredWithinRange","detail":"2 replicas carry 60 rps"},` +
	`{"stage":"recommend","to":1,"reason":"LoadBelowTarget","detail":"1 replica would do with 10 % to spare"},{"stage":"stabilize","to":2,"reason":"` +
	`"next":{"up":{"to":3,"rps":88},"down":{"to":1,"rps":36,"held_until":"2026-11-25T12:00:17.993860974Z"}}},"warnings":["` +
	`"outcome":{"result":"observed","result":"failed","result":"scaled","result":"unchanged","count":2}}`

// packing is the number of phrases, the first byte of a body.
const packing = 1

// packer writes records into bodies. It is not for several goroutines at once.
type packer struct {
	out     bytes.Buffer
	deflate *flate.Writer
}

// pack makes a body, which is good until the next one is made.
func (p *packer) pack(r store.Record) ([]byte, error) {
	// A value that is not to be used may be one that JSON does not have.
	r.Reading.Samples = slices.Clone(r.Reading.Samples)
	for i, s := range r.Reading.Samples {
		r.Reading.Samples[i].Value = finite(s.Value)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	p.out.Reset()
	p.out.WriteByte(packing)
	if p.deflate == nil {
		if p.deflate, err = flate.NewWriterDict(&p.out, flate.DefaultCompression, []byte(phrases)); err != nil {
			return nil, err
		}
	} else {
		p.deflate.Reset(&p.out)
	}
	if _, err := p.deflate.Write(text); err != nil {
		return nil, err
	}
	err = p.deflate.Close() // writes the rest
	return p.out.Bytes(), err
}

func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}

// unpacker reads bodies. It is not for several goroutines at once.
type unpacker struct {
	inflate io.ReadCloser
}

// unpack reads a body.
func (u *unpacker) unpack(body []byte) (r store.Record, err error) {
	if len(body) == 0 || body[0] != packing {
		return r, errors.New("it is packed in a way that is not known")
	}
	in := bytes.NewReader(body[1:])
	if u.inflate == nil {
		u.inflate = flate.NewReaderDict(in, []byte(phrases))
	} else if err := u.inflate.(flate.Resetter).Reset(in, []byte(phrases)); err != nil {
		return r, err
	}
	text, err := io.ReadAll(u.inflate)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}
