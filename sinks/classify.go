package sinks

import (
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/textproto"
	"regexp"
	"strconv"
	"time"

	"gopkg.in/telebot.v3"
)

// statusText finds the status in the error texts of notifiers whose client is
// out of the lane's reach.
var statusText = regexp.MustCompile(`status code:? (\d{3})\b`)

// failure is a failed attempt as the notifier and its lane saw it.
type failure struct {
	err      error
	retry    bool // what the notifier said
	seen     answers
	watched  bool // the lane saw the requests
	retry403 bool
}

// classify decides whether another attempt can help. The notifiers' own word
// counts only where the provider gave no answer to go by: some retry a wrong
// token for ever, others drop a page at the first 429 or broken connection.
func classify(f failure) *Error {
	e := &Error{Status: f.seen.status, After: f.seen.after, Unknown: f.seen.unknown, Err: f.err}
	if !f.watched {
		if m := statusText.FindStringSubmatch(f.err.Error()); m != nil {
			e.Status, _ = strconv.Atoi(m[1])
		}
		e.Unknown = e.Status == 0 && !neverConnected(f.err)
	}
	e.Retry = f.retry
	switch {
	case e.Status != 0:
		e.Retry = retryStatus(e.Status, f)
	case f.watched && f.seen.requests > 0:
		e.Retry = !missingFile(f.err) // a network fault
	case missingFile(f.err):
		e.Retry = false
	default:
		// SMTP: 4xx asks to come back later, 5xx is final (RFC 5321, section 4.2.1).
		if t, ok := errors.AsType[*textproto.Error](f.err); ok {
			e.Retry = t.Code < 500
		}
	}
	if flood, ok := errors.AsType[telebot.FloodError](f.err); ok && e.After == 0 {
		e.After = min(time.Duration(flood.RetryAfter)*time.Second, maxRetryAfter)
	}
	return e
}

func retryStatus(status int, f failure) bool {
	switch {
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return true
	case status == http.StatusForbidden:
		return f.retry403
	case status >= 500:
		return true
	case status/100 == 2:
		return f.retry // the provider answered 200 and complained in the body
	}
	return false
}

func missingFile(err error) bool {
	_, ok := errors.AsType[*fs.PathError](err)
	return ok
}

func neverConnected(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}
