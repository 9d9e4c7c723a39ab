package storetest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed-2c6e3a5a/hooks"
)

// The tenants: most rules need only the first.
const (
	home = "acme"
	away = "umbrella"
)

const (
	blocked   = hooks.Blocked
	pending   = hooks.Pending
	leased    = hooks.Leased
	succeeded = hooks.Succeeded
	dead      = hooks.Dead
	cancelled = hooks.Cancelled
)

// leaseTime is how long a claim leases what it takes.
const leaseTime = time.Minute

const ms = time.Millisecond

// all asks for everything on one page.
var all = hooks.PageQuery{Limit: many}

// start is when every check starts. That it has long been over shows stores
// that look at a clock.
var start = time.Date(2004, time.February, 29, 23, 59, 58, 123e6, time.UTC)

// at is so long after the start.
func at(d time.Duration) time.Time { return start.Add(d) }

// A job is short for an event with a delivery. Jobs that name the same event
// one after the other are one event with several deliveries.
type job struct {
	n      int           // Numbers the delivery.
	tenant string        // Default: home.
	hook   string        // Default: "a".
	event  string        // Default: eventID(n).
	typ    string        // Default: "thing.done".
	key    string        // The ordering key.
	size   int           // Bytes of the event's data. Default: a few.
	due    time.Duration // How long after the trigger it is due.
	step   int
	leased time.Duration // How long after the trigger its lease ends. 0: it is pending.

	undecided bool
}

// entries makes of the jobs what Enqueue takes.
func entries(now time.Duration, jobs ...job) []hooks.Entry {
	var list []hooks.Entry
	for _, j := range jobs {
		d := j.delivery(now)
		if last := len(list) - 1; last >= 0 && list[last].Event.ID == d.EventID && list[last].Event.Tenant == d.Tenant {
			list[last].Deliveries = append(list[last].Deliveries, d)
			continue
		}
		event := &hooks.Event{
			ID: d.EventID, Tenant: d.Tenant, Type: d.EventType, OrderingKey: d.OrderingKey,
			Time: at(now), Data: j.data(),
		}
		list = append(list, hooks.Entry{Event: event, Deliveries: []hooks.Delivery{d}})
	}
	return list
}

func (j job) data() json.RawMessage {
	if j.size == 0 {
		return json.RawMessage(fmt.Sprintf(`{"n":%d}`, j.n))
	}
	return json.RawMessage(`"` + strings.Repeat("x", j.size-2) + `"`)
}

// entry makes of an event and of jobs for it what Enqueue takes.
func entry(now time.Duration, event *hooks.Event, jobs ...job) hooks.Entry {
	e := hooks.Entry{Event: event}
	for _, j := range jobs {
		j.event, j.typ, j.key = event.ID, event.Type, event.OrderingKey
		e.Deliveries = append(e.Deliveries, j.delivery(now))
	}
	return e
}

func (j job) delivery(now time.Duration) hooks.Delivery {
	d := hooks.Delivery{
		ID:          id(j.n),
		Tenant:      cmp.Or(j.tenant, home),
		HookID:      cmp.Or(j.hook, "a"),
		EventID:     cmp.Or(j.event, eventID(j.n)),
		EventType:   cmp.Or(j.typ, "thing.done"),
		OrderingKey: j.key,
		State:       pending,
		Undecided:   j.undecided,
		Step:        j.step,
		Due:         at(now + j.due),
		CreatedAt:   at(now),
	}
	if j.leased > 0 {
		d.State = leased
		d.Lease = hooks.Lease{Owner: "manager", Token: 1, Until: at(now + j.leased)}
	}
	return d
}

// id is the ID of the delivery with this number: a UUIDv7, in the order of the
// numbers.
func id(n int) string { return fmt.Sprintf("018df2a0-0000-7000-8000-%012d", n) }

// number is the inverse of id.
func number(id string) int {
	n, err := strconv.Atoi(id[max(0, len(id)-12):])
	if err != nil {
		return -1
	}
	return n
}

func eventID(n int) string { return fmt.Sprintf("event-%02d", n) }

// numbers of the claimed deliveries, in their order.
func numbers(claimed []hooks.Claimed) []int {
	ns := make([]int, len(claimed))
	for i, cl := range claimed {
		ns[i] = number(cl.Delivery.ID)
	}
	return ns
}

