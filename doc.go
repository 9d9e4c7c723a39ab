// Package hooks gives a Go application outgoing webhooks, in-process: it
// registers hooks, takes events, delivers them signed and retried, and keeps
// the logs. There is no service to run: a [Manager] works on a [Store], which
// is memory for unit tests or a database that the application has anyway.
//
//	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{})
//	go m.Run(ctx)
//	hook, err := m.Register(ctx, hooks.Hook{URL: "https://example.com/in", Events: []string{"order.*"}})
//	receipt, err := m.Trigger(ctx, hooks.Event{Type: "order.paid", Data: []byte(`{"id":42}`)})
//
// # What is promised
//
//   - When [Manager.Trigger] returns nil, the event is stored, and it is
//     delivered at least once to every hook that wanted it, whatever crashes.
//     Every attempt carries the same idempotency key, the event's ID.
//   - [Manager.TriggerTx] records the event in a transaction of the application: it is
//     sent if the application commits, and never if it rolls back.
//   - An endpoint that hangs or fails delays no other. All that grows has a
//     bound: requests, responses, payloads, queues in memory, logs.
//   - No request reaches a special-purpose address (loopback, private networks,
//     cloud metadata and the like) unless [Config] allows it, whatever a name
//     resolves to and wherever a redirect points.
//   - A failure is told: by a typed error, the attempt log, the [Observer], or
//     the operator's log.
//
// # The words
//
// A [Hook] subscribes a URL to types of events. An [Event] is stored once; it
// makes a [Delivery] for each hook that wants it. Each try to deliver is an
// [Attempt]. Everything belongs to a tenant, and nothing crosses tenants.
//
// A [Protocol] is what a delivery looks like on the wire; [StandardWebhooks] is
// the default one. Receivers written in Go check signatures with a [Verifier].
//
// # Several processes
//
// Any number of Managers may work on one store, as far as the store allows it.
// A delivery is leased to one of them at a time; when that one crashes, the
// lease runs out and another takes over. The fence of a lease, a token that
// grows with each, keeps results that come too late from being stored.
package hooks
