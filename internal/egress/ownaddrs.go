package egress

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// ownAddrsAge is how old the list of this machine's addresses may become.
const ownAddrsAge = time.Minute

// An ownAddrs has the addresses of this machine, which may change. It may be used
// concurrently.
type ownAddrs struct {
	// read is [net.InterfaceAddrs].
	read func() ([]net.Addr, error)
	log  *slog.Logger

	known atomic.Pointer[addrList]
	mu    sync.Mutex // held during read
}

type addrList struct {
	addrs map[netip.Addr]bool
	since time.Time
}

// has reports whether addr, which is not IPv4-mapped, is one of this machine.
func (o *ownAddrs) has(addr netip.Addr) bool { return o.list().addrs[addr.WithZone("")] }

func (o *ownAddrs) list() *addrList {
	known := o.known.Load()
	if known.young() {
		return known
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if known = o.known.Load(); known.young() {
		return known
	}
	fresh := &addrList{since: time.Now()}
	addrs, err := o.read()
	if err != nil {
		o.log.Warn("hooks: the addresses of this machine cannot be read; those last known are refused", "error", err)
		if known != nil {
			fresh.addrs = known.addrs
		}
	} else {
		fresh.addrs = make(map[netip.Addr]bool, len(addrs))
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				fresh.addrs[p.Addr().Unmap().WithZone("")] = true
			} else if addr, err := netip.ParseAddr(a.String()); err == nil { // of a point-to-point link, on some systems
				fresh.addrs[addr.Unmap().WithZone("")] = true
			}
		}
	}
	o.known.Store(fresh)
	return fresh
}

func (l *addrList) young() bool { return l != nil && time.Since(l.since) < ownAddrsAge }
