package main

import (
	"fmt"
	"strings"
	"time"
)

const (
	eventType   = "order.paid"
	payloadSize = 1024 // bytes of a request's body
)

var (
	// envelope is what Standard Webhooks puts around the data of an event.
	envelope = `{"type":"` + eventType + `","timestamp":"2026-01-01T00:00:00.000Z","data":%s}`
	filling  = strings.Repeat("x", payloadSize-len(fmt.Sprintf(envelope, fmt.Sprintf(data, time.Now().UnixNano(), ""))))
)

const data = `{"at":%d,"text":"%s"}`

// newData is the data of an event that was triggered now. With the envelope it
// makes a body of 1 KiB.
func newData() []byte { return fmt.Appendf(nil, data, time.Now().UnixNano(), filling) }

// newBody is the body of a request with this data.
func newBody(data []byte) []byte { return fmt.Appendf(nil, envelope, data) }
