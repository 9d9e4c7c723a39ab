// Package hooks adds outgoing webhooks to a Go application, in its own process: it
// registers hooks, takes events, delivers them signed and retried, and keeps a log of every
// attempt. There is no service to run: a [Manager] works on a [Store], which is memory for
// unit tests, or a database.
//
//	m, err := hooks.New(memory.New(memory.Options{}), hooks.Config{})
//	go m.Run(ctx)
//	hook, err := m.Register(ctx, hooks.Hook{URL: "https://example.com/in", Events: []string{"order.*"}})
//	receipt, err := m.Trigger(ctx, hooks.Event{Type: "order.paid", Data: []byte(`{"id":42}`)})
//
// The words that are used here have a [glossary].
//
// # For applications
//
// [New] makes a Manager of a store and a [Config]. [Manager.Run] delivers until its context
// ends; all other methods work with or without it, also in another process.
//
//   - Hooks: [Manager.Register], [Manager.Update], [Manager.RotateSecret], [Manager.Delete],
//     [Manager.Hooks]. [Manager.Verify] asks an endpoint whether it wants the traffic, and
//     [Manager.Test] sends it events.
//   - Events: [Manager.Trigger], [Manager.TriggerBatch], and [Manager.TriggerTx] in a
//     transaction of the application.
//   - The log: [Manager.Logs], [Manager.Deliveries], [Manager.Stats]. [Manager.Redeliver],
//     [Manager.Replay] and [Manager.Cancel] act on deliveries.
//
// What you can rely on:
//
//   - When Trigger returns nil, the event is stored. It is delivered at least once to every
//     hook that wanted it, even across crashes. Every attempt carries the same idempotency
//     key, the event's ID.
//   - What TriggerTx records is delivered if the transaction commits, and never if it rolls
//     back.
//   - An endpoint that hangs or fails delays no other. Requests, responses, payloads, queues
//     in memory and the log have limits.
//   - No request reaches a special-purpose address (loopback, private networks, cloud
//     metadata and the like) unless [Config] allows it, whatever a name resolves to.
//   - Each failure ends in a typed error, the log of attempts, the [Observer], or
//     Config.Logger.
//
// Any number of Managers may work on one store, as far as the store allows. A delivery is
// leased to one of them at a time. If that one crashes, its lease ends and another takes
// over. A fence token keeps results that come too late from being stored.
//
// Receivers written in Go use package [receive]. Package [hookstest] is for tests of
// applications, and the packages below [httpadapter] serve REST APIs.
//
// # For authors of protocols
//
// A [Protocol] decides what deliveries look like on the wire, and which responses are a
// success. It makes an [Endpoint] of each hook, which makes a [Request] of a [Message] and
// judges the [Response] in a [Verdict]. [StandardWebhooks] is the default one.
//
// # For authors of stores
//
// A [Store] keeps rows and knows no rules. Its comments are the contract. Package [store]
// explains it, and package [storetest] checks it.
//
// [glossary]: https://github.com/seed-2c6e3a5a/hooks/blob/main/docs/glossary.md
// [receive]: https://pkg.go.dev/github.com/seed-2c6e3a5a/hooks/receive
// [hookstest]: https://pkg.go.dev/github.com/seed-2c6e3a5a/hooks/hookstest
// [httpadapter]: https://pkg.go.dev/github.com/seed-2c6e3a5a/hooks/httpadapter
// [store]: https://pkg.go.dev/github.com/seed-2c6e3a5a/hooks/store
// [storetest]: https://pkg.go.dev/github.com/seed-2c6e3a5a/hooks/store/storetest
package hooks
