package hooks

import (
	"fmt"
	"io"
)

// A Secret is a signing secret in its textual form, for Standard Webhooks
// "whsec_" and base64. It prints, logs and marshals as "[redacted]";
// string(secret) is the secret itself.
type Secret string

const redacted = "[redacted]"

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// Format writes "[redacted]" for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns "[redacted]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
