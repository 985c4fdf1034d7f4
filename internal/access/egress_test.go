package access

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// leastRefused is how many ways to an address that is not connected to are tried.
const leastRefused = 60

func TestAddresses(t *testing.T) {
	refused := 0
	f := func(address string, want bool) {
		t.Helper()
		if !want {
			refused++
		}
		err := refuseAddress(t.Context(), "tcp", address, nil)
		if (err == nil) != want {
			t.Errorf("%s: %v, want allowed %v", address, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), "connect to "+address) {
			t.Errorf("%s: %v does not say what was done", address, err)
		}
	}
	f("93.184.216.34:443", true)
	f("8.8.8.8:443", true)
	f("[2606:2800:220:1:248:1893:25c8:1946]:443", true)
	f("127.0.0.1:9093", true) // a pager on this machine
	f("127.9.9.9:80", true)
	f("[::1]:80", true)
	f("[::ffff:127.0.0.1]:80", true)
	f("10.0.0.1:80", true) // and on the private network
	f("172.16.0.1:80", true)
	f("172.31.255.255:80", true)
	f("192.168.1.1:80", true)
	f("100.64.0.1:80", true)
	f("[fd12:3456::1]:80", true)
	f("169.253.255.255:80", true)
	f("169.255.0.0:80", true)
	f("100.100.100.199:80", true)
	f("100.100.100.201:80", true)
	f("168.63.129.15:80", true)
	f("192.0.1.1:80", true)
	f("223.255.255.255:80", true)
	f("[fe00::1]:80", true)
	f("[fec0::1]:80", true)
	f("[64:ff9b::8.8.8.8]:80", true)
	f("[2002:808:808::1]:80", true)
	f("[64:ff9b::10.0.0.1]:80", true)

	f("169.254.169.254:80", false)
	f("169.254.169.254:443", false)
	f("169.254.170.2:80", false) // of AWS's containers
	f("169.254.0.0:80", false)
	f("169.254.255.255:80", false)
	f("[::ffff:169.254.169.254]:80", false)
	f("[::ffff:a9fe:a9fe]:80", false)
	f("[::169.254.169.254]:80", false)
	f("[64:ff9b::169.254.169.254]:80", false)
	f("[64:ff9b::a9fe:a9fe]:80", false)
	f("[64:ff9b:1::169.254.169.254]:80", false)
	f("[2002:a9fe:a9fe::]:80", false)
	f("[2002:a9fe:a9fe:1:2:3:4:5]:80", false)
	f("[2001:0:a9fe:a9fe::1]:80", false)
	f("[fe80::1]:80", false)
	f("[fe80::1%eth0]:80", false)
	f("[fe80::a9fe:a9fe%lo]:80", false)
	f("[febf::1]:80", false)
	f("[fd00:ec2::254]:80", false)
	f("[fd00:ec2::23]:80", false)
	f("[fd20:ce::254]:80", false)
	f("100.100.100.200:80", false)
	f("[::ffff:100.100.100.200]:80", false)
	f("168.63.129.16:80", false)
	f("[2002:a83f:8110::1]:80", false)
	f("192.0.0.192:80", false)
	f("0.0.0.0:80", false) // this machine, on Linux
	f("0.1.2.3:80", false)
	f("[::]:80", false)
	f("[::ffff:0.0.0.0]:80", false)
	f("[64:ff9b::]:80", false)
	f("224.0.0.1:80", false)
	f("239.255.255.255:80", false)
	f("240.0.0.1:80", false)
	f("255.255.255.255:80", false)
	f("[ff02::1]:80", false)
	f("[ff0e::1]:80", false)
	f("localhost:80", false) // was not resolved
	f("169.254.169.254", false)
	f("", false)

	// More ways to the same places.
	for _, address := range []string{
		"169.254.169.253:53", "169.254.169.123:123", "169.254.170.23:80", "169.254.42.42:80", "169.254.1.1:80", "0.0.0.1:80", "0.255.255.255:80",
		"192.0.0.1:80", "192.0.0.8:80", "192.0.0.170:80", "192.0.0.255:80", "233.252.0.1:80", "255.255.255.254:80",
		"[::ffff:168.63.129.16]:80", "[::ffff:192.0.0.192]:80", "[::ffff:224.0.0.1]:80", "[::ffff:255.255.255.255]:80", "[::ffff:169.254.170.2]:80",
		"[::100.100.100.200]:80", "[::168.63.129.16]:80", "[64:ff9b::100.100.100.200]:80", "[64:ff9b::168.63.129.16]:80", "[64:ff9b:1::a9fe:a9fe]:80",
		"[64:ff9b::224.0.0.1]:80", "[2002:6464:64c8::1]:80", "[2002:c000:c0::1]:80", "[2002:e000:1::]:80", "[2002::]:80", "[2001::1]:80",
		"[fe80:0:0:0:ffff::1]:80", "[ff05::1:3]:80", "[fd00:ec2::253]:80", "[fd20:ce::1]:80", "metadata.google.internal:80", "169.254.169.254.:80",
	} {
		f(address, false)
	}
	if refused < leastRefused {
		t.Errorf("%d addresses are refused, want %d", refused, leastRefused)
	}
}

