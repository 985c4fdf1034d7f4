package access

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

const dialTimeout = 10 * time.Second

// Dialer connects to where notifications go. Their addresses are written by
// whoever writes the configuration, but the text of an alert may be part of
// them, as in the URL of a webhook, and a provider may redirect. So it refuses
// addresses where no provider can be and where clouds hand out credentials. It
// looks at the address that is connected to, after every name has been
// resolved, for each attempt and each redirect. Loopback and private networks
// are allowed: that is where many a pager is.
func Dialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, ControlContext: refuseAddress}
}

func refuseAddress(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("access: connect to %s: not an IP address and a port: %w", address, err)
	}
	if why := refusedAddress(to.Addr()); why != "" {
		return fmt.Errorf("access: connect to %s: refused: %s", address, why)
	}
	return nil
}

// refusedNetworks are the addresses that are not connected to.
var refusedNetworks = []struct {
	network netip.Prefix
	why     string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), thisNetwork},
	{netip.MustParsePrefix("::/128"), thisNetwork},
	{netip.MustParsePrefix("169.254.0.0/16"), linkLocal},
	{netip.MustParsePrefix("fe80::/10"), linkLocal},
	{netip.MustParsePrefix("100.100.100.200/32"), metadata}, // Alibaba Cloud
	{netip.MustParsePrefix("168.63.129.16/32"), metadata},   // Azure
	{netip.MustParsePrefix("192.0.0.0/24"), metadata},       // Oracle Cloud, in a block for protocols
	{netip.MustParsePrefix("fd00:ec2::/32"), metadata},      // AWS
	{netip.MustParsePrefix("fd20:ce::/32"), metadata},       // Google Cloud
	{netip.MustParsePrefix("224.0.0.0/4"), multicast},
	{netip.MustParsePrefix("240.0.0.0/4"), multicast},
	{netip.MustParsePrefix("ff00::/8"), multicast},
	{netip.MustParsePrefix("2001::/32"), "a Teredo tunnel"},
}

const (
	thisNetwork = "no address of a host"
	linkLocal   = "a link-local address, where clouds answer with credentials"
	metadata    = "an address at which a cloud answers with credentials"
	multicast   = "not the address of one host"
)

// refusedAddress says why an address is not connected to, "" where it is.
func refusedAddress(a netip.Addr) string {
	a = a.WithZone("").Unmap()
	for _, r := range refusedNetworks {
		if r.network.Contains(a) {
			return r.why
		}
	}
	if v4, ok := carried(a); ok {
		return refusedAddress(v4)
	}
	return ""
}

// carriers are networks of IPv6 whose addresses hold one of IPv4, at an offset
// in bytes, to which a gateway or a tunnel passes things on.
var carriers = []struct {
	network netip.Prefix
	offset  int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},   // NAT64
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12}, // NAT64, local
	{netip.MustParsePrefix("2002::/16"), 2},       // 6to4
	{netip.MustParsePrefix("::/96"), 12},          // IPv4-compatible
}

// carried is the IPv4 address inside of one of IPv6.
func carried(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() || a.IsLoopback() {
		return netip.Addr{}, false
	}
	b := a.As16()
	for _, c := range carriers {
		if c.network.Contains(a) {
			return netip.AddrFrom4([4]byte(b[c.offset : c.offset+4])), true
		}
	}
	return netip.Addr{}, false
}
