package webitel

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-2c6e3a5a/hooks/httpadapter"
)

// ids makes IDs as MongoDB does: of the time in seconds, of what is random, and of
// a count, so that hooks that are made in the same millisecond are in order.
type ids struct {
	random [5]byte
	count  atomic.Uint32
}

func newIDs() *ids {
	var i ids
	var count [4]byte
	_, _ = rand.Read(i.random[:]) // never fails, by its contract
	_, _ = rand.Read(count[:])
	i.count.Store(binary.BigEndian.Uint32(count[:]))
	return &i
}

// make returns an ID of 24 hexadecimal digits.
func (i *ids) make() string {
	var tail [4]byte
	binary.BigEndian.PutUint32(tail[:], i.count.Add(1))
	id := binary.BigEndian.AppendUint32(nil, uint32(time.Now().Unix())) //nolint:gosec // It is for order alone, and wraps in 2106.
	id = append(id, i.random[:]...)
	return hex.EncodeToString(append(id, tail[1:]...))
}

func isID(id string) bool {
	_, err := hex.DecodeString(id)
	return err == nil && len(id) == 24
}

// idOf is the ID that the path names.
func idOf(c *httpadapter.Call) string {
	id := c.PathValue("id")
	if isID(id) {
		return strings.ToLower(id)
	}
	return id
}
