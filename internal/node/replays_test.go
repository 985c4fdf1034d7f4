package node

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/sinks/sinktest"
)

// TestSignedWebhookIsAdmittedOnce: also when the process was stopped, or killed,
// in between; and what its sender signs anew is admitted.
func TestSignedWebhookIsAdmittedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &site{t: t, dir: t.TempDir(), pager: sinktest.NewPagerDuty(),
			text: strings.Replace(brief, "winnow: {", "winnow: {ingest: {sources: {alertmanager: {hmac: [{scheme: grafana, secret: shared, timestamp_header: X-Sent}]}}}, ", 1)}
		s.network = sinktest.NewNetwork(s.pager)
		defer func() { s.network.Close() }()
		body := `{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"A","severity":"critical"}}]}`
		send := func(what string, signed time.Time, want int) {
			t.Helper()
			at := fmt.Sprint(signed.Unix())
			m := hmac.New(sha256.New, []byte("shared"))
			fmt.Fprint(m, at, ":", body)
			r := httptest.NewRequest(http.MethodPost, "/ingest/alertmanager", strings.NewReader(body))
			r.Header.Set("X-Sent", at)
			r.Header.Set("X-Grafana-Alerting-Signature", hex.EncodeToString(m.Sum(nil)))
			w := httptest.NewRecorder()
			if s.node.Handler().ServeHTTP(w, r); w.Code != want {
				t.Errorf("%s: %d, want %d: %s", what, w.Code, want, w.Body)
			}
		}
		s.start()
		first := time.Now()
		send("the first time", first, 200)
		send("at once", first, 401)
		image := takeImage(t, s.dir) // what a kill would leave
		s.stop()
		s.start()
		send("after a stop", first, 401)
		s.stop()
		s.dir = t.TempDir()
		image.write(t, s.dir)
		s.start()
		send("after a kill", first, 401)
		time.Sleep(4 * time.Minute)
		send("still within its window", first, 401)
		send("signed anew", time.Now(), 200)
		s.stop()
	})
}
