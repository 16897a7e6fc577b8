package bench

import (
	"bytes"
	"fmt"
	"strconv"
)

// wanted is the metric that the pages end with.
const wanted = "http_requests_total"

// bigPage makes a page of at least size bytes in the text format: families as a
// Go service, a JVM and node_exporter show them, and the wanted metric last.
func bigPage(size int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		switch i % 3 {
		case 0:
			name := fmt.Sprintf("http_server_requests_seconds_%d", i)
			fmt.Fprintf(&b, "# HELP %s Time that a \"request\" took.\n# TYPE %s histogram\n", name, name)
			for j, le := range []string{"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf"} {
				fmt.Fprintf(&b, "%s_bucket{exception=\"None\",method=\"GET\",outcome=\"SUCCESS\",status=\"200\",uri=\"/api/v1/orders/{id}\",le=\"%s\"} %d.0\n", name, le, i*17+j)
			}
			fmt.Fprintf(&b, "%s_count{exception=\"None\",method=\"GET\",outcome=\"SUCCESS\",status=\"200\",uri=\"/api/v1/orders/{id}\"} %d.0\n", name, i*17+11)
			fmt.Fprintf(&b, "%s_sum{exception=\"None\",method=\"GET\",outcome=\"SUCCESS\",status=\"200\",uri=\"/api/v1/orders/{id}\"} %g\n", name, float64(i)*1.37)
		case 1:
			name := fmt.Sprintf("node_disk_io_time_seconds_total_%d", i)
			fmt.Fprintf(&b, "# HELP %s Total seconds spent doing I/Os.\n# TYPE %s counter\n", name, name)
			for j := range 6 {
				fmt.Fprintf(&b, "%s{device=\"sd%c\"} %s\n", name, 'a'+j, strconv.FormatFloat(float64(i*j)*0.4321, 'g', -1, 64))
			}
		default:
			name := fmt.Sprintf("go_memstats_bytes_%d", i)
			fmt.Fprintf(&b, "# HELP %s Number of bytes in use.\n# TYPE %s gauge\n%s %.8e\n", name, name, name, float64(i)*1.1e6)
		}
	}
	fmt.Fprintf(&b, "# HELP %s Requests done.\n# TYPE %s counter\n", wanted, wanted)
	for i, code := range []string{"200", "204", "301", "404", "500"} {
		fmt.Fprintf(&b, "%s{code=\"%s\",method=\"get\"} %d\n", wanted, code, (i+1)*1027)
	}
	return b.Bytes()
}
