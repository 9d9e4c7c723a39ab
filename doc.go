// Package hooks gives a Go application outgoing webhooks, in-process.
package hooks
