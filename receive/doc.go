// Package receive is the receiving side of Standard Webhooks
// (https://www.standardwebhooks.com): it checks the signatures of requests, and passes
// each webhook to a handler once.
//
//	verifier, err := receive.NewVerifier("whsec_…")
//	mux.Handle("POST /webhooks", verifier.Middleware(handler))
//
// It works with every sender that signs like this, among them package hooks with its
// default protocol and Svix. It needs neither a store nor anything else of package
// hooks.
package receive