// outcome is the settlement of a leased delivery after an attempt that led to
// state, or without one if the state is cancelled.
func outcome(d hooks.Delivery, now time.Duration, state hooks.State) hooks.Settlement {
	s := hooks.Settlement{DeliveryID: d.ID, Token: d.Lease.Token, State: state}
	if state == cancelled {
		s.Reason = "the hook is disabled"
		return s
	}
	s.Attempt = &hooks.Attempt{
		DeliveryID: d.ID, Number: d.Attempts + 1, Tenant: d.Tenant, HookID: d.HookID,
		EventID: d.EventID, EventType: d.EventType, StartedAt: at(now), State: state,
	}
	if state != succeeded {
		s.Reason = "the endpoint responded with 500"
		s.Attempt.Class, s.Attempt.Error = hooks.ClassStatus, s.Reason
	}
	if state == pending {
		s.Due, s.Step = at(now+10*time.Second), d.Step+1
		s.Attempt.NextAt = s.Due
	}
	return s
}

// plainHook is a hook with what it must have.
func plainHook(tenant, id string) hooks.Hook {
	return hooks.Hook{
		ID: id, Tenant: tenant, Events: []string{"*"}, URL: "https://example.com/" + id,
		Version: 1, CreatedAt: start, UpdatedAt: start,
	}
}

// fullHook is a hook of the home tenant with every field set.
func fullHook(id string) hooks.Hook {
	return hooks.Hook{
		ID: id, Tenant: home,
		Name:        `Ünï "cödé" 'q' \ % ☃ 🪝`,
		Description: "one\ntwo\r\n\tthree $1 ? {{}} <b>&amp;</b> \u2028 ",
		Disabled:    true, DisabledReason: "410 Gone", Verified: true,
		Events: []string{"order.*", "user.created"}, Filter: `data.total > 100 && metadata.region == "eu"`,
		URL: "https://example.com/a%20b?c=d&e=%C3%A9", Method: "PUT",
		Headers: map[string]string{"Authorization": "Bearer x=y", "X-Empty": ""},
		Secrets: []hooks.SigningSecret{
			{Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
			{Secret: "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", ExpiresAt: at(time.Hour)},
		},
		Schedule: []time.Duration{0, 5 * time.Second, time.Hour + time.Nanosecond},
		Timeout:  1500 * ms, RateLimit: 0.1, MaxInFlight: 3, MaxBatch: 4, BatchWindow: 250 * ms, HoldDead: true,
		Protocol: "custom", Settings: json.RawMessage("{ \"b\":1,\n\"a\" : 2 }"), Sealed: []byte("\x00\xffsealed"),
		Metadata: map[string]string{"region": "eu", "": "empty key"},
		Version:  7, CreatedAt: at(-time.Hour), UpdatedAt: at(-ms),
		Health: hooks.Health{Failures: 3, FailingSince: at(-time.Minute), ThrottledUntil: at(time.Minute)},
	}
}

// fullEvent is an event of the home tenant with every field set but Key.
func fullEvent(id string) *hooks.Event {
	return &hooks.Event{
		ID: id, Tenant: home, Type: "order:v2.paid>eu", Time: at(-48*time.Hour + ms),
		Data:     json.RawMessage("{ \"total\":\t1.50 }\n"),
		Metadata: map[string]string{"region": "eu", "Region": "EU", "": "empty key"},
	}
}

// retry settles the first lease of d with fullAttempt.
func retry(d hooks.Delivery) hooks.Settlement {
	a := fullAttempt(d)
	return hooks.Settlement{DeliveryID: d.ID, Token: 1, State: a.State, Due: a.NextAt, Step: 1, Reason: a.Error, Attempt: a}
}

// fullAttempt is the first attempt of d, with every field set.
func fullAttempt(d hooks.Delivery) *hooks.Attempt {
	return &hooks.Attempt{
		DeliveryID: d.ID, Number: 1, Tenant: d.Tenant, HookID: d.HookID,
		EventID: d.EventID, EventType: d.EventType,
		StartedAt: at(3 * ms), Duration: 1234567 * time.Nanosecond,
		Request: hooks.AttemptRequest{
			Method: "POST", URL: "https://example.com/a%20b",
			Header:   http.Header{"Authorization": {"[redacted]"}, "X-Two": {"1", "2"}, "X-Empty": {""}},
			BodySize: 42, BodySHA256: [32]byte{0, 1, 2, 31: 0xff},
		},
		Response: hooks.AttemptResponse{
			Status: 503,
			// Fields of strangers need not be UTF-8 (RFC 9110, section 5.5).
			Header:          http.Header{"Retry-After": {"120"}, "X-Latin-1": {"caf\xe9", "☃"}},
			HeaderTruncated: true,
			Body:            []byte("\x00\xff\xfe not text \x7f"),
			Truncated:       true,
		},
		Class: hooks.ClassStatus, Error: "the endpoint responded with 503 \"Ünavailable\"\n",
		State: pending, NextAt: at(5 * time.Second),
	}
}