// TestRedirects: the address that a provider names is looked at as well.
func TestRedirects(t *testing.T) {
	var to atomic.Value
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/here" {
			_, _ = io.WriteString(w, "here")
			return
		}
		http.Redirect(w, r, to.Load().(string), http.StatusTemporaryRedirect)
	}))
	t.Cleanup(s.Close)
	client := &http.Client{Transport: &http.Transport{DialContext: Dialer().DialContext}}
	f := func(location, want string) {
		t.Helper()
		to.Store(location)
		resp, err := client.Get(s.URL + "/there")
		got := "here"
		if err != nil {
			got = err.Error()
		} else {
			resp.Body.Close()
		}
		if !strings.Contains(got, want) {
			t.Errorf("redirected to %s: %s, want %s", location, got, want)
		}
	}
	f("/here", "here")
	f("http://169.254.169.254/latest/meta-data/", "169.254.169.254:80: refused: a link-local address")
	f("http://[::ffff:169.254.169.254]/", "refused: a link-local address")
	f("http://0.0.0.0/", "refused: no address of a host")
	f("http://169.254.170.2/v2/credentials", "refused: a link-local address")
	f("http://100.100.100.200/latest/meta-data/", "refused: an address")
	f("http://[::ffff:a9fe:a9fe]/", "refused: a link-local address")
	f("http://[64:ff9b::a9fe:a9fe]/", "refused: a link-local address")
	f("//169.254.169.254/", "refused: a link-local address")
	f("http://user:password@169.254.169.254/", "refused: a link-local address")
	f("http://[fd00:ec2::254]/", "refused: an address at which a cloud answers with credentials")
}

// TestRebinding: a name that is harmless when somebody looks and is not when it
// is connected to.
func TestRebinding(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	names := &nameserver{}
	d := Dialer()
	d.Resolver = &net.Resolver{PreferGo: true, Dial: names.dial}
	f := func(answer, want string) {
		t.Helper()
		names.answer.Store(netip.MustParseAddr(answer))
		conn, err := d.DialContext(t.Context(), "tcp4", "pager.example.:"+port)
		got := "connected"
		if err != nil {
			got = err.Error()
		} else {
			conn.Close()
		}
		if !strings.Contains(got, want) {
			t.Errorf("pager.example at %s: %s, want %s", answer, got, want)
		}
	}
	f("127.0.0.1", "connected")
	f("169.254.169.254", "169.254.169.254:"+port+": refused: a link-local address")
	for _, answer := range []string{"0.0.0.0", "100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1", "255.255.255.255", "169.254.170.2"} {
		f(answer, ": refused: ")
	}
	f("127.0.0.1", "connected")
}

// nameserver answers every question with one address.
type nameserver struct{ answer atomic.Value }

func (n *nameserver) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		_ = n.serve(theirs)
	}()
	return ours, nil
}

// serve answers questions as they come over TCP, with their length before them.
func (n *nameserver) serve(conn net.Conn) error {
	for {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return err
		}
		question := make([]byte, int(length[0])<<8|int(length[1]))
		if _, err := io.ReadFull(conn, question); err != nil {
			return err
		}
		var m dnsmessage.Message
		if err := m.Unpack(question); err != nil {
			return err
		}
		m.Response = true
		m.Additionals = nil
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.AResource{A: n.answer.Load().(netip.Addr).As4()},
		}}
		answer, err := m.AppendPack([]byte{0, 0})
		if err != nil {
			return err
		}
		answer[0], answer[1] = byte((len(answer)-2)>>8), byte(len(answer)-2)
		if _, err := conn.Write(answer); err != nil {
			return err
		}
	}
}
